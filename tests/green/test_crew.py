"""Greenlets with owners, work off the hub, and the hub's lateness as a figure."""

from __future__ import annotations

import logging
import threading
import time
from types import SimpleNamespace

import gevent
import pytest

from greensalt.green import Backoff, Crew, OnCall, offload, watchdog as watching, within
from greensalt.green.watchdog import Watchdog
from tests._load import wait_for


def fail() -> None:
    raise ValueError("as if it had a bug")


def test_the_death_of_a_vital_greenlet_is_told_with_its_reason() -> None:
    crew = Crew("part")
    crew.spawn_vital("owner", fail)
    assert crew.failed.get(timeout=60) == "part/owner died: ValueError: as if it had a bug"


def test_a_vital_greenlet_may_not_just_end() -> None:
    crew = Crew("part")
    crew.spawn_vital("owner", lambda: None)
    assert crew.failed.get(timeout=60) == "part/owner ended"


def test_a_vital_greenlet_that_somebody_kills_is_missed() -> None:
    crew = Crew("part")
    greenlet = crew.spawn_vital("owner", gevent.sleep, 60)
    gevent.sleep(0)
    greenlet.kill()
    assert crew.failed.get(timeout=60) == "part/owner was killed"


def test_the_death_of_another_greenlet_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    crew = Crew("part")
    crew.spawn("job", fail).join(60)
    assert crew.deaths == 1
    assert not crew.failed.ready()
    assert "part/job died: ValueError" in caplog.text


def test_stop_ends_all_and_is_no_failure() -> None:
    crew = Crew("part")
    crew.spawn_vital("owner", gevent.sleep, 60)
    crew.spawn("job", gevent.sleep, 60)
    gevent.sleep(0)
    assert len(crew) == 2
    crew.stop()
    assert len(crew) == 0
    assert not crew.failed.ready()


def test_a_crew_forgets_those_who_are_done() -> None:
    crew = Crew("part")
    for _ in range(100):
        crew.spawn("job", lambda: None)
    wait_for(lambda: len(crew) == 0)


def test_work_on_call_is_done_each_time_and_leaves_no_greenlet_behind() -> None:
    crew, done = Crew("part"), list[int]()

    def work() -> None:
        gevent.sleep(0.01)
        done.append(len(crew))

    called = OnCall("work", work)
    called.call()  # kept until somebody may do it
    gevent.sleep(0.02)
    assert (done, len(crew)) == ([], 0)
    called.start(crew)
    gevent.sleep(0)
    called.call()  # meanwhile
    called.call()
    wait_for(lambda: (done, len(crew)) == ([1, 1], 0))
    called.call()
    wait_for(lambda: (done, len(crew)) == ([1, 1, 1], 0))
    crew.stop()
    called.call()
    gevent.sleep(0.05)
    assert (len(done), crew.failed.ready()) == (3, False)


def test_the_death_of_work_on_call_is_told_with_its_reason() -> None:
    crew = Crew("part")
    called = OnCall("work", fail)
    called.start(crew)
    called.call()
    assert crew.failed.get(timeout=5) == "part/work died: ValueError: as if it had a bug"


def test_offload_runs_in_another_thread_while_the_hub_goes_on() -> None:
    enough = threading.Event()

    def count() -> None:
        for _ in range(11):
            gevent.sleep(0.001)
        enough.set()

    assert offload(threading.get_ident) != threading.get_ident()
    gevent.spawn(count)
    assert offload(enough.wait, 50)


def test_what_an_offloaded_function_raises_is_raised_here_and_printed_nowhere(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match="as if it had a bug"):
        offload(fail)
    gevent.sleep(0.01)
    assert capfd.readouterr().err == ""


def test_within_leaves_a_block_quietly_and_lets_errors_pass() -> None:
    to_its_end = False
    with gevent.Timeout(50), within(0.05):
        gevent.sleep(60)
        to_its_end = True
    assert not to_its_end
    with pytest.raises(ValueError, match="mine"), within(5):
        raise ValueError("mine")
    with within(None):
        pass


def test_backoff_doubles_up_to_its_limit_and_begins_anew() -> None:
    backoff = Backoff(1, 5)
    waits = [backoff.next_s() for _ in range(5)]
    for wait, most in zip(waits, (1, 2, 4, 5, 5), strict=True):
        assert most / 2 <= wait <= most
    backoff.reset()
    assert backoff.next_s() <= 1


def test_the_watchdog_measures_a_stall_and_names_its_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of the test: on a busy machine the hub is late for other reasons, too."""
    now_s = 1000.0
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: now_s))
    watchdog = Watchdog(report_s=0.1)
    watchdog.start()
    wait_for(lambda: watchdog.figures()["late"]["count"] >= 3)
    with caplog.at_level(logging.WARNING):
        now_s += 0.6
        while "blocks the hub, on purpose" not in caplog.text:
            time.sleep(0.01)  # blocks the hub, on purpose
    ticks = watchdog.figures()["late"]["count"]
    wait_for(lambda: watchdog.figures()["late"]["count"] >= ticks + 3)
    watchdog.stop()
    assert watchdog.longest_s == pytest.approx(0.5)
    assert watchdog.stalls == 1
    figures = watchdog.figures()
    assert figures["late"]["p50"] < figures["late"]["max"] == watchdog.longest_s
    assert caplog.text.count("the hub has been blocked") == 1
