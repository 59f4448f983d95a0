"""The embedded job store: a single SQLite file, or three while it is open.

What a blob has twice is kept once: the fields of a job or of a return that are the very objects
in its load are left out and found there again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeAlias

from greensalt.errors import StoreError, UnknownJob
from greensalt.store.blobs import MAX_VALUE_BYTES, pack, unpack
from greensalt.store.byminion import SETTLED_S, add_late, settle_slice, sweep_slice
from greensalt.store.connections import Connection
from greensalt.store.database import BUSY_TIMEOUT_S, Database
from greensalt.store.jobs import Job, JobSummary, PackedReturn, Return
from greensalt.store.pruning import give_back, prune_slice
from greensalt.store.schema import Sync

ROWS_IN_A_STATEMENT: Final = 256

# Our names for the fields, and what a load calls them.
_OF_JOBS: Final = {"fun": "fun", "arg": "arg", "tgt": "tgt", "tgt_type": "tgt_type"}
_OF_RETURNS: Final = {"fun": "fun", "ret": "return", "retcode": "retcode", "success": "success"}

_JobRow: TypeAlias = tuple[str, str, float, bytes, tuple[str, ...], bytes]
"""jid, user, started, body, functions, expected"""


class SqliteStore:
    """A `JobStore` in one file. Raises StoreError when the file can't be opened.

    `database` is for others who keep something in the same file, and for monitoring.
    """

    def __init__(
        self,
        path: Path,
        sync: Sync = "full",
        *,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        max_value_bytes: int = MAX_VALUE_BYTES,
    ) -> None:
        self.database = Database(path, sync, busy_timeout_s)
        self._max_value_bytes = max_value_bytes

    # -- writing -----------------------------------------------------------------------------

    def add_job(self, job: Job) -> None:
        body = pack([job.load, _not_in(job.load, job, _OF_JOBS)], self._max_value_bytes)
        functions = (job.fun,) if isinstance(job.fun, str) else tuple(dict.fromkeys(job.fun))
        expected = pack([job.minions, job.missing], self._max_value_bytes)
        row = (job.jid, job.user, job.started, body, functions, expected)
        self.database.write(_add_jobs, row)

    def extend_minions(self, jid: str, ids: Sequence[str]) -> None:
        self.database.write(_extend, (pack([list(ids), []], self._max_value_bytes), jid))

    def add_return(self, ret: Return) -> bool:
        return self.database.write(_add_returns, self.packed_return(ret))

    def packed_return(self, ret: Return) -> PackedReturn:
        body = pack([ret.load, _not_in(ret.load, ret, _OF_RETURNS)], self._max_value_bytes)
        return PackedReturn(ret.jid, ret.id, ret.received, body)

    def add_returns(self, rows: Sequence[PackedReturn]) -> list[bool | StoreError]:
        return self.database.write_all(_add_returns, rows)

    # -- reading -----------------------------------------------------------------------------

    def job(self, jid: str) -> Job | None:
        found = self.database.read(lambda connection: _find_job(connection, jid))
        if found is None:
            return None
        user, started, body, lists = found
        load, fields = _fields(body, _OF_JOBS)
        minions, missing = _merged([unpack(packed) for packed in lists])
        return Job(
            jid=jid,
            user=user,
            started=started,
            load=load,
            minions=minions,
            missing=missing,
            **fields,
        )

    def returns(
        self, jid: str, after: int = 0, limit: int = 500, max_bytes: int | None = None
    ) -> list[Return]:
        rows = self.database.read(
            lambda connection: _find_returns(connection, jid, after, limit, max_bytes)
        )
        page = []
        for seq, minion_id, received, body in rows:
            load, fields = _fields(body, _OF_RETURNS)
            page.append(
                Return(seq=seq, jid=jid, id=minion_id, received=received, load=load, **fields)
            )
        return page

    def returned(self, jid: str) -> list[str]:
        return self.database.read(lambda connection: _find_returned(connection, jid))

    def list_jobs(
        self,
        since: float | None = None,
        until: float | None = None,
        fun: str | None = None,
        user: str | None = None,
        minion: str | None = None,
        limit: int = 500,
    ) -> list[JobSummary]:
        tests = {"jobs.started >= ?": since, "jobs.started <= ?": until, "jobs.user = ?": user}
        rows = self.database.read(
            lambda connection: _find_jobs(connection, tests, fun, minion, limit)
        )
        listed = []
        for jid, by, started, body in rows:
            load, fields = _fields(body, _OF_JOBS)
            options = load.get("kwargs")
            listed.append(
                JobSummary(
                    jid=jid,
                    user=by,
                    started=started,
                    options=options if isinstance(options, dict) else {},
                    **fields,
                )
            )
        return listed

    # -- keeping it small --------------------------------------------------------------------

    def prune(self, older_than_s: float, max_bytes: int) -> int:
        before = time.time() - older_than_s if older_than_s > 0 else None
        removed = 0
        done = False
        while not done:
            jobs, done = self.database.write(prune_slice, (before, max_bytes))
            removed += jobs
        self._index(time.time() - SETTLED_S)
        while self.database.alone(give_back):
            pass
        return removed

    def _index(self, before: float) -> None:
        """Bring the index by minion up to date with the jobs that started before a time."""
        while not self.database.write(settle_slice, before):
            pass
        minion = self.database.write(sweep_slice, 0)
        while minion:
            minion = self.database.write(sweep_slice, minion)

    def close(self) -> None:
        self.database.close()


# -- in the writing thread -----------------------------------------------------------------------


def _add_jobs(connection: Connection, rows: Sequence[_JobRow]) -> list[None]:
    for jid, user, started, body, functions, expected in rows:
        connection.execute(
            "INSERT INTO jobs (jid, user, started, body) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (jid) DO NOTHING",
            (jid, user, started, body),
        )
        connection.executemany(
            "INSERT OR IGNORE INTO functions (fun, started, job)"
            " SELECT ?, started, num FROM jobs WHERE jid = ?",
            [(function, jid) for function in functions],
        )
        connection.execute(_EXPECT, (expected, jid))
    return [None] * len(rows)


_EXPECT: Final = "INSERT INTO expected (body, job) SELECT ?, num FROM jobs WHERE jid = ?"


def _extend(connection: Connection, rows: Sequence[tuple[bytes, str]]) -> list[StoreError | None]:
    return [
        None if connection.execute(_EXPECT, row).rowcount else UnknownJob(row[1]) for row in rows
    ]


def _add_returns(connection: Connection, rows: Sequence[PackedReturn]) -> list[bool | StoreError]:
    """Insert returns with few, large statements.

    Each statement makes this thread give up the interpreter lock and wait for it again, up to
    5 ms when the hub is busy. With one statement for each row, beside a hub that is never idle,
    the slowest commits took 1.1 s instead of 0.05 s.
    """
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'returns'").fetchone()
    first: int = found[0] + 1 if found else 1
    inserted = 0
    for begin in range(0, len(rows), ROWS_IN_A_STATEMENT):
        part = rows[begin : begin + ROWS_IN_A_STATEMENT]
        size = 1 << (len(part) - 1).bit_length()
        values = chain.from_iterable(
            (seq, *row) for seq, row in enumerate(part, start=first + begin)
        )
        padding = (None,) * (5 * (size - len(part)))
        inserted += connection.execute(_insert_returns(size), (*values, *padding)).rowcount
    add_late(connection, first)
    if inserted == len(rows):
        return [True] * len(rows)
    return _what_became_of(connection, rows, first)


@cache
def _insert_returns(size: int) -> str:
    """The statement for so many rows. Rows of a job that isn't there, and empty ones, fall out."""
    rows = ",".join(["(?, ?, ?, ?, ?)"] * size)
    return (
        "INSERT INTO returns (seq, job, id, received, body)"  # noqa: S608  # only question marks
        " SELECT column1, jobs.num, column3, column4, column5"
        f" FROM (VALUES {rows}) CROSS JOIN jobs ON jobs.jid = column2 WHERE true"
        " ON CONFLICT (job, id) DO NOTHING"
    )


