"""The SQLite file: who waits for whom, and what happens when the disk or the file is bad."""

from __future__ import annotations

import logging
import resource
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gevent
import pytest

from greensalt.errors import StoreError, Unstorable
from greensalt.store import schema
from greensalt.store.connections import Connection
from greensalt.store.database import Database
from greensalt.store.pruning import prune_slice
from greensalt.store.sqlite import SqliteStore
from tests.store._samples import a_job, a_return


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, busy_timeout_s=0.1)
    store.add_job(a_job("1"))
    yield store
    store.close()


def _together(store: SqliteStore, count: int, size: int = 1, prefix: str = "m") -> list[Any]:
    """Add returns at once; gives True, False or the error of each."""

    def outcome(number: int) -> bool | StoreError:
        try:
            return store.add_return(a_return("1", f"{prefix}{number:03d}", bytes(size)))
        except StoreError as error:
            return error

    tasks = [gevent.spawn(outcome, number) for number in range(count)]
    gevent.joinall(tasks, raise_error=True)
    return [task.value for task in tasks]


def _set_pragma(store: SqliteStore, pragma: str) -> None:
    store.database.alone(lambda connection: connection.execute(f"PRAGMA {pragma}").fetchall())


def _threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


# -- commits -------------------------------------------------------------------------------------


def test_writes_that_arrive_together_are_committed_together(store: SqliteStore) -> None:
    before = store.database.commits, store.database.rows
    assert _together(store, 500) == [True] * 500
    assert store.database.commits - before[0] <= 3
    assert store.database.rows - before[1] == 500
    assert store.database.queue_len == 0
    assert store.database.last_commit_s > 0


def test_more_writes_than_a_batch_takes_are_all_done(store: SqliteStore) -> None:
    assert _together(store, 2500) == [True] * 2500
    assert len(store.returned("1")) == 2500


def test_an_acknowledged_return_is_there_for_another_process_at_once(
    store: SqliteStore, path: Path
) -> None:
    store.add_return(a_return("1", "alpha"))
    other = sqlite3.connect(path)
    assert other.execute("SELECT id FROM returns").fetchall() == [("alpha",)]
    other.close()


@pytest.mark.parametrize(("sync", "level"), [("full", 2), ("normal", 1)])
def test_the_sync_option_decides_whether_each_commit_reaches_the_disk(
    path: Path, sync: schema.Sync, level: int
) -> None:
    store = SqliteStore(path, sync=sync)
    found = []
    store.database.alone(
        lambda connection: found.append(connection.execute("PRAGMA synchronous").fetchone()[0])
    )
    assert found == [level]
    store.close()


def test_a_slow_question_delays_no_commit(store: SqliteStore) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> int:
        connection.execute("BEGIN")
        count: int = connection.execute("SELECT count(*) FROM returns").fetchone()[0]
        asked.set()
        assert go_on.wait(30)
        connection.execute("COMMIT")
        return count

    question = gevent.spawn(store.database.read, slow)
    while not asked.is_set():
        gevent.sleep(0.001)
    assert _together(store, 20) == [True] * 20
    assert not question.ready()
    go_on.set()
    assert question.get() == 0


def test_the_hub_runs_on_while_a_commit_waits_for_the_disk(store: SqliteStore, path: Path) -> None:
    """A hub that stood still would let go of the lock only when it is too late."""
    _set_pragma(store, "busy_timeout = 5000")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = gevent.spawn(_together, store, 5)
    for _ in range(20):
        gevent.sleep(0.005)
        assert not writing.ready()
    other.execute("ROLLBACK")
    other.close()
    assert writing.get() == [True] * 5


def test_the_number_of_files_and_threads_is_constant(store: SqliteStore, path: Path) -> None:
    store.job("1")
    files = {"jobs.db", "jobs.db-wal", "jobs.db-shm"}
    threads = _threads()
    _together(store, 200)
    for number in range(50):
        store.add_job(a_job(f"job{number}"))
    store.list_jobs()
    assert {file.name for file in path.parent.iterdir()} == files
    assert _threads() == threads
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    store.close()
    assert [file.name for file in path.parent.iterdir()] == ["jobs.db"]
    assert _threads() == threads - 2


