"""One kind of data of all minions in memory, packed, with the rest of it on the disk."""

from __future__ import annotations

import random
from collections.abc import Collection
from functools import partial
from typing import Any, Final

from gevent.lock import BoundedSemaphore

from greensalt.store.blobs import unpack
from greensalt.store.connections import Connection
from greensalt.store.database import Database

ROWS_AT_ONCE: Final = 256
ROOM: Final = 0.9  # fuller than that, rows are fetched singly


class PackedColumn:
    """One kind of data of all minions: packed up to a number of bytes, unpacked for a few."""

    def __init__(
        self, database: Database, name: str, ids: Collection[str], max_bytes: int, unpacked: int
    ) -> None:
        self._database = database
        self._name = name
        self._ids = ids
        self._max_bytes = max_bytes
        self._packed: dict[str, bytes] = {}
        self._bytes = 0
        self._unpacked = _Few(unpacked)
        self._fetching = BoundedSemaphore(1)
        self._changed: set[str] = set()  # while a fetch is under way: what it brings is old

    def has(self, minion_id: str, packed: bytes) -> bool:
        """Tell whether this very value is in memory."""
        return self._packed.get(minion_id) == packed

    def get(self, minion_id: str) -> dict[str, Any] | None:
        value: dict[str, Any] | None = self._unpacked.get(minion_id)
        if value is None and minion_id in self._ids:
            packed = self._packed.get(minion_id)
            if packed is None:
                packed = self._fetch(minion_id)
            if packed:
                value = unpack(packed)
                self._unpacked.add(minion_id, value)
        return value

    def put(self, minion_id: str, packed: bytes) -> None:
        self.forget(minion_id)
        self._keep(minion_id, packed)

    def forget(self, minion_id: str) -> None:
        if self._fetching.locked():
            self._changed.add(minion_id)
        self._unpacked.remove(minion_id)
        self._bytes -= len(self._packed.pop(minion_id, b""))

    def _keep(self, minion_id: str, packed: bytes) -> None:
        if self._bytes + len(packed) <= self._max_bytes:
            self._packed[minion_id] = packed
            self._bytes += len(packed)

    def _fetch(self, minion_id: str) -> bytes:
        """Give the packed value of a minion, b"" if there is none.

        Those that follow by name are fetched along, as long as there is room: who asks for one
        asks for all of them, one after the other.
        """
        with self._fetching:
            while minion_id in self._ids and minion_id not in self._packed:
                self._changed.clear()
                limit = ROWS_AT_ONCE if self._bytes < ROOM * self._max_bytes else 1
                rows = self._database.read(
                    partial(_rows_from, column=self._name, first=minion_id, limit=limit)
                )
                for other, packed in rows:
                    if other not in self._changed and other not in self._packed:
                        self._keep(other, packed or b"")
                if minion_id not in self._changed:
                    return rows[0][1] or b"" if rows and rows[0][0] == minion_id else b""
            return self._packed.get(minion_id, b"")


def _rows_from(
    connection: Connection, column: str, first: str, limit: int
) -> list[tuple[str, bytes | None]]:
    return connection.execute(
        f"SELECT id, {column} FROM minions WHERE id >= ? ORDER BY id LIMIT ?",  # noqa: S608  # ours
        (first, limit),
    ).fetchall()


class _Few:
    """A bounded dict; when it is full, a new value takes the place of a random one.

    Whoever resolves a target asks for all minions in turn. A cache that drops what was used
    longest ago would then have dropped each value just before it is asked for again.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: dict[str, dict[str, Any]] = {}
        self._names: list[str] = []

    def get(self, name: str) -> dict[str, Any] | None:
        return self._values.get(name)

    def add(self, name: str, value: dict[str, Any]) -> None:
        if name not in self._values:
            if len(self._names) < self._size:
                self._names.append(name)
            else:
                place = random.randrange(self._size)
                self._values.pop(self._names[place], None)
                self._names[place] = name
        self._values[name] = value

    def remove(self, name: str) -> None:
        if self._values.pop(name, None) is not None:
            self._names.remove(name)
