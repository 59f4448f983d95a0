"""The batches of the master, in the database of the jobs.

Whom a batch has sent its job to is not kept here but with the job itself, in the same commit that
precedes the sending: so no minion can get it twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from greensalt.store.blobs import pack, unpack
from greensalt.store.connections import Connection
from greensalt.store.database import Database

KEPT_MOST: Final = 1000
"""Batches that are over and remembered; the oldest go first."""

_TABLES: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS batches (
    jid TEXT PRIMARY KEY,
    open INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
COMMIT;
"""


class BatchStore:
    """Plain dicts by jid. Each method may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self) -> None:
        """Make the table, and forget what is too old."""
        self._database.alone(lambda connection: connection.executescript(_TABLES))
        self._database.write(_prune, KEPT_MOST)

    def put(self, jid: str, body: dict[str, Any], *, is_open: bool) -> None:
        """Keep a batch; `is_open` says that it is not over."""
        self._database.write(_put, (jid, int(is_open), pack(body)))

    def all(self) -> dict[str, dict[str, Any]]:
        """Every batch, the oldest first."""
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT jid, body FROM batches ORDER BY jid"
            ).fetchall()
        )
        return {jid: unpack(body) for jid, body in rows}


def _put(connection: Connection, rows: Sequence[tuple[str, int, bytes]]) -> list[None]:
    connection.executemany("INSERT OR REPLACE INTO batches VALUES (?, ?, ?)", rows)
    return [None] * len(rows)


def _prune(connection: Connection, rows: Sequence[int]) -> list[None]:
    for most in rows:
        connection.execute(
            "DELETE FROM batches WHERE NOT open AND jid NOT IN"
            " (SELECT jid FROM batches WHERE NOT open ORDER BY jid DESC LIMIT ?)",
            (most,),
        )
    return [None] * len(rows)
