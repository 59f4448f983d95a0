"""The one place that says yes or no to a client.

Local users prove themselves by their key and are bound by publisher_acl; others by a password or a
token, and are bound by external_auth. The black-list of publisher_acl is for everybody. Source:
docs/protocol.md 6.1, 8.3, 9.3 item 1; docs/access.md.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal

from greensalt.config import MasterConfig
from greensalt.errors import AuthenticationError, AuthorizationError, TargetError
from greensalt.master.access.caller import Caller, Rules
from greensalt.master.access.eauth import ExternalAuth, Identity
from greensalt.master.access.localkeys import SUDO, UNNAMED, LocalKeys
from greensalt.master.access.rules import (
    ALWAYS_ALLOWED,
    at_start,
    functions_of,
    glob_or_whole,
    may_publish,
    may_run,
)
from greensalt.master.access.tokens import Tokens
from greensalt.target import Roster, expected

log = logging.getLogger(__name__)

Kind = Literal["runner", "wheel"]
PROOFS: Final = ("token", "eauth", "username", "password")
TOKEN_MOST_S: Final = 10 * 365 * 86400
JOB_LOOK_UP: Final = "jobs.lookup_jid"
"""The runner that shows any job: whoever may run it may follow any job as well."""


class Access:
    """Authenticates clients and holds the access lists against what they ask."""

    def __init__(self, config: MasterConfig, roster: Roster) -> None:
        self._config = config
        self._roster = roster
        self._local = LocalKeys(Path(config.cachedir), config.user)
        self.eauth = ExternalAuth(config)
        self.tokens = Tokens(config.token_dir)

    def open(self) -> None:
        """Make the key files of local users and load the back ends; ConfigError if one is wrong."""
        self._local.create(self._config.publisher_acl)
        self.eauth.open()

    def close(self) -> None:
        self.eauth.close()

    # -- who asks ----------------------------------------------------------------------------

    def authenticate(self, load: MutableMapping[str, Any]) -> Caller:
        """Who sent a clear request; raises AuthenticationError.

        What proves it is taken out of the load: nobody further on needs it, and the load may be
        stored. `user` and `eauth` in it tell then who the caller is, whatever they told before.
        A password may take a while, see `admit`.
        """
        shown = _shown(load)
        for name in (*PROOFS, "key"):
            load.pop(name, None)
            if isinstance(options := load.get("kwargs"), MutableMapping):
                options.pop(name, None)
        caller = self._caller(load.get("user", UNNAMED), shown)
        if caller.eauth:
            load.update(user=caller.name, eauth=caller.eauth)
        elif "user" not in load:
            load["user"] = caller.name
        return caller

    def admit(self, load: Mapping[str, Any]) -> None:
        """Try the password of a request, if it has one; raises AuthenticationError.

        For before a request takes its turn: a wrong password is slow on purpose, and one that was
        right is remembered until `authenticate` asks.
        """
        shown = _shown(load)
        if "eauth" in shown and "token" not in shown:
            self._verified(shown)

    def is_known(self, proof: str) -> bool:
        """Whether this is some local user's key or a token that is good."""
        return self._local.is_one(proof) or self._of_token(proof) is not None

    def make_token(self, load: Mapping[str, Any]) -> dict[str, Any]:
        """`mk_token`: {token, start, expire, name, eauth, ...}; raises AuthenticationError."""
        identity = self._verified(_shown(load))
        data: dict[str, Any] = {"name": identity.name, "eauth": identity.eauth}
        if identity.groups:
            data["groups"] = list(identity.groups)
        if self._config.keep_acl_in_token:
            data["auth_list"] = list(self.eauth.rules(identity))
        return self.tokens.make(data, self._expire_s(identity, load.get("token_expire")))

    def _caller(self, user: Any, shown: Mapping[str, Any]) -> Caller:
        if "token" in shown:
            data = self._of_token(shown["token"])
            if data is None:
                log.warning('authentication failure of type "token"')
                raise AuthenticationError('Authentication failure of type "token" occurred.')
            identity = Identity(data["name"], data["eauth"], tuple(data.get("groups") or ()))
            if self._config.keep_acl_in_token and isinstance(data.get("auth_list"), list):
                return Caller(identity.name, identity.eauth, tuple(data["auth_list"]))
        elif "eauth" in shown:
            identity = self._verified(shown)
        else:
            name = self._local.authenticate(user, shown.get("key"))
            return Caller(name, rules=None if self._is_unbound(name) else self._acl_of(name))
        return Caller(identity.name, identity.eauth, self.eauth.rules(identity))

    def _verified(self, shown: Mapping[str, Any]) -> Identity:
        return self.eauth.verify(shown.get("eauth"), shown.get("username"), shown.get("password"))

    def _of_token(self, token: Any) -> dict[str, Any] | None:
        """What a token stands for, as long as its back end is configured."""
        data = self.tokens.get(token)
        return data if data is not None and self.eauth.knows(str(data.get("eauth"))) else None

    def _expire_s(self, identity: Identity, wanted: Any) -> float:
        """How long a token is good: as long as it wants, if the user may say so."""
        allowed = self._config.token_expire_user_override
        if isinstance(allowed, Mapping):
            allowed = identity.name in (allowed.get(identity.eauth) or ())
        is_number = isinstance(wanted, int | float) and 0 < wanted < TOKEN_MOST_S
        return float(wanted) if allowed and is_number else self._config.token_expire

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


def _shown(load: Mapping[str, Any]) -> dict[str, Any]:
    """What a request shows for a proof: at its top, or, as stock clients do, among its options."""
    options = load.get("kwargs")
    shown = {"key": load["key"]} if "key" in load else {}
    for place in (options, load):
        if isinstance(place, Mapping):
            shown.update({name: place[name] for name in PROOFS if place.get(name)})
    return shown