def test_a_list_of_some_of_100000_jobs_does_not_read_them_all(
    store: SqliteStore,
) -> None:
    def fill(connection: Connection) -> None:
        connection.execute("BEGIN")
        body = store_body()
        connection.executemany(
            "INSERT INTO jobs (num, jid, user, started, body) VALUES (?, ?, ?, ?, ?)",
            (
                (number, f"{number:020d}", "root" if number % 2 else "ann", float(number), body)
                for number in range(10, 100_010)
            ),
        )
        connection.executemany(
            "INSERT INTO functions (fun, started, job) VALUES (?, ?, ?)",
            (("f.a" if n % 4 < 2 else "f.b", float(n), n) for n in range(10, 100_010)),
        )
        connection.executemany(
            "INSERT INTO returns (job, id, received, body) VALUES (?, ?, 0.0, x'00')",
            ((n, "often" if n % 100 else "seldom") for n in range(10, 100_010)),
        )
        connection.execute("COMMIT")

    def store_body() -> bytes:
        def read(connection: Connection) -> bytes:
            found: bytes = connection.execute("SELECT body FROM jobs").fetchone()[0]
            return found

        return store.database.read(read)

    store.database.alone(fill)
    filters: list[tuple[dict[str, Any], int]] = [
        ({}, 200),
        ({"since": 50_000.0, "until": 90_000.0}, 200),
        ({"fun": "f.a"}, 200),
        ({"user": "ann"}, 200),
        ({"minion": "often"}, 200),
        ({"minion": "seldom"}, 200),
        ({"minion": "never"}, 0),
        ({"fun": "f.a", "user": "ann"}, 200),
        ({"fun": "f.c"}, 0),
        ({"user": "nobody"}, 0),
        ({"until": 5.0}, 0),
    ]
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    store.database.read(lambda connection: connection.set_progress_handler(step, 100))
    store.database.read(lambda it: it.execute("SELECT max(length(body)) FROM jobs").fetchone())
    of_all = steps
    for is_settled in (False, True):
        for chosen, count in filters:
            steps = 0
            assert len(store.list_jobs(**chosen, limit=200)) == count, chosen
            # By minion, for jobs that are not settled: one look into an index for each job.
            most = of_all * 8 if "minion" in chosen and not is_settled else of_all / 50
            assert steps < most, (chosen, of_all)
        store._index(before=1e9)


# -- rows that are wrong -------------------------------------------------------------------------


def _refuse_odd_ones(connection: Connection, rows: Sequence[int]) -> list[bool]:
    for number in rows:
        connection.execute(
            "INSERT INTO minions (id, grains) VALUES (?, ?)",
            (str(number), b"" if number % 2 else None),
        )
    return [True] * len(rows)


def test_a_row_that_spoils_its_batch_fails_alone(store: SqliteStore) -> None:
    def outcome(number: int) -> str:
        try:
            return str(store.database.write(_refuse_odd_ones, number))
        except Unstorable as error:
            return str(error)

    tasks = [gevent.spawn(outcome, number) for number in range(10)]
    returns = gevent.spawn(_together, store, 10)
    gevent.joinall(tasks, raise_error=True)
    assert [task.value == "True" for task in tasks] == [bool(number % 2) for number in range(10)]
    assert "NOT NULL" in str(tasks[0].value)
    assert returns.get() == [True] * 10
    assert len(store.returned("1")) == 10


def test_a_name_that_is_no_text_fails_alone(store: SqliteStore) -> None:
    wrong = gevent.spawn(store.add_return, a_return("1", "alpha\udc80"))
    right = gevent.spawn(store.add_return, a_return("1", "beta"))
    assert right.get() is True
    with pytest.raises(Unstorable):
        wrong.get()


