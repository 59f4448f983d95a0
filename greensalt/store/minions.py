"""What minions told of themselves: grains, pillar, and the mine.

It is in the database of the jobs. Grains and pillar are also in memory, packed: the master looks
at those of every minion to find out whom a target means. Only a few are kept unpacked, for a
thousand dicts each are what makes a garbage collector slow.

Source: Spec 6.2 (`_pillar`, `_mine*`), 8.2, 9.2 (2016-9639: a new minion must not see what one of
the same id has left).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

from greensalt.errors import Unstorable
from greensalt.store.blobs import pack, unpack
from greensalt.store.connections import Connection
from greensalt.store.packed import PackedColumn
from greensalt.store.sqlite import SqliteStore

MEMORY_BYTES: Final = 64 << 20  # for the packed grains, and as much again for the pillars
UNPACKED: Final = 512  # dicts of each, 20 KB or so apiece


class MinionCache:
    """The minions' data. Every method may be called from many greenlets at once.

    What is written is on the disk when the method comes back. Raises StoreError, and Unstorable
    for values without a form in a file. The dicts that are given out are shared: don't change
    them.
    """

    def __init__(
        self, store: SqliteStore, memory_bytes: int = MEMORY_BYTES, unpacked: int = UNPACKED
    ) -> None:
        self._database = store.database
        self._ids = set(self._database.read(_all_ids))
        self._grains = PackedColumn(self._database, "grains", self._ids, memory_bytes, unpacked)
        self._pillar = PackedColumn(self._database, "pillar", self._ids, memory_bytes, unpacked)
        self._in_flight: Counter[str] = Counter()

    # -- grains and pillar -------------------------------------------------------------------

    def put_grains(
        self, minion_id: str, grains: Mapping[str, Any], pillar: Mapping[str, Any] | None = None
    ) -> None:
        """Keep a minion's grains, and its pillar; without one, the pillar of before stays.

        What is known already is not written again: after a restart of the master every minion
        sends the same once more.
        """
        self.put_packed(minion_id, pack(grains), None if pillar is None else pack(pillar))

    def put_packed(self, minion_id: str, grains: bytes, pillar: bytes | None) -> None:
        """Keep them as `blobs.pack` has packed them."""
        if (
            not self._in_flight[minion_id]
            and self._grains.has(minion_id, grains)
            and (pillar is None or self._pillar.has(minion_id, pillar))
        ):
            return
        self._write(_put, (minion_id, grains, pillar), [minion_id])
        self._ids.add(minion_id)
        self._grains.put(minion_id, grains)
        if pillar is not None:
            self._pillar.put(minion_id, pillar)

    def grains(self, minion_id: str) -> dict[str, Any] | None:
        """Give a minion's grains, None if it never sent any."""
        return self._grains.get(minion_id)

    def pillar(self, minion_id: str) -> dict[str, Any] | None:
        """Give a minion's pillar, None if there is none."""
        return self._pillar.get(minion_id)

    def ids(self) -> list[str]:
        """List the minions with grains, sorted."""
        return sorted(self._ids)

    def forget(self, *minion_ids: str) -> None:
        """Drop grains, pillar and mine of minions."""
        self._write(_forget, minion_ids, minion_ids)
        self._ids.difference_update(minion_ids)
        self._drop(minion_ids)

    def _write(self, apply: Callable[..., Any], row: object, minion_ids: Sequence[str]) -> None:
        self._in_flight.update(minion_ids)
        try:
            self._database.write(apply, row)
        except BaseException:
            # A greenlet that was killed doesn't know what is on the disk by now.
            self._drop(minion_ids)
            raise
        finally:
            self._in_flight.subtract(minion_ids)
            for minion_id in minion_ids:
                if not self._in_flight[minion_id]:
                    del self._in_flight[minion_id]

    def _drop(self, minion_ids: Sequence[str]) -> None:
        for minion_id in minion_ids:
            self._grains.forget(minion_id)
            self._pillar.forget(minion_id)

    # -- the mine ----------------------------------------------------------------------------

    def mine_update(self, minion_id: str, data: Mapping[str, Any], clear: bool = False) -> None:
        """Add functions and their values to a minion's mine; with `clear` they replace it."""
        if not all(isinstance(function, str) for function in data):
            raise Unstorable(f"{minion_id}: the functions of a mine must be named by text")
        values = [(minion_id, function, pack(value)) for function, value in data.items()]
        self._database.write(_update_mine, (minion_id, clear, values))

    def mine_get(self, minion_id: str) -> dict[str, Any]:
        """Give a minion's whole mine: {function: value}."""
        rows = self._database.read(partial(_mine_of_minion, minion_id=minion_id))
        return {function: unpack(value) for function, value in rows}

    def mine_of(
        self, functions: Sequence[str], minion_ids: Collection[str] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Give the values of functions, {function: {minion: value}}, of some minions or of all."""
        found: dict[str, dict[str, Any]] = {}
        for function in functions:
            rows = self._database.read(partial(_mine_of_function, function=function))
            found[function] = {
                minion_id: unpack(value)
                for minion_id, value in rows
                if minion_ids is None or minion_id in minion_ids
            }
        return found

    def mine_delete(self, minion_id: str, function: str) -> bool:
        """Drop one function of a minion's mine; False if it was not there."""
        return self._database.write(_delete_from_mine, (minion_id, function))

    def mine_flush(self, minion_id: str) -> bool:
        """Drop a minion's mine; False if there was none."""
        return self._database.write(_delete_from_mine, (minion_id, None))


# -- in the writing thread -----------------------------------------------------------------------


def _put(connection: Connection, rows: Sequence[tuple[str, bytes, bytes | None]]) -> list[None]:
    connection.executemany(
        "INSERT INTO minions (id, grains, pillar) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE"
        " SET grains = excluded.grains, pillar = coalesce(excluded.pillar, pillar)",
        rows,
    )
    return [None] * len(rows)


def _forget(connection: Connection, rows: Sequence[tuple[str, ...]]) -> list[None]:
    ids = [(minion_id,) for some in rows for minion_id in some]
    connection.executemany("DELETE FROM minions WHERE id = ?", ids)
    connection.executemany("DELETE FROM mine WHERE id = ?", ids)
    return [None] * len(rows)


def _update_mine(
    connection: Connection, rows: Sequence[tuple[str, bool, Sequence[tuple[str, str, bytes]]]]
) -> list[None]:
    for minion_id, clear, values in rows:
        if clear:
            connection.execute("DELETE FROM mine WHERE id = ?", (minion_id,))
        connection.executemany(
            "INSERT INTO mine (id, fun, value) VALUES (?, ?, ?)"
            " ON CONFLICT (id, fun) DO UPDATE SET value = excluded.value",
            values,
        )
    return [None] * len(rows)


def _delete_from_mine(connection: Connection, rows: Sequence[tuple[str, str | None]]) -> list[bool]:
    return [
        connection.execute("DELETE FROM mine WHERE id = ? AND fun = coalesce(?, fun)", row).rowcount
        > 0
        for row in rows
    ]


# -- in the reading thread -----------------------------------------------------------------------


def _all_ids(connection: Connection) -> list[str]:
    return [minion_id for (minion_id,) in connection.execute("SELECT id FROM minions")]


def _mine_of_minion(connection: Connection, minion_id: str) -> list[tuple[str, bytes]]:
    return connection.execute("SELECT fun, value FROM mine WHERE id = ?", (minion_id,)).fetchall()


def _mine_of_function(connection: Connection, function: str) -> list[tuple[str, bytes]]:
    return connection.execute("SELECT id, value FROM mine WHERE fun = ?", (function,)).fetchall()
