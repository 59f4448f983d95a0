"""Events of the bus that wait for returners: an outbox as that of the returns, in its own file.

What all returners have taken goes with the next events that come in. When the rest takes more than
it may, the oldest go, and the database counts them as lost for whom they waited.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from greensalt.store.connections import Connection
from greensalt.store.database import Database
from greensalt.store.outbox import Outbox

FILE: Final = "events.db"
ROW_BYTES: Final = 64
"""What a row takes besides tag and body, about."""

TABLES: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tag TEXT NOT NULL,
    received REAL NOT NULL,
    before INTEGER NOT NULL,
    size INTEGER NOT NULL,
    body BLOB NOT NULL
);
PRAGMA user_version = 2;
PRAGMA application_id = 1735617652;
COMMIT;
"""


class BusEvent(NamedTuple):
    """An event on its way into the outbox; `body` are its data, packed."""

    tag: str
    fired: float
    """Seconds since 1970."""
    body: bytes

    @property
    def size(self) -> int:
        """What it takes, in bytes."""
        return len(self.tag) + len(self.body) + ROW_BYTES


_Row: TypeAlias = tuple[Sequence[BusEvent], int, int]


class EventBox(Outbox):
    """The events that wait, at most `most_bytes` of them, and how far each returner has come."""

    queue = "events"
    columns = "seq, NULL, tag, received, body"

    def __init__(self, database: Database, most_bytes: int) -> None:
        super().__init__(database)
        self._most_bytes = most_bytes

    def add(self, events: Sequence[BusEvent], dropped: int = 0) -> None:
        """Keep events; `dropped` ones that never came so far are counted as lost."""
        self.database.write(_add, (events, dropped, self._most_bytes))

    def depth(self, name: str) -> tuple[int, float | None]:
        """How many events wait for a returner, and since when the first of them."""
        count, oldest = self.database.read(
            lambda connection: connection.execute(
                "SELECT (SELECT max(seq) FROM events) - seq + 1, received FROM events"
                " WHERE seq > (SELECT cursor FROM returners WHERE name = ?) ORDER BY seq LIMIT 1",
                (name,),
            ).fetchone()
        ) or (0, None)
        return count, oldest


# -- in the writing thread -----------------------------------------------------------------------


def _add(connection: Connection, rows: Sequence[_Row]) -> list[None]:
    for events, dropped, most_bytes in rows:
        if dropped:
            connection.execute("UPDATE returners SET lost = lost + ?", (dropped,))
        connection.execute("DELETE FROM events WHERE seq <= (SELECT min(cursor) FROM returners)")
        end = _insert(connection, events)
        # The first one with which those behind it fit in; the newest one stays in any case.
        connection.execute(
            "DELETE FROM events WHERE seq < coalesce("
            "(SELECT seq FROM events WHERE before >= ? ORDER BY seq LIMIT 1),"
            " (SELECT max(seq) FROM events))",
            (end - most_bytes,),
        )
    return [None] * len(rows)


def _insert(connection: Connection, events: Sequence[BusEvent]) -> int:
    """Append events; gives the place of their end, in bytes: `before` counts on from there."""
    last = connection.execute(
        "SELECT before + size FROM events ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    end: int = last[0] if last else 0
    for event in events:
        connection.execute(
            "INSERT INTO events (tag, received, before, size, body) VALUES (?, ?, ?, ?, ?)",
            (event.tag, event.fired, end, event.size, event.body),
        )
        end += event.size
    return end