def test_an_unforeseen_error_fails_its_batch_and_no_other(
    store: SqliteStore, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(connection: Connection, rows: Sequence[int]) -> list[bool]:
        connection.execute("INSERT INTO minions (id, grains) VALUES ('x', x'00')")
        raise KeyError(rows)

    with pytest.raises(StoreError, match="not finished"):
        store.database.write(broken, 1)
    assert "nobody foresaw" in caplog.text
    capfd.readouterr()  # the thread pool has its own say about it
    assert _together(store, 3) == [True] * 3
    assert store.database.read(lambda c: c.execute("SELECT id FROM minions").fetchall()) == []


def test_a_row_that_can_not_be_read_is_an_error_of_the_store(store: SqliteStore) -> None:
    store.add_return(a_return("1", "alpha"))
    store.database.alone(lambda connection: connection.execute("UPDATE returns SET body = x'c1'"))
    with pytest.raises(StoreError, match="can't be read"):
        store.returns("1")


def test_without_its_committer_the_store_refuses_writes_and_says_that_it_is_dead(
    store: SqliteStore,
) -> None:
    pending = gevent.spawn(_together, store, 5)
    gevent.sleep(0)
    store.database._committer.kill()
    assert all(isinstance(outcome, StoreError) for outcome in pending.get())
    assert "committer was killed" in str(store.database.dead.get(timeout=60))
    with pytest.raises(StoreError, match="closed"):
        store.add_job(a_job("2"))
    store.close()


# -- a disk that is full or broken ---------------------------------------------------------------


def _records(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def test_a_full_disk_is_told_to_every_writer_and_logged_once_until_there_is_room(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    assert _together(store, 5) == [True] * 5
    _set_pragma(store, "max_page_count = 1")  # means: no page more
    for attempt in range(3):
        outcomes = _together(store, 20, size=50_000, prefix=f"full{attempt}-")
        assert all(type(outcome) is StoreError for outcome in outcomes), outcomes
        assert "full" in str(outcomes[0])
        assert "jobs.db" in str(outcomes[0])
    assert len(_records(caplog, logging.CRITICAL)) == 1
    assert store.database.failed == 60
    assert len(store.returned("1")) == 5  # what is there can be read

    _set_pragma(store, "max_page_count = 1000000")
    assert _together(store, 20, size=50_000, prefix="full0-") == [True] * 20
    (recovered,) = _records(caplog, logging.WARNING)
    assert "can be written again" in recovered
    assert "60 writes were refused" in recovered
    assert len(store.returned("1")) == 25


def test_one_row_that_is_too_large_for_the_disk_leaves_the_others_room(store: SqliteStore) -> None:
    _set_pragma(store, "max_page_count = 200")
    large = gevent.spawn(store.add_return, a_return("1", "large", bytes(5_000_000)))
    others = gevent.spawn(_together, store, 20)
    assert others.get() == [True] * 20
    with pytest.raises(StoreError, match="full"):
        large.get()


def test_a_write_error_of_the_system_is_survived(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert _together(store, 5) == [True] * 5
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = path.with_name("jobs.db-wal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 4096, hard))
    try:
        outcomes = _together(store, 20, size=50_000, prefix="big")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert all(type(outcome) is StoreError for outcome in outcomes), outcomes
    assert len(_records(caplog, logging.CRITICAL)) == 1
    assert _together(store, 20, size=50_000, prefix="big") == [True] * 20
    assert len(_records(caplog, logging.WARNING)) == 1
    assert len(store.returned("1")) == 25


def test_a_database_that_another_process_holds_fails_writes_until_it_lets_go(
    store: SqliteStore, path: Path
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outcomes = _together(store, 10)
    assert all("locked" in str(outcome) for outcome in outcomes)
    other.execute("ROLLBACK")
    other.close()
    assert _together(store, 10) == [True] * 10


def test_a_file_that_was_removed_is_noticed_and_begun_anew(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert store.returned("1") == []
    for file in path.parent.iterdir():
        file.unlink()
    with pytest.raises(StoreError, match=r"removed or replaced|No such file"):
        store.add_return(a_return("1", "alpha"))
    assert _records(caplog, logging.CRITICAL)
    store.add_job(a_job("2"))
    assert path.exists()
    with pytest.raises(StoreError, match="removed or replaced"):
        store.job("2")  # the reader notices it as well
    job = store.job("2")
    assert job is not None
    assert job.jid == "2"
    assert store.add_return(a_return("2", "alpha"))


# -- opening -------------------------------------------------------------------------------------


def test_missing_directories_are_made(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a" / "b" / "jobs.db")
    store.add_job(a_job("1"))
    store.close()


def test_a_path_that_can_not_be_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="can't be opened"):
        SqliteStore(tmp_path)


def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(path: Path) -> None:
    path.write_bytes(b"precious\n" * 1000)
    threads = _threads()
    with pytest.raises(StoreError, match=r"jobs\.db is damaged.*Move it away.*\.recover"):
        SqliteStore(path)
    assert path.read_bytes() == b"precious\n" * 1000
    assert _threads() == threads


def test_a_damaged_database_is_refused_and_left_as_it_was(store: SqliteStore, path: Path) -> None:
    _together(store, 50)
    store.close()
    whole = path.read_bytes()
    damaged = whole[:100] + bytes(range(256)) * 8 + whole[2148:]
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"jobs\.db is damaged"):
        SqliteStore(path)
    assert path.read_bytes() == damaged


def test_damage_that_shows_later_is_told_with_its_remedy(store: SqliteStore, path: Path) -> None:
    assert all(_together(store, 400, size=1000))
    store.close()
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        for page in range(pages // 2, pages):
            file.seek(page * 4096)
            file.write(b"\xaa" * 4096)
    again = SqliteStore(path)
    with pytest.raises(StoreError, match=r"is damaged .*\.recover"):
        again.returns("1")
    again.close()


def test_the_database_of_another_program_is_refused(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE songs (name)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="some other program"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_database_of_a_newer_version_is_refused(path: Path) -> None:
    SqliteStore(path).close()
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    newer.close()
    with pytest.raises(StoreError, match="newer greensalt"):
        SqliteStore(path)


def test_a_database_can_be_open_twice(store: SqliteStore, path: Path) -> None:
    other = Database(path)
    _together(store, 10)
    assert other.read(_count_returns) == 10
    other.close()
    assert _together(store, 10, prefix="n") == [True] * 10


# -- the size of the file ------------------------------------------------------------------------


def test_the_file_shrinks_when_jobs_are_removed(path: Path) -> None:
    store = SqliteStore(path)
    for number in range(20):
        store.add_job(a_job(str(number), started=time.time() - 1000 + number))
        tasks = [
            gevent.spawn(store.add_return, a_return(str(number), f"m{n}", bytes(10_000)))
            for n in range(100)
        ]
        gevent.joinall(tasks, raise_error=True)
    _set_pragma(store, "wal_checkpoint(TRUNCATE)")
    full = path.stat().st_size
    assert full > 20_000_000
    assert store.prune(0, 5_000_000) >= 14
    assert path.stat().st_size < 8_000_000
    store.prune(1, 0)
    assert store.list_jobs() == []
    store.close()
    assert path.stat().st_size < 2_000_000


def test_a_job_that_is_being_removed_is_out_of_sight_and_its_returns_go_later(
    store: SqliteStore, path: Path
) -> None:
    _together(store, 1200)
    assert store.database.write(prune_slice, (time.time(), 0)) == (1, False)
    store.close()
    again = SqliteStore(path)
    assert again.job("1") is None
    assert again.list_jobs() == []
    assert again.returns("1") == []
    assert again.database.read(_count_returns) == 950
    assert again.prune(1, 0) == 0
    assert again.database.read(_count_returns) == 0
    again.close()


def _count_returns(connection: Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM returns").fetchone()[0]
    return count


def test_the_log_does_not_grow_without_bound(store: SqliteStore, path: Path) -> None:
    log = path.with_name("jobs.db-wal")
    for round_ in range(10):
        _together(store, 500, size=5000, prefix=f"r{round_}-")
    assert log.stat().st_size < 2 * schema.WAL_LIMIT_BYTES