def _what_became_of(
    connection: Connection, rows: Sequence[PackedReturn], first: int
) -> list[bool | StoreError]:
    kept = {
        seq for (seq,) in connection.execute("SELECT seq FROM returns WHERE seq >= ?", (first,))
    }
    results: list[bool | StoreError] = []
    for seq, (jid, *_) in enumerate(rows, start=first):
        known = (
            seq in kept or connection.execute("SELECT 1 FROM jobs WHERE jid = ?", (jid,)).fetchone()
        )
        results.append(seq in kept if known else UnknownJob(jid))
    return results


# -- in the reading thread -----------------------------------------------------------------------


def _find_job(connection: Connection, jid: str) -> tuple[str, float, bytes, list[bytes]] | None:
    rows = connection.execute(
        "SELECT jobs.user, jobs.started, jobs.body, expected.body"
        " FROM jobs JOIN expected ON expected.job = jobs.num WHERE jobs.jid = ?"
        " ORDER BY expected.num",
        (jid,),
    ).fetchall()
    if not rows:
        return None
    user, started, body, _ = rows[0]
    return user, started, body, [row[3] for row in rows]


def _find_returns(
    connection: Connection, jid: str, after: int, limit: int, max_bytes: int | None
) -> list[tuple[int, str, float, bytes]]:
    cursor = connection.execute(
        "SELECT seq, id, received, body FROM returns"
        " WHERE job = (SELECT num FROM jobs WHERE jid = ?) AND seq > ? ORDER BY seq LIMIT ?",
        (jid, after, limit),
    )
    if max_bytes is None:
        return cursor.fetchall()
    rows: list[tuple[int, str, float, bytes]] = []
    for row in cursor:
        max_bytes -= len(row[3])
        if rows and max_bytes < 0:
            break
        rows.append(row)
    cursor.close()
    return rows


