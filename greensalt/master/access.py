"""Which local user asks, and whether they may: user keys, publisher_acl, its black-list.

The keys are files that only their user can read (`<cachedir>/.root_key`, `.<user>_key`); who can
tell a key's content is that user.

Source: docs/protocol.md 8.3, 9.3 item 1.
"""

from __future__ import annotations

import hmac
import logging
import os
import pwd
import re
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from greensalt.config import MasterConfig
from greensalt.errors import AuthenticationError, AuthorizationError, TargetError
from greensalt.store.secretfiles import user_key
from greensalt.target import Roster, expected

log = logging.getLogger(__name__)

ALWAYS_ALLOWED = "saltutil.find_job"


class Access:
    """Authenticates local users by their key and holds publisher_acl against what they ask."""

    def __init__(self, config: MasterConfig, roster: Roster) -> None:
        self._config = config
        self._roster = roster
        self._master_users = {"root", config.user}
        self._keys: dict[str, str] = {}

    def create_keys(self) -> None:
        """Make the key files of the master's user and of everybody in publisher_acl."""
        cachedir = Path(self._config.cachedir)
        for user in {self._config.user, "root"}:
            self._keys[user] = user_key(cachedir, user)
        for user in self._config.publisher_acl:
            try:
                entry = pwd.getpwnam(user)
            except KeyError:  # a pattern, or somebody who isn't here
                continue
            self._keys[user] = user_key(cachedir, user)
            if os.geteuid() == 0:
                os.chown(cachedir / f".{user}_key", entry.pw_uid, entry.pw_gid)

    def authenticate(self, load: Mapping[str, Any]) -> str:
        """The user whom `key` proves; raises AuthenticationError."""
        user, key = load.get("user", ""), load.get("key")
        if not isinstance(user, str) or not isinstance(key, str) or not key:
            raise AuthenticationError('Authentication failure of type "user": no key was given.')
        if self._is_master_user(user) or user.startswith("sudo_"):
            candidates = [self._keys.get(name, "") for name in self._master_users]
        else:
            candidates = [self._keys.get(user, "")]
        # All are compared, so that the time does not tell which one was nearly right.
        matches = [hmac.compare_digest(key.encode(), known.encode()) for known in candidates]
        if not any(match and known for match, known in zip(matches, candidates, strict=True)):
            log.warning('authentication failure of type "user" for %r', user)
            raise AuthenticationError(
                f'Authentication failure of type "user" occurred for user {user}.'
            )
        return user

    def is_key(self, key: str) -> bool:
        """Whether this is some local user's key."""
        known = [hmac.compare_digest(key.encode(), each.encode()) for each in self._keys.values()]
        return any(known)

    def authorize(self, user: str, load: Mapping[str, Any], minions: Collection[str]) -> None:
        """Raise AuthorizationError unless `user` may publish `load` to `minions`."""
        functions = functions_of(load)
        self._check_blacklist(user, [fun for fun, _ in functions])
        if self.is_unbound(user):
            return
        entries = self._entries(user.removeprefix("sudo_"))
        for fun, _ in functions:
            if fun == ALWAYS_ALLOWED and len(functions) == 1:
                continue
            if not self._may(entries, fun, minions):
                log.warning("user %s is not authorized to run %s", user, fun)
                raise AuthorizationError(
                    f'Authorization error occurred: user {user} may not run "{fun}" on this target.'
                )

    def is_unbound(self, user: str) -> bool:
        """Whether publisher_acl does not apply to `user`."""
        by_sudo = user.startswith("sudo_") and not self._config.sudo_acl
        return self._is_master_user(user) or by_sudo

    def sees_job_of(self, user: str, owner: str) -> bool:
        """Whether `user` may follow a job that `owner` published."""
        return self._is_master_user(user) or user.startswith("sudo_") or user == owner

    def _is_master_user(self, user: str) -> bool:
        return user in self._master_users

    def _check_blacklist(self, user: str, functions: Sequence[str]) -> None:
        blacklist = self._config.publisher_acl_blacklist
        if any(_matches(pattern, user) for pattern in blacklist.get("users", [])):
            raise AuthorizationError(f"Authorization error occurred: user {user} is black-listed.")
        for fun in functions:
            if any(_matches(pattern, fun) for pattern in blacklist.get("modules", [])):
                raise AuthorizationError(f"Authorization error occurred: {fun} is black-listed.")

    def _entries(self, user: str) -> list[Any]:
        found: list[Any] = []
        for pattern, entries in self._config.publisher_acl.items():
            if fnmatchcase(user, pattern):
                found.extend(entries if isinstance(entries, list) else [entries])
        return found

    def _may(self, entries: Sequence[Any], fun: str, minions: Collection[str]) -> bool:
        """An entry is a function pattern for every minion, or {target: [function patterns]}."""
        covered: set[str] = set()
        for entry in entries:
            if isinstance(entry, str):
                if _matches(entry, fun):
                    return True
            elif isinstance(entry, Mapping):
                for target, patterns in entry.items():
                    allowed = patterns if isinstance(patterns, list) else [patterns]
                    if any(_matches(str(pattern), fun) for pattern in allowed):
                        covered.update(self._resolve(str(target)))
        # An empty resolution is not a permission (CVE-2022-22941).
        return bool(minions) and covered.issuperset(minions)

    def _resolve(self, target: str) -> Sequence[str]:
        try:
            return expected(
                target, "compound", self._roster, nodegroups=self._config.nodegroups
            ).minions
        except TargetError as error:
            log.error("publisher_acl: the target %r can't be parsed: %s", target, error)
            return []


def functions_of(load: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """The (function, arguments) pairs of a job, one or several."""
    fun, arg = load.get("fun"), load.get("arg", [])
    if isinstance(fun, str):
        return [(fun, list(arg))]
    if not isinstance(fun, list) or not all(isinstance(each, str) for each in fun) or not fun:
        raise AuthorizationError("the function of the job is missing or not a name")
    if not isinstance(arg, list) or len(arg) != len(fun):
        raise AuthorizationError("a job of several functions needs a list of arguments for each")
    return [(name, list(args or [])) for name, args in zip(fun, arg, strict=True)]


def _matches(pattern: str, text: str) -> bool:
    """Salt's rule for names in access lists: a glob, or a regular expression for the whole."""
    if fnmatchcase(text, pattern):
        return True
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        log.error("%r in an access list is not a regular expression", pattern)
        return False
