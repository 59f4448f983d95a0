"""Whom the master knows: the accepted ids and what their minions last told of themselves."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from greensalt.store.keys import KeyStore, State
from greensalt.store.minions import MinionCache

SETTLED_NS = 50_000_000


class MasterRoster:
    """The accepted minions as the target package wants them; read anew when the keys change."""

    def __init__(self, keys: KeyStore, cache: MinionCache) -> None:
        self._keys = keys
        self._cache = cache
        self._ids: frozenset[str] = frozenset()
        self._read_at: tuple[int, int] | None = None

    def ids(self) -> Collection[str]:
        """The ids of all accepted keys."""
        stat = self._keys.directory(State.ACCEPTED).stat()
        changed = (stat.st_mtime_ns, stat.st_ino)
        if changed != self._read_at:
            self._ids = frozenset(self._keys.ids(State.ACCEPTED))
            # A change within the clock's granularity of the read would leave the same stamp.
            settled = time.time_ns() - stat.st_mtime_ns > SETTLED_NS
            self._read_at = changed if settled else None
        return self._ids

    def grains(self, minion_id: str) -> Mapping[str, Any] | None:
        return self._cache.grains(minion_id)

    def pillar(self, minion_id: str) -> Mapping[str, Any] | None:
        return self._cache.pillar(minion_id)
