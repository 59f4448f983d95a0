"""What the store remembers of returners: how far each has come, and what it could not take.

The returns themselves are the outbox: a returner's cursor is the `seq` of the last return that it
has taken or that was put aside. A return that is pruned before its turn is counted as lost, by the
database itself. Several processes may write returns; their order is that of the commits.

Events have an outbox of the same kind in a file of their own: store/eventbox.py.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from greensalt.store.blobs import MAX_VALUE_BYTES, pack, unpack
from greensalt.store.connections import Connection
from greensalt.store.database import Database

DEAD_MOST: Final = 10_000
"""Dead letters that are kept for one returner; then the oldest ones go, and are counted."""

TABLES: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS returners (
    name TEXT PRIMARY KEY,
    cursor INTEGER NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    returner TEXT NOT NULL,
    body BLOB NOT NULL,
    reason TEXT NOT NULL,
    died REAL NOT NULL,
    again INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS dead_letters_by_returner ON dead_letters (returner, again, num);
CREATE TRIGGER IF NOT EXISTS {queue}_lost AFTER DELETE ON {queue} BEGIN
    UPDATE returners SET lost = lost + 1 WHERE cursor < old.seq;
END;
COMMIT;
"""


class Waiting(NamedTuple):
    """A return that waits for a returner; `body` is as the store keeps it.

    Of an event `id` is its tag, and it has no `jid`.
    """

    seq: int
    jid: str | None
    id: str
    received: float
    body: bytes


class DeadLetter(NamedTuple):
    """What a returner could not take: the item (a dict), why, and when (seconds since 1970)."""

    num: int
    item: dict[str, Any]
    reason: str
    died: float


class Tally(NamedTuple):
    """How a returner stands."""

    delivered: int
    backlog: int
    """Returns that wait."""
    oldest: float | None
    """When the first of them came in, in seconds since 1970."""
    dead: int
    lost: int
    """Returns that were pruned, and dead letters that were dropped, before they were delivered."""


class Outbox:
    """The cursors and dead letters of all returners. Each method may raise StoreError."""

    queue = "returns"
    """The table of what waits; its `seq` only grows."""
    columns = "seq, (SELECT jid FROM jobs WHERE num = job), id, received, body"

    def __init__(self, database: Database) -> None:
        self.database = database

    def open(self, names: Collection[str]) -> dict[str, int]:
        """Begin for these returners; new ones with the next return that comes in.

        What is known of others is dropped: gives the number of returns that waited for each.
        """
        tables = TABLES.format(queue=self.queue)
        self.database.alone(lambda connection: connection.executescript(tables))
        return self.database.write(self._settle, tuple(names))

    def waiting(self, name: str, most: int, most_bytes: int) -> list[Waiting]:
        """The next returns for a returner, at least one if there is any."""
        return self.database.read(
            lambda connection: self._find_waiting(connection, name, most, most_bytes)
        )

    def delivered(self, name: str, cursor: int, count: int) -> None:
        """Note that a returner has taken all up to `cursor`."""
        self.database.write(_advance, (name, cursor, count))

    def bury(self, name: str, cursor: int, item: dict[str, Any], reason: str) -> None:
        """Put the return at `cursor` aside, as a dead letter."""
        body = pack(item, MAX_VALUE_BYTES)
        self.database.write(_bury, (name, cursor, body, reason, time.time()))

    def dead(self, name: str, most: int = 100) -> list[DeadLetter]:
        """The newest dead letters of a returner, the newest first."""
        rows = self.database.read(
            lambda connection: connection.execute(
                "SELECT num, body, reason, died FROM dead_letters WHERE returner = ?"
                " ORDER BY num DESC LIMIT ?",
                (name, most),
            ).fetchall()
        )
        return [_letter(row) for row in rows]

    def retry(self, name: str) -> int:
        """Have all dead letters of a returner sent once more; gives their number."""
        return self.database.write(_revive, name)

    def revived(self, name: str) -> DeadLetter | None:
        """The first dead letter that is to be sent once more."""
        row = self.database.read(
            lambda connection: connection.execute(
                "SELECT num, body, reason, died FROM dead_letters"
                " WHERE returner = ? AND again ORDER BY num LIMIT 1",
                (name,),
            ).fetchone()
        )
        return _letter(row) if row else None

    def settle(self, name: str, num: int, reason: str | None) -> None:
        """Say what became of a revived letter: None: taken; else why it is dead again."""
        self.database.write(_settle_letter, (name, num, reason))

    def tally(self, name: str) -> Tally:
        """How a returner stands."""
        return self.database.read(lambda connection: self._tally(connection, name))

    # -- in the writing thread ---------------------------------------------------------------

    def _settle(
        self, connection: Connection, rows: Sequence[tuple[str, ...]]
    ) -> list[dict[str, int]]:
        results = []
        for names in rows:
            dropped = {}
            for (name,) in connection.execute("SELECT name FROM returners").fetchall():
                if name not in names:
                    dropped[name] = self._tally(connection, name).backlog
                    connection.execute("DELETE FROM returners WHERE name = ?", (name,))
                    connection.execute("DELETE FROM dead_letters WHERE returner = ?", (name,))
            connection.executemany(
                "INSERT INTO returners (name, cursor) SELECT ?, coalesce("
                "(SELECT seq FROM sqlite_sequence WHERE name = ?), 0)"
                " WHERE true ON CONFLICT (name) DO NOTHING",
                [(name, self.queue) for name in names],
            )
            results.append(dropped)
        return results

    # -- in the reading thread ---------------------------------------------------------------

    def _find_waiting(
        self, connection: Connection, name: str, most: int, most_bytes: int
    ) -> list[Waiting]:
        cursor = connection.execute(
            f"SELECT {self.columns} FROM {self.queue}"  # noqa: S608  # ours
            " WHERE seq > (SELECT cursor FROM returners WHERE name = ?) ORDER BY seq LIMIT ?",
            (name, most),
        )
        found: list[Waiting] = []
        for row in cursor:
            most_bytes -= len(row[4])
            if found and most_bytes < 0:
                break
            found.append(Waiting(*row))
        cursor.close()
        return found

    def _tally(self, connection: Connection, name: str) -> Tally:
        cursor, delivered, lost = connection.execute(
            "SELECT cursor, delivered, lost FROM returners WHERE name = ?", (name,)
        ).fetchone()
        backlog, oldest = connection.execute(
            f"SELECT count(*), min(received) FROM {self.queue} WHERE seq > ?",  # noqa: S608  # ours
            (cursor,),
        ).fetchone()
        (dead,) = connection.execute(
            "SELECT count(*) FROM dead_letters WHERE returner = ?", (name,)
        ).fetchone()
        return Tally(delivered, backlog, oldest, dead, lost)


