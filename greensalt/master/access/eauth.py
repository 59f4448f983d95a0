"""External authentication: names and passwords, asked of a back end.

Whatever is wrong, the answer is the same, and comes after the same time. Source: docs/access.md.
"""

from __future__ import annotations

import hmac
import logging
import random
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import gevent
from gevent.threadpool import ThreadPool

from greensalt.config import MasterConfig
from greensalt.errors import AuthenticationError, ConfigError
from greensalt.master.access.backends import Backend, load_backend

log = logging.getLogger(__name__)

FAILURE_S: Final = 1.0  # that a no takes, give or take a quarter
FAILURE_MOST_S: Final = 10.0
AT_ONCE: Final = 32  # passwords that are being tried, or whose failure is not answered yet
AT_ONCE_OF_ONE: Final = 4  # of the same name
THREADS: Final = 4
REMEMBERED_S: Final = 30.0  # that a password need not be asked for again
REMEMBERED_MOST: Final = 1000
TEXT_MOST: Final = 1024  # bytes of a name or a password
FAILED: Final = 'Authentication failure of type "eauth" occurred.'


class Identity(NamedTuple):
    """Whom a back end has verified."""

    name: str
    eauth: str
    groups: tuple[str, ...]


class ExternalAuth:
    """The back ends of external_auth, each in native threads of their own.

    `failures` counts passwords that were wrong, `refused` those that were not even tried because
    too many were. A password that was right is taken for right for half a minute: one job of a
    client is many requests.
    """

    def __init__(self, config: MasterConfig, failure_s: float = FAILURE_S) -> None:
        self._config = config
        self._slowest_s = failure_s
        self._backends: dict[str, Backend] = {}
        self._threads: ThreadPool | None = None
        self._trying: Counter[str] = Counter()
        self._right: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()
        self._secret = secrets.token_bytes(32)
        self.failures = self.refused = 0

    def open(self) -> None:
        """Load the back ends; ConfigError names what is wrong with one."""
        for name, section in self._config.external_auth.items():
            if not isinstance(section, Mapping):
                raise ConfigError(f"external_auth: {name} must be a map from users to rules")
            self._backends[name] = load_backend(name, section, self._config)
        if self._backends:
            self._threads = ThreadPool(THREADS)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.kill()

    def knows(self, eauth: str) -> bool:
        """Whether the back end is configured."""
        return eauth in self._backends

    def verify(self, eauth: Any, username: Any, password: Any) -> Identity:
        """Who this is; AuthenticationError after a while if it is nobody."""
        begun = time.monotonic()
        texts = [each if isinstance(each, str) else "" for each in (eauth, username, password)]
        if any(not each or len(each.encode()) > TEXT_MOST for each in texts[:2]):
            texts = ["", "", ""]
        print_of_it = hmac.digest(self._secret, repr(texts).encode(), "sha256")
        identity = self._remembered(print_of_it)
        if identity is not None:
            return identity
        with self._attempt(texts[1]):
            identity = self._ask(*texts)
            if identity is not None:
                self._remember(print_of_it, identity)
                return identity
            self.failures += 1
            log.warning('authentication failure of type "eauth" for %.100r', texts[1])
            self._wait(begun)
        raise AuthenticationError(FAILED)

    def rules(self, identity: Identity) -> tuple[Any, ...]:
        """The access list of somebody: their own entries, those of their groups, and `*`.

        `eauth_acl_module` names another back end to ask than the one that verified them.
        """
        module = self._config.eauth_acl_module or identity.eauth
        backend = self._backends.get(module)
        found = self._aside(backend.rules, identity.name) if backend is not None else None
        if found is not None:
            return tuple(found)
        section = self._config.external_auth.get(identity.eauth) or {}
        return rules_of(section, identity.name, identity.groups, self._config.permissive_acl)

    def _ask(self, eauth: str, username: str, password: str) -> Identity | None:
        backend = self._backends.get(eauth)
        if backend is None:
            return None
        groups = self._aside(_verified, backend, username, password)
        return None if groups is None else Identity(username, eauth, tuple(groups))

    def _aside(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Run what may block in a thread; None when it fails."""
        assert self._threads is not None
        return self._threads.apply(_caught, (fn, args))

    @contextmanager
    def _attempt(self, username: str) -> Iterator[None]:
        """A place for a try. Where there is none, no password is looked at: the answer is no."""
        if self._trying.total() >= AT_ONCE or self._trying[username] >= AT_ONCE_OF_ONE:
            self.refused += 1
            log.warning("too many passwords are tried at once: %.100r is refused", username)
            raise AuthenticationError(FAILED)
        self._trying[username] += 1
        try:
            yield
        finally:
            self._trying[username] -= 1
            if not self._trying[username]:
                del self._trying[username]

    def _wait(self, begun: float) -> None:
        """As long as the slowest failure so far took: how long does not tell what was wrong."""
        took_s = time.monotonic() - begun
        self._slowest_s = min(FAILURE_MOST_S, max(self._slowest_s, took_s))
        gevent.sleep(max(0.0, self._slowest_s * random.uniform(0.75, 1.25) - took_s))

    def _remembered(self, print_of_it: bytes) -> Identity | None:
        identity, until = self._right.get(print_of_it, (None, 0.0))
        return identity if time.monotonic() < until else None

    def _remember(self, print_of_it: bytes, identity: Identity) -> None:
        self._right[print_of_it] = (identity, time.monotonic() + REMEMBERED_S)
        self._right.move_to_end(print_of_it)
        while len(self._right) > REMEMBERED_MOST:
            self._right.popitem(last=False)


def rules_of(
    section: Mapping[str, Any], name: str, groups: Sequence[str], permissive: bool
) -> tuple[Any, ...]:
    """The entries of a section of external_auth for a user.

    `*` is for those whom no entry names, and with `permissive_acl` for everybody.
    """
    found: list[Any] = []
    is_named = False
    for key, entries in section.items():
        if key.startswith("^") or key == "*":
            continue
        if key.endswith("%"):
            wanted = key.rstrip("%") in groups
        else:
            wanted = key == name
            is_named = is_named or wanted
        if wanted:
            found.extend(entries if isinstance(entries, list | tuple) else [entries])
    others = section.get("*")
    if others and (permissive or not is_named):
        found.extend(others if isinstance(others, list | tuple) else [others])
    return tuple(found)


def _verified(backend: Backend, username: str, password: str) -> list[str] | None:
    """The groups of somebody who is verified; None for everybody else."""
    if not backend.verify(username, password):
        return None
    try:
        return [str(group) for group in backend.groups(username)]
    except Exception:  # a third party's; the user is who they say, all the same
        log.exception("the groups of a user can't be found")
        return []


def _caught(fn: Callable[..., Any], args: Any) -> Any:
    try:
        return fn(*args)
    except Exception:
        log.exception("external_auth: a back end failed")
        return None