def _find_returned(connection: Connection, jid: str) -> list[str]:
    rows = connection.execute(
        "SELECT id FROM returns WHERE job = (SELECT num FROM jobs WHERE jid = ?) ORDER BY id",
        (jid,),
    )
    return [minion_id for (minion_id,) in rows]


def _find_jobs(
    connection: Connection,
    tests: Mapping[str, object],
    fun: str | None,
    minion: str | None,
    limit: int,
) -> list[tuple[str, str, float, bytes]]:
    """The newest jobs that fit; `tests` are of the table jobs."""
    asked = {test: value for test, value in tests.items() if value is not None}
    if minion is not None:
        if fun is not None:
            asked["EXISTS (SELECT 1 FROM functions WHERE job = jobs.num AND fun = ?)"] = fun
        # Returns of settled jobs are found by minion, those of the newest by job.
        rows = [
            row
            for table, by_minion in (("by_minion", _SETTLED_ONES), ("jobs", _NEW_ONES))
            for row in _newest(connection, table, {**asked, by_minion: minion}, limit)
        ]
        rows.sort(key=lambda row: (row[2], row[4]), reverse=True)
    elif fun is not None:
        rows = _newest(connection, "functions", {**asked, "functions.fun = ?": fun}, limit)
    else:
        rows = _newest(connection, "jobs", asked, limit)
    return [row[:4] for row in rows[:limit]]


_SETTLED_ONES: Final = "by_minion.minion = (SELECT num FROM names WHERE id = ?)"
_NEW_ONES: Final = (
    "jobs.num > (SELECT upto FROM settled)"
    " AND EXISTS (SELECT 1 FROM returns WHERE job = jobs.num AND id = ?)"
)


def _newest(
    connection: Connection, table: str, asked: Mapping[str, object], limit: int
) -> list[tuple[str, str, float, bytes, int]]:
    """The newest jobs, found by way of a table that has them in the order of their start."""
    job = "num" if table == "jobs" else "job"
    tables = table if table == "jobs" else f"{table} CROSS JOIN jobs ON jobs.num = {table}.job"
    if _NEW_ONES in asked:
        tables = "jobs NOT INDEXED"  # but by number: those that are not settled are the last few
    where = " AND ".join(asked) or "true"
    return connection.execute(
        "SELECT jobs.jid, jobs.user, jobs.started, jobs.body, jobs.num"  # noqa: S608  # our words
        f" FROM {tables} WHERE {where} ORDER BY {table}.started DESC, {table}.{job} DESC LIMIT ?",
        (*asked.values(), limit),
    ).fetchall()


def load_of(body: bytes) -> dict[str, Any]:
    """The whole load of a return, from its blob; raises StoreError."""
    load: dict[str, Any] = _fields(body, {})[0]
    return load


# -- blobs ---------------------------------------------------------------------------------------


def _not_in(load: Mapping[str, Any], of: Job | Return, names: Mapping[str, str]) -> dict[str, Any]:
    """The fields that are not the very objects that the load has under their names."""
    return {
        ours: getattr(of, ours)
        for ours, its in names.items()
        if its not in load or load[its] is not getattr(of, ours)
    }


def _fields(body: bytes, names: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The load and the fields that `_not_in` took apart."""
    load, others = unpack(body)
    return load, {
        ours: others[ours] if ours in others else load[its] for ours, its in names.items()
    }


def _merged(lists: Sequence[tuple[list[str], list[str]]]) -> tuple[list[str], list[str]]:
    """The minions and the missing ones of a job that was published once or several times."""
    if len(lists) == 1:
        return lists[0][0], lists[0][1]
    minions = {minion for some, _ in lists for minion in some}
    missing = {minion for _, some in lists for minion in some} - minions
    return sorted(minions), sorted(missing)
