"""The index of returns by minion, which is brought up to date in bulk.

An index that begins with the minion has another page for each return of a job: written with the
return, that costs several times the row itself. So it is a table of its own, `by_minion` (minion,
started, job), into which the returns of settled jobs are put many at once, sorted by minion: a page
that is touched takes returns of many jobs. `settled.upto` is the newest such job. Returns of later
jobs are found by the index (job, id); what comes late for a settled job goes in with the return.

Jobs that were pruned leave their entries behind: nothing finds them any more, and `sweep_slice`
takes them out once there are enough of them in a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from greensalt.store.connections import Connection

SETTLED_S: Final = 60.0
"""A job of that age has most of its returns."""

RETURNS_IN_A_SLICE: Final = 8000  # but at least one job
JOBS_IN_A_SLICE: Final = 500
MINIONS_IN_A_SLICE: Final = 200
JOBS_IN_A_SWEEP: Final = 64

_SETTLE: Final = (
    "INSERT OR IGNORE INTO names (id) SELECT DISTINCT id FROM returns WHERE job > ?1 AND job <= ?2",
    """INSERT OR IGNORE INTO by_minion (minion, started, job)
    SELECT names.num, jobs.started, jobs.num FROM jobs
    CROSS JOIN returns INDEXED BY returns_by_minion ON returns.job = jobs.num
    CROSS JOIN names ON names.id = returns.id
    WHERE jobs.num > ?1 AND jobs.num <= ?2 ORDER BY 1, 2, 3""",
    "UPDATE settled SET upto = ?2 WHERE upto = ?1",
)
_LATE: Final = (
    """INSERT OR IGNORE INTO names (id)
    SELECT id FROM returns NOT INDEXED WHERE seq >= ? AND job <= (SELECT upto FROM settled)""",
    """INSERT OR IGNORE INTO by_minion (minion, started, job)
    SELECT names.num, jobs.started, jobs.num FROM returns NOT INDEXED
    CROSS JOIN jobs ON jobs.num = returns.job CROSS JOIN names ON names.id = returns.id
    WHERE returns.seq >= ? AND returns.job <= (SELECT upto FROM settled)""",
)
_ANY_LATE: Final = (
    "SELECT 1 FROM returns NOT INDEXED"  # but by seq: they are the last few
    " WHERE seq >= ? AND job <= (SELECT upto FROM settled) LIMIT 1"
)


def add_late(connection: Connection, first: int) -> None:
    """Enter the returns from `first` on that are for settled jobs."""
    if connection.execute(_ANY_LATE, (first,)).fetchone():
        for statement in _LATE:
            connection.execute(statement, (first,))


def settle_slice(connection: Connection, befores: Sequence[float]) -> list[bool]:
    """Enter the returns of some jobs that started before a time; tells whether all are in."""
    return [_settle(connection, before) for before in befores]


def _settle(connection: Connection, before: float) -> bool:
    (upto,) = connection.execute("SELECT upto FROM settled").fetchone()
    until, rows = upto, 0
    jobs = connection.execute(
        "SELECT num, started, (SELECT count(*) FROM returns WHERE job = num) FROM jobs"
        " WHERE num > ? ORDER BY num LIMIT ?",
        (upto, JOBS_IN_A_SLICE),
    )
    for num, started, count in jobs:
        rows += count
        if started >= before or (rows > RETURNS_IN_A_SLICE and until > upto):
            break
        until = num
    jobs.close()
    if until == upto:
        return True
    for statement in _SETTLE:
        connection.execute(statement, (upto, until))
    return False


def sweep_slice(connection: Connection, afters: Sequence[int]) -> list[int]:
    """Take out what pruned jobs left, of some minions after a number; gives the last, 0 if all."""
    return [_sweep(connection, after) for after in afters]


def _sweep(connection: Connection, after: int) -> int:
    oldest, started, swept = connection.execute(
        "SELECT ifnull((SELECT min(num) FROM jobs), upto + 1),"
        " ifnull((SELECT min(started) FROM jobs), 9e999), swept FROM settled"
    ).fetchone()
    if oldest - swept < JOBS_IN_A_SWEEP:
        return 0
    minions = [
        num
        for (num,) in connection.execute(
            "SELECT num FROM names WHERE num > ? ORDER BY num LIMIT ?", (after, MINIONS_IN_A_SLICE)
        )
    ]
    for minion in minions:
        connection.execute(
            "DELETE FROM by_minion WHERE minion = ? AND started < ?", (minion, started)
        )
        connection.execute(
            "DELETE FROM names WHERE num = ?1"
            " AND NOT EXISTS (SELECT 1 FROM by_minion WHERE minion = ?1)",
            (minion,),
        )
    if len(minions) == MINIONS_IN_A_SLICE:
        last: int = minions[-1]
        return last
    connection.execute("UPDATE settled SET swept = ?", (oldest,))
    return 0
