"""The one place that says yes or no to a client.

Local users prove themselves by their key and are bound by publisher_acl; its black-list is for
everybody. Source: docs/protocol.md 8.3, 9.3 item 1.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal

from greensalt.config import MasterConfig
from greensalt.errors import AuthorizationError, TargetError
from greensalt.master.access.caller import Caller, Rules
from greensalt.master.access.localkeys import SUDO, LocalKeys
from greensalt.master.access.rules import (
    ALWAYS_ALLOWED,
    at_start,
    functions_of,
    glob_or_whole,
    may_publish,
    may_run,
)
from greensalt.target import Roster, expected

log = logging.getLogger(__name__)

Kind = Literal["runner", "wheel"]
JOB_LOOK_UP: Final = "jobs.lookup_jid"
"""The runner that shows any job: whoever may run it may follow any job as well."""


class Access:
    """Authenticates clients and holds the access lists against what they ask."""

    def __init__(self, config: MasterConfig, roster: Roster) -> None:
        self._config = config
        self._roster = roster
        self._local = LocalKeys(Path(config.cachedir), config.user)

    def create_keys(self) -> None:
        """Make the key files of the master's user and of everybody in publisher_acl."""
        self._local.create(self._config.publisher_acl)

    # -- who asks ----------------------------------------------------------------------------

    def authenticate(self, load: MutableMapping[str, Any]) -> Caller:
        """Who sent a clear request; raises AuthenticationError.

        The key is taken out of the load: nobody further on needs it, and the load may be stored.
        """
        load.pop("eauth", None)  # in a load that is stored it tells who knew the user
        name = self._local.authenticate(load.get("user", ""), load.pop("key", None))
        return Caller(name, rules=None if self._is_unbound(name) else self._acl_of(name))

    def is_key(self, key: str) -> bool:
        """Whether this is some local user's key."""
        return self._local.is_one(key)

    def _is_unbound(self, name: str) -> bool:
        by_sudo = name.startswith(SUDO) and not self._config.sudo_acl
        return self._local.is_masters(name) or by_sudo

    def _acl_of(self, name: str) -> Rules:
        found: list[Any] = []
        for pattern, entries in self._config.publisher_acl.items():
            if fnmatchcase(name.removeprefix(SUDO), pattern):
                found.extend(entries if isinstance(entries, list | tuple) else [entries])
        return tuple(found)

    # -- what they may do --------------------------------------------------------------------

    def authorize(self, caller: Caller, load: Mapping[str, Any], minions: Collection[str]) -> None:
        """Raise AuthorizationError unless `caller` may publish `load` to all of `minions`.

        A job of several functions needs the permission for each, with its own arguments.
        """
        functions = functions_of(load)
        self._check_blacklist(caller.name, [fun for fun, _ in functions])
        if caller.rules is None:
            return
        names = at_start if caller.eauth else glob_or_whole
        for fun, arg in functions:
            if fun == ALWAYS_ALLOWED and len(functions) == 1:
                continue
            if not may_publish(caller.rules, fun, arg, minions, self._resolve, names):
                log.warning("user %s is not authorized to run %.100s", caller.name, fun)
                raise AuthorizationError(
                    f"Authorization error occurred: user {caller.name} may not run"
                    f' "{fun:.100}" on this target.'
                )

    def authorize_run(
        self,
        caller: Caller,
        kind: Kind,
        fun: str,
        arg: Sequence[Any] = (),
        kwarg: Mapping[str, Any] | None = None,
    ) -> None:
        """Raise AuthorizationError unless `caller` may run a runner or wheel function.

        SaltInvocationError for what is not a function's name at all. The black-list of functions is
        of execution modules; that of users holds here, too.
        """
        self._check_blacklist(caller.name, [])
        if caller.rules is None:
            return
        if not may_run(caller.rules, kind, fun, arg, kwarg or {}):
            log.warning("user %s is not authorized to run the %s %s", caller.name, kind, fun)
            raise AuthorizationError(
                f"Authorization error occurred: user {caller.name} may not run the {kind} {fun}."
            )

    def sees_job_of(self, caller: Caller, owner: str, eauth: str = "") -> bool:
        """Whether `caller` may follow a job that `owner` published, whom `eauth` knew ("": local).

        Their own, and everybody's with the right to look up any job (`@jobs`, `@runner`).
        """
        if caller.rules is None or (caller.name, caller.eauth) == (owner, eauth):
            return True
        return may_run(caller.rules, "runner", JOB_LOOK_UP, (), {})

    def _check_blacklist(self, user: str, functions: Sequence[str]) -> None:
        blacklist = self._config.publisher_acl_blacklist
        if any(glob_or_whole(str(pattern), user) for pattern in blacklist.get("users") or []):
            raise AuthorizationError(f"Authorization error occurred: user {user} is black-listed.")
        for fun in functions:
            if any(glob_or_whole(str(pattern), fun) for pattern in blacklist.get("modules") or []):
                raise AuthorizationError(
                    f"Authorization error occurred: {fun:.100} is black-listed."
                )

    def _resolve(self, target: str) -> Collection[str]:
        try:
            return expected(
                target, "compound", self._roster, nodegroups=self._config.nodegroups
            ).minions
        except TargetError as error:
            log.error("in an access list: the target %r can't be parsed: %s", target, error)
            return []
