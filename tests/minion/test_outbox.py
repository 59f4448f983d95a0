"""The outbox keeps a result on disk until the master has acknowledged it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from greensalt.errors import RequestTimeout
from greensalt.green import Backoff, Crew
from greensalt.minion.outbox import Outbox


class Master:
    """Takes loads in, or refuses as long as it is told to."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.down = False
        self.poison = ""

    def send(self, load: dict[str, Any]) -> None:
        if self.down or load["jid"] == self.poison:
            raise RequestTimeout("nobody there")
        self.taken.append(load["jid"])


@pytest.fixture
def master() -> Master:
    return Master()


def open_outbox(directory: Path, send: Callable[[dict[str, Any]], object]) -> Outbox:
    outbox = Outbox(directory / "outbox", send, Backoff(0.01, 0.02))
    outbox.open()
    return outbox


def files(directory: Path) -> list[Path]:
    return sorted((directory / "outbox").iterdir())


def test_an_acknowledged_result_leaves_the_disk(tmp_path: Path, master: Master) -> None:
    outbox = open_outbox(tmp_path, master.send)
    outbox.put({"jid": "1"})
    (path,) = files(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    crew = Crew("test")
    outbox.start(crew)
    assert outbox.flush(5) == 0
    assert (master.taken, files(tmp_path)) == (["1"], [])
    crew.stop()


def test_what_was_not_acknowledged_is_sent_by_the_next_run(tmp_path: Path, master: Master) -> None:
    master.down = True
    outbox = open_outbox(tmp_path, master.send)
    crew = Crew("test")
    outbox.start(crew)
    for jid in ("1", "2", "3"):
        outbox.put({"jid": jid, "return": b"\xff\x00"})
    with gevent.Timeout(60):
        while not outbox.failed:
            gevent.sleep(0.001)
    crew.stop()
    assert len(files(tmp_path)) == 3

    master.down = False
    again = open_outbox(tmp_path, master.send)
    crew = Crew("test")
    again.start(crew)
    assert again.flush(5) == 0
    assert sorted(master.taken) == ["1", "2", "3"]
    assert files(tmp_path) == []
    crew.stop()


def test_one_result_that_is_never_taken_does_not_hold_up_the_others(
    tmp_path: Path, master: Master
) -> None:
    master.poison = "bad"
    outbox = open_outbox(tmp_path, master.send)
    crew = Crew("test")
    outbox.start(crew)
    for jid in ("bad", "1", "2"):
        outbox.put({"jid": jid})
    with gevent.Timeout(60):
        while len(master.taken) < 2:
            gevent.sleep(0.001)
    assert master.taken == ["1", "2"]
    assert len(outbox) == 1
    crew.stop()


def test_a_result_that_failed_is_tried_at_once_when_the_master_is_back(
    tmp_path: Path, master: Master
) -> None:
    master.down = True
    outbox = Outbox(tmp_path / "outbox", master.send, Backoff(3600, 3600))
    outbox.open()
    crew = Crew("test")
    outbox.start(crew)
    outbox.put({"jid": "1"})
    with gevent.Timeout(60):
        while not outbox.failed:
            gevent.sleep(0.001)
    master.down = False
    outbox.hurry()
    assert outbox.flush(5) == 0
    crew.stop()


def test_a_spooled_file_that_cant_be_read_is_kept_aside_and_harms_nothing(
    tmp_path: Path, master: Master, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = open_outbox(tmp_path, master.send)
    outbox.put({"jid": "good"})
    (tmp_path / "outbox" / "0.p").write_bytes(b"\xc1 garbage")
    again = open_outbox(tmp_path, master.send)
    crew = Crew("test")
    again.start(crew)
    assert again.flush(5) == 0
    assert master.taken == ["good"]
    assert [path.name for path in files(tmp_path)] == ["0.unreadable"]
    assert "can't be read" in caplog.text
    crew.stop()


def test_a_result_is_sent_even_when_it_cant_be_written_down(
    tmp_path: Path, master: Master, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = open_outbox(tmp_path, master.send)
    (tmp_path / "outbox").rmdir()
    (tmp_path / "outbox").write_text("a file where the directory was")
    crew = Crew("test")
    outbox.start(crew)
    outbox.put({"jid": "1"})
    assert outbox.flush(5) == 0
    assert master.taken == ["1"]
    assert "can't be spooled" in caplog.text
    crew.stop()
