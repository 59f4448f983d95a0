"""Jobs run side by side, capped, findable and killable."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

from greensalt.minion.executor import Executor
from greensalt.wire.dialect import unpack_bin


def cut_off(load: dict[str, Any]) -> dict[str, Any]:
    return {**load, "jid": f"{load['jid']} was cut off"}


class Work:
    """Jobs that run until they are let go."""

    def __init__(self, directory: Path, most: int = -1) -> None:
        self.let_go = Event()
        self.begun: list[str] = []
        self.delivered: list[str] = []
        self.proc = directory / "proc"
        self.executor = Executor(self.proc, self.execute, self.deliver, most, cut_off=cut_off)
        self.executor.open()

    def execute(self, load: dict[str, Any]) -> dict[str, Any]:
        self.begun.append(load["jid"])
        self.let_go.wait()
        return load

    def deliver(self, load: dict[str, Any]) -> None:
        self.delivered.append(load["jid"])

    def submit(self, *jids: str) -> None:
        for jid in jids:
            self.executor.submit(
                {"jid": jid, "fun": "test.sleep", "arg": [9], "tgt": "*", "ret": "", "user": "root"}
            )

    def settle(self) -> None:
        with gevent.Timeout(60):
            while self.executor.running():
                gevent.sleep(0.001)


def test_jobs_run_side_by_side_and_deliver_their_results(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.submit("1", "2", "3")
    gevent.sleep(0)
    assert work.begun == ["1", "2", "3"]
    work.let_go.set()
    work.settle()
    assert work.delivered == ["1", "2", "3"]
    assert list(work.proc.iterdir()) == []


def test_no_more_than_the_cap_run_at_once_and_the_rest_follow_in_order(tmp_path: Path) -> None:
    work = Work(tmp_path, most=2)
    work.submit("1", "2", "3", "4")
    gevent.sleep(0)
    assert work.begun == ["1", "2"]
    assert len(work.executor.running()) == 4
    work.let_go.set()
    work.settle()
    assert work.begun == ["1", "2", "3", "4"]


def test_a_running_job_is_described_as_salts_proc_files_are(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.submit("20260101000000000000")
    gevent.sleep(0)
    described = work.executor.find("20260101000000000000")
    assert described == {
        "jid": "20260101000000000000",
        "fun": "test.sleep",
        "arg": [9],
        "tgt": "*",
        "ret": "",
        "user": "root",
        "pid": os.getpid(),
    }
    on_disk = unpack_bin((work.proc / "20260101000000000000").read_bytes())
    assert on_disk == described
    assert work.executor.find("20260101000000000001") == {}
    work.executor.stop(0)


def test_a_killed_job_returns_nothing_and_makes_room(tmp_path: Path) -> None:
    work = Work(tmp_path, most=1)
    work.submit("1", "2", "3")
    gevent.sleep(0)
    assert work.executor.signal("1", signal.SIGTERM) == (
        f"Signal 15 sent to job 1 at pid {os.getpid()}"
    )
    assert "sent to job 3" in work.executor.signal("3", signal.SIGKILL)
    gevent.sleep(0.01)
    assert work.begun == ["1", "2"]
    work.let_go.set()
    work.settle()
    assert work.delivered == ["2"]


def test_a_signal_that_no_greenlet_can_get_is_refused_in_words(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.submit("1")
    gevent.sleep(0)
    assert "can't be sent" in work.executor.signal("1", signal.SIGUSR1)
    assert work.executor.signal("nobody", signal.SIGTERM) == ""
    work.executor.stop(0)


def test_a_job_of_a_killed_run_is_returned_as_cut_off_and_not_run_again(tmp_path: Path) -> None:
    killed = Work(tmp_path)
    killed.submit("1", "2")
    gevent.sleep(0)
    again = Work(tmp_path)  # the first one never learns of it, as if it had been killed
    again.executor.settle(returned={"2"})  # whose result was in the outbox
    assert again.delivered == ["1 was cut off"]
    assert again.begun == []
    assert list(again.proc.iterdir()) == []
    again.executor.settle(returned=set())
    assert again.delivered == ["1 was cut off"]


def test_what_is_no_mark_of_a_job_is_removed_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "20260101000000000000").write_bytes(b"stale")
    work = Work(tmp_path)
    work.executor.settle(returned=set())
    assert (list(work.proc.iterdir()), work.delivered) == ([], [])


def test_a_job_that_ends_with_its_minion_is_returned_as_cut_off(tmp_path: Path) -> None:
    work = Work(tmp_path, most=1)
    work.submit("1", "2")
    gevent.sleep(0)
    work.executor.stop(0)
    assert work.delivered == ["1 was cut off"]  # "2" has not begun
    assert list(work.proc.iterdir()) == []


def test_stop_gives_running_jobs_their_grace(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.submit("1")
    gevent.sleep(0)
    gevent.spawn_later(0.05, work.let_go.set)
    work.executor.stop(5)
    assert work.delivered == ["1"]
