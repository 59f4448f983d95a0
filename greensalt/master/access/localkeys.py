"""The keys of local users: files that only their user can read.

`<cachedir>/.root_key`, `.<user>_key`: who can tell a key's content is that user. Source:
docs/protocol.md 8.3.
"""

from __future__ import annotations

import hmac
import logging
import os
import pwd
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from greensalt.errors import AuthenticationError
from greensalt.store.secretfiles import user_key

log = logging.getLogger(__name__)

SUDO: Final = "sudo_"


UNNAMED: Final = object()
"""For a request that has no `user`, as opposed to an unusable one."""


class LocalKeys:
    """Makes the keys and compares what clients present with them."""

    def __init__(self, cachedir: Path, master_user: str) -> None:
        self._cachedir = cachedir
        self._master_user = master_user
        self._master_users = {"root", master_user}
        self._keys: dict[str, str] = {}

    def create(self, others: Iterable[str]) -> None:
        """Make the key files of the master's user and of those of `others` who exist."""
        for user in self._master_users:
            self._keys[user] = user_key(self._cachedir, user)
        for user in others:
            try:
                entry = pwd.getpwnam(user)
            except KeyError:  # a pattern, or somebody who isn't here
                continue
            self._keys[user] = user_key(self._cachedir, user)
            if os.geteuid() == 0:
                os.chown(self._cachedir / f".{user}_key", entry.pw_uid, entry.pw_gid)

    def is_masters(self, user: str) -> bool:
        """Whether `user` is root or the user that the master runs as."""
        return user in self._master_users

    def authenticate(self, user: Any, key: Any) -> str:
        """The user whom `key` proves; raises AuthenticationError.

        UNNAMED is the one whose key it is: stock's `salt-run` names none once it has
        a token and can read the master's key.
        """
        if user is not UNNAMED and not isinstance(user, str):
            raise AuthenticationError('Authentication failure of type "user": no user was named.')
        if not isinstance(key, str) or not key:
            raise AuthenticationError('Authentication failure of type "user": no key was given.')
        name = user if isinstance(user, str) else self._owner(key)
        if self.is_masters(name) or name.startswith(SUDO):
            candidates = [self._keys.get(each, "") for each in self._master_users]
        else:
            candidates = [self._keys.get(name, "")]
        # All are compared, so that the time does not tell which one was nearly right.
        matches = [hmac.compare_digest(key.encode(), known.encode()) for known in candidates]
        if not any(match and known for match, known in zip(matches, candidates, strict=True)):
            log.warning('authentication failure of type "user" for %.100r', name)
            raise AuthenticationError(
                f'Authentication failure of type "user" occurred for user {name}.'
            )
        return name

    def _owner(self, key: str) -> str:
        """Whose key this is, "" for nobody's."""
        owner = ""
        for user, known in self._keys.items():
            if hmac.compare_digest(key.encode(), known.encode()):
                owner = user
        return owner

    def is_one(self, key: str) -> bool:
        """Whether this is some local user's key."""
        known = [hmac.compare_digest(key.encode(), each.encode()) for each in self._keys.values()]
        return any(known)