# -- in the writing thread -----------------------------------------------------------------------


def _advance(connection: Connection, rows: Sequence[tuple[str, int, int]]) -> list[None]:
    connection.executemany(
        "UPDATE returners SET cursor = ?2, delivered = delivered + ?3 WHERE name = ?1", rows
    )
    return [None] * len(rows)


def _bury(connection: Connection, rows: Sequence[tuple[str, int, bytes, str, float]]) -> list[None]:
    for name, cursor, body, reason, died in rows:
        connection.execute(
            "INSERT INTO dead_letters (returner, body, reason, died) VALUES (?, ?, ?, ?)",
            (name, body, reason, died),
        )
        dropped = connection.execute(
            "DELETE FROM dead_letters WHERE num IN (SELECT num FROM dead_letters"
            " WHERE returner = ? ORDER BY num DESC LIMIT -1 OFFSET ?)",
            (name, DEAD_MOST),
        ).rowcount
        connection.execute(
            "UPDATE returners SET cursor = ?, lost = lost + ? WHERE name = ?",
            (cursor, dropped, name),
        )
    return [None] * len(rows)


def _revive(connection: Connection, names: Sequence[str]) -> list[int]:
    return [
        connection.execute("UPDATE dead_letters SET again = 1 WHERE returner = ?", (name,)).rowcount
        for name in names
    ]


def _settle_letter(
    connection: Connection, rows: Sequence[tuple[str, int, str | None]]
) -> list[None]:
    for name, num, reason in rows:
        if reason is None:
            connection.execute("DELETE FROM dead_letters WHERE num = ?", (num,))
            connection.execute(
                "UPDATE returners SET delivered = delivered + 1 WHERE name = ?", (name,)
            )
        else:
            connection.execute(
                "UPDATE dead_letters SET again = 0, reason = ? WHERE num = ?", (reason, num)
            )
    return [None] * len(rows)


def _letter(row: tuple[int, bytes, str, float]) -> DeadLetter:
    num, body, reason, died = row
    return DeadLetter(num, unpack(body), reason, died)
