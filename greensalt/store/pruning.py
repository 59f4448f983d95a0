"""The end of old jobs, in slices so small that the returns of new ones get in between.

A job that has to go is first taken off the tables that are read and noted as doomed: nobody sees
half a job. Its returns follow in as many slices as it takes, after a crash too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from greensalt.store.connections import Connection

RETURNS_IN_A_SLICE: Final = 250
JOBS_IN_A_SLICE: Final = 50
BYTES_IN_A_SLICE: Final = 4 << 20
PAGES_GIVEN_BACK: Final = 256
KEEP_FREE: Final = 32
"""One page in so many may stay free: the next rows would take it from the disk again."""

# The returns of one job that fit into a slice end with this one; at least one does.
_LAST_OF_SLICE: Final = """
SELECT max(seq), count(*), sum(size) FROM (
    SELECT seq, size, sum(size) OVER (ORDER BY seq) - size AS before FROM (
        SELECT seq, length(body) AS size FROM returns WHERE job = :job ORDER BY seq LIMIT :rows
    )
) WHERE before < :bytes
"""


def prune_slice(
    connection: Connection, limits: Sequence[tuple[float | None, int]]
) -> list[tuple[int, bool]]:
    """Remove a little that started before a time or is beyond a size in bytes.

    Gives for each pair of limits how many jobs were removed, and whether nothing is left to do.
    """
    return [_slice(connection, before, max_bytes) for before, max_bytes in limits]


def give_back(connection: Connection) -> bool:
    """Give some free pages back to the disk, if there are many. Not in a transaction.

    Tells whether there are more to give.
    """
    free = _number(connection, "PRAGMA freelist_count")
    if free <= _number(connection, "PRAGMA page_count") // KEEP_FREE + PAGES_GIVEN_BACK:
        # The file itself becomes shorter when the log is copied back into it.
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return False
    # As a script it is one call that frees page after page; as a statement, one call each.
    connection.executescript(f"PRAGMA incremental_vacuum({PAGES_GIVEN_BACK})")
    return True


def _slice(connection: Connection, before: float | None, max_bytes: int) -> tuple[int, bool]:
    removed = 0
    rows, size = RETURNS_IN_A_SLICE, BYTES_IN_A_SLICE
    while rows > 0 and size > 0 and removed < JOBS_IN_A_SLICE:
        doomed = connection.execute("SELECT min(job) FROM doomed").fetchone()[0]
        if doomed is None:
            if not _doom_oldest(connection, before, max_bytes):
                return removed, True
            removed += 1
            continue
        last, count, bytes_ = connection.execute(
            _LAST_OF_SLICE, {"job": doomed, "rows": rows, "bytes": size}
        ).fetchone()
        if last is None:
            connection.execute("DELETE FROM doomed WHERE job = ?", (doomed,))
        else:
            connection.execute("DELETE FROM returns WHERE job = ? AND seq <= ?", (doomed, last))
            rows, size = rows - count, size - bytes_
    return removed, False


def _doom_oldest(connection: Connection, before: float | None, max_bytes: int) -> bool:
    oldest = connection.execute("SELECT num, started FROM jobs ORDER BY started LIMIT 1").fetchone()
    if oldest is None:
        return False
    job, started = oldest
    too_old = before is not None and started < before
    if not too_old and not (0 < max_bytes < used_bytes(connection)):
        return False
    connection.execute("INSERT INTO doomed (job) VALUES (?)", (job,))
    for table in ("functions", "expected"):
        connection.execute(f"DELETE FROM {table} WHERE job = ?", (job,))  # noqa: S608  # ours
    connection.execute("DELETE FROM jobs WHERE num = ?", (job,))
    return True


def used_bytes(connection: Connection) -> int:
    """The size of the data: of all pages but the free ones."""
    pages = _number(connection, "PRAGMA page_count") - _number(connection, "PRAGMA freelist_count")
    return pages * _number(connection, "PRAGMA page_size")


def _number(connection: Connection, question: str) -> int:
    number: int = connection.execute(question).fetchone()[0]
    return number
