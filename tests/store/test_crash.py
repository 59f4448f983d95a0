"""What was acknowledged outlives kill -9 at any moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from greensalt.store.connections import Connection
from greensalt.store.sqlite import SqliteStore

WRITERS = 20

WRITE = """
import sys
from pathlib import Path

import gevent

from greensalt.store.sqlite import SqliteStore
from tests.store._samples import a_job, a_return

store = SqliteStore(Path(sys.argv[1]))
jid = sys.argv[2]
store.add_job(a_job(jid))

def write(writer):
    number = 0
    while True:
        name = f"{writer}-{number}"
        assert store.add_return(a_return(jid, name, name * 50))
        print(name, flush=True)
        number += 1

writers = int(sys.argv[3])
gevent.joinall([gevent.spawn(write, writer) for writer in range(writers)], raise_error=True)
"""

PRUNE = """
import sys
from pathlib import Path

from greensalt.store.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]))
print("begun", flush=True)
store.prune(1, 0)
print("done", flush=True)
"""


def _child(program: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *args],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent.parent,
    )


def _writer(path: Path, jid: str) -> subprocess.Popen[str]:
    return _child(WRITE, str(path), jid, str(WRITERS))


def _read_until_killed(child: subprocess.Popen[str], lines: int) -> list[str]:
    """Kill the child after so many lines of its output; gives all whole lines it has written."""
    assert child.stdout is not None
    read = [child.stdout.readline() for _ in range(lines)]
    child.kill()
    read += child.stdout.readlines()
    child.stdout.close()
    child.wait()
    return [line.strip() for line in read if line.endswith("\n")]


def test_every_acknowledged_return_is_there_after_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    acknowledged: dict[str, list[str]] = {}
    for jid, lines in (("1", 1), ("2", 137), ("3", 900)):
        acknowledged[jid] = _read_until_killed(_writer(path, jid), lines)
        assert len(acknowledged[jid]) >= lines

        store = SqliteStore(path)
        for job, names in acknowledged.items():
            kept = {ret.id: ret for ret in store.returns(job, limit=1_000_000)}
            assert set(names) <= set(kept)
            # Committed but not yet told: at most one of each writer.
            assert len(kept) - len(names) <= WRITERS
            assert all(ret.ret == name * 50 for name, ret in kept.items())
            assert store.returned(job) == sorted(kept)
        store.close()


def test_a_prune_that_was_killed_is_finished_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    _read_until_killed(_writer(path, "1"), 4000)
    _read_until_killed(_child(PRUNE, str(path)), 1)
    store = SqliteStore(path)
    assert store.prune(1, 0) <= 1
    assert store.job("1") is None
    left = store.database.read(
        lambda connection: [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("jobs", "functions", "expected", "returns", "doomed")
        ]
    )
    assert left == [0, 0, 0, 0, 0]
    assert store.database.read(_check) == "ok"
    store.close()


def test_a_file_is_whole_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    _read_until_killed(_writer(path, "1"), 500)
    store = SqliteStore(path)
    assert store.database.read(_check) == "ok"
    store.close()


def _check(connection: Connection) -> str:
    answer: str = connection.execute("PRAGMA integrity_check").fetchone()[0]
    return answer
