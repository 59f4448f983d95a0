"""The schedule: when a job is due, what runs, and how it is changed."""

# ruff: noqa: DTZ001  # schedules go by local time

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import gevent
import pytest
import yaml

from greensalt.errors import ConfigError
from greensalt.green import Crew
from greensalt.minion.schedule.cron import Cron
from greensalt.minion.schedule.orders import manage
from greensalt.minion.schedule.scheduled import ScheduledJob
from greensalt.minion.schedule.scheduler import Scheduler
from tests._bench import Bench
from tests._load import loop_turns
from tests.minion.test_missed import Join, join

__all__ = ["join"]  # the fixture

NOON = datetime(2026, 1, 1, 12, 0)  # a Thursday
DOCUMENT = (Path(__file__).parents[2] / "docs/schedule.md").read_text()


def job(**config: Any) -> ScheduledJob:
    return ScheduledJob("j", {"function": "test.ping", **config}, 100.0)


def test_an_interval_runs_at_the_start_and_then_at_each_multiple() -> None:
    made = job(minutes=1, seconds=30)
    due = [now for now in range(100, 400, 10) if made.is_due(now, NOON)]
    assert due == [100, 190, 280, 370]
    assert made.wait_s(380, NOON) == 80


def test_without_run_on_start_the_first_interval_passes_first() -> None:
    made = job(seconds=60, run_on_start=False)
    assert [made.is_due(now, NOON) for now in (100, 159, 160, 161)] == [False, False, True, False]


def test_what_was_slept_through_runs_once() -> None:
    made = job(seconds=10)
    assert made.is_due(100, NOON)
    assert made.is_due(155, NOON)
    assert not made.is_due(159, NOON)
    assert made.is_due(160, NOON)


def test_a_clock_that_is_set_does_no_harm_to_an_interval() -> None:
    made = job(hours=1)
    assert made.is_due(100, NOON)
    assert not made.is_due(101, datetime(2036, 1, 1))
    assert not made.is_due(102, datetime(2016, 1, 1))


def test_once_is_once() -> None:
    made = job(once="2026-01-01T12:00:00")
    assert not made.is_due(0, datetime(2026, 1, 1, 11, 59, 59))
    assert made.is_due(0, NOON)
    assert not made.is_due(0, datetime(2026, 1, 2))


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("1:00pm", ["01 13:00", "02 13:00"]),
        ("13:00", ["01 13:00", "02 13:00"]),
        (13 * 60, ["01 13:00", "02 13:00"]),  # YAML's 13:00
        (13 * 3600, ["01 13:00", "02 13:00"]),  # YAML's 13:00:00
        ("Friday 1:30pm", ["02 13:30"]),
        ("sat 08:00", ["03 08:00"]),
        ("2026-01-02T09:00", ["02 09:00"]),
        ("1/2/2026 9:00am", ["02 09:00"]),
        ("January 2, 2026 9:00 am", ["02 09:00"]),
        (datetime(2026, 1, 2, 9), ["02 09:00"]),
        (["Friday 8:00am", "2:00pm", "2025-01-01T00:00"], ["01 14:00", "02 08:00", "02 14:00"]),
        ("11:00am", ["02 11:00", "03 11:00"]),  # not at once: today's is over
    ],
)
def test_when_is_one_time_or_several(when: Any, expected: list[str]) -> None:
    assert due_in(job(when=when), minutes=48 * 60) == expected


def due_in(made: ScheduledJob, minutes: int) -> list[str]:
    """The minutes from noon on in which a job runs, each looked at once."""
    clocks = [NOON + timedelta(minutes=number) for number in range(minutes)]
    return [
        f"{clock:%d %H:%M}"
        for number, clock in enumerate(clocks)
        if made.is_due(100 + 60 * number, clock) and made.hindrance(clock) is None
    ]


def test_a_time_that_passes_at_midnight_is_not_missed() -> None:
    made = job(when="23:59:59")
    assert not made.is_due(0, datetime(2026, 1, 1, 23, 59, 58))
    assert made.is_due(2, datetime(2026, 1, 2, 0, 0, 1))
    assert not made.is_due(3, datetime(2026, 1, 2, 0, 0, 2))


def test_the_next_look_is_at_the_time_that_is_meant_or_in_a_minute() -> None:
    made = job(when=["12:00:07", "2025-01-01T00:00"])
    assert made.wait_s(0, NOON) == 7
    assert made.wait_s(0, NOON + timedelta(seconds=8)) == 60
    assert job(when="2025-01-01T00:00").wait_s(0, NOON) == 60


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, [0, 10, 20, 30, 40]),
        ({"until": "2026-01-01T12:20"}, [0, 10]),
        ({"after": "1/1/2026 12:20pm"}, [30, 40]),
        ({"range": {"start": "12:10pm", "end": "12:30pm"}}, [10, 20, 30]),
        ({"range": {"start": "12:10pm", "end": "12:30pm", "invert": True}}, [0, 10, 30, 40]),
        ({"skip_during_range": {"start": "12:10pm", "end": "12:30pm"}}, [0, 40]),
        (
            {
                "skip_during_range": {"start": "12:10pm", "end": "12:30pm"},
                "run_after_skip_range": True,
            },
            [0, 31, 40],
        ),
        (
            {"skip_explicit": [{"time": "2026-01-01T12:20:00", "time_fmt": "%Y-%m-%dT%H:%M:%S"}]},
            [0, 10, 30, 40],
        ),
        ({"skip_explicit": ["2026-01-01T12:20:00"]}, [0, 10, 30, 40]),
        ({"range": {"start": "2026-01-02T00:00", "end": "2026-01-03T00:00"}}, []),
    ],
)
def test_limits_keep_a_job_from_running(limits: dict[str, Any], expected: list[int]) -> None:
    made = job(minutes=10, **limits)
    assert due_in(made, minutes=45) == [f"01 12:{minute:02}" for minute in expected]


def test_what_is_skipped_is_counted(tmp_path: Path) -> None:
    limits = {"range": {"start": "1:00pm", "end": "2:00pm"}}
    work = Clockwork(tmp_path, clock=lambda: NOON, a={**HOURLY, **limits}, b=HOURLY)
    work.run()
    assert (work.begun, work.scheduler.skipped) == (["b"], 1)


@pytest.mark.parametrize(
    ("text", "fits", "fails"),
    [
        ("* * * * *", [NOON], []),
        ("*/15 12 * * *", [NOON, NOON.replace(minute=45)], [NOON.replace(minute=50)]),
        ("0 9-12,20 * jan mon-fri", [NOON], [NOON.replace(month=2), NOON.replace(day=3)]),
        ("0 12 * * 0", [NOON.replace(day=4)], [NOON]),
        ("0 12 * * 7", [NOON.replace(day=4)], [NOON]),
        ("0 12 13 * thu", [NOON, NOON.replace(day=13)], [NOON.replace(day=2)]),
    ],
)
def test_cron(text: str, fits: list[datetime], fails: list[datetime]) -> None:
    cron = Cron(text)
    assert all(map(cron.fits, fits))
    assert not any(map(cron.fits, fails))


def test_a_cron_job_runs_once_in_its_minute() -> None:
    made = job(cron="0 12 * * *")
    assert made.is_due(0, NOON)
    assert not made.is_due(1, NOON.replace(second=30))
    assert made.is_due(2, NOON.replace(day=2))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "needs one of"),
        ({"seconds": 5, "cron": "* * * * *"}, "needs one of"),
        ({"cron": "* * *"}, "3 fields"),
        ({"cron": "61 * * * *"}, "'61' is no minute"),
        ({"cron": "* * * * x"}, "'x' is no weekday"),
        ({"seconds": 5, "function": "ping"}, "no function"),
        ({"seconds": 5, "when": "5pm"}, "needs one of"),
        ({"seconds": 5, "nosuch": 1}, "nosuch: unknown, or not supported"),
        ({"when": "tea time"}, "'tea time' is not a time"),
        ({"when": 70_000_000}, "70000000 is not a time"),
        ({"seconds": 5, "range": {"start": "8am"}}, "is not a range"),
        ({"seconds": 5, "range": {"start": "5pm", "end": "8am"}}, "end after it starts"),
        ({"seconds": 5, "range": {"start": "mon 8am", "end": "fri 8am"}}, "from date to date"),
        ({"seconds": "often"}, "often"),
    ],
)
def test_what_is_no_schedule_is_refused_with_its_reason(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match="the schedule 'j': ") as caught:
        job(**config)
    assert said in str(caught.value)


class Clockwork:
    """A scheduler and what it has begun."""

    def __init__(
        self, where: Path, clock: Callable[[], datetime] = datetime.now, **configured: Any
    ) -> None:
        self.begun: list[str] = []
        self.pillar: dict[str, Any] = {}
        self.running = 0
        self.path = where / "minion.d/_schedule.conf"
        self.scheduler = Scheduler(
            configured,
            lambda: self.pillar,
            self.path,
            lambda each: self.begun.append(each.name),
            lambda _name: self.running,
            clock,
        )

    def run(self, seconds: float = 0.05) -> None:
        crew = Crew("test")
        self.scheduler.start(crew)
        gevent.sleep(0)  # its first turn, however late the clock is
        gevent.sleep(seconds)
        assert not crew.failed.ready()
        crew.stop()


def test_a_schedule_that_is_switched_off_waits_for_its_change(tmp_path: Path) -> None:
    made = Clockwork(tmp_path, enabled=False, often={"function": "test.ping", "seconds": 0.001})
    before = loop_turns()
    made.run(0.2)
    assert made.begun == []
    assert loop_turns() - before < 50  # thousands when it does not wait


HOURLY = {"function": "test.ping", "hours": 1}


def test_jobs_of_configuration_and_pillar_begin_and_broken_ones_harm_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = Clockwork(tmp_path, a=HOURLY, off={**HOURLY, "enabled": False}, bad={"function": "x.y"})
    work.pillar = {"b": HOURLY}
    work.run()
    assert sorted(work.begun) == ["a", "b"]
    assert "the schedule 'bad': it needs one of" in caplog.text


def test_no_more_run_at_once_than_maxrunning(tmp_path: Path) -> None:
    work = Clockwork(tmp_path, a=HOURLY, b={**HOURLY, "maxrunning": 2})
    work.running = 1
    work.run()
    assert (work.begun, work.scheduler.skipped) == (["b"], 1)


def test_a_disabled_schedule_begins_nothing(tmp_path: Path) -> None:
    work = Clockwork(tmp_path, a=HOURLY, enabled=False)
    work.run()
    assert work.begun == []


def test_orders_on_the_bus_change_it_and_are_answered(tmp_path: Path) -> None:
    work = Clockwork(tmp_path)
    fired: list[tuple[str, dict[str, Any]]] = []

    def order(func: str, **data: Any) -> tuple[str, bool]:
        manage(work.scheduler, {"func": func, **data}, lambda *event: fired.append(event))
        return fired[-1][0].removeprefix("/salt/minion/minion_schedule_"), fired[-1][1]["complete"]

    assert order("add", name="a", schedule=HOURLY) == ("add_complete", True)
    assert fired[-1][1]["schedule"] == {"a": HOURLY}
    assert yaml.safe_load(work.path.read_text()) == {"schedule": {"a": HOURLY}}
    assert order("disable_job", name="a") == ("disabled_job_complete", True)
    assert work.scheduler.listed()["a"]["enabled"] is False
    assert order("add", name="b", schedule={"function": "no"}) == ("add_complete", False)
    assert order("delete", name="nobody") == ("delete_complete", False)
    assert order("delete", name="a") == ("delete_complete", True)
    assert work.scheduler.listed() == {}


def returns_of_own_jobs(master: Bench, count: int) -> list[dict[str, Any]]:
    """The return events of jobs that a minion began by itself, as the store has them."""
    with gevent.Timeout(60):
        while True:
            store = master.master.store
            jobs = [each.jid for each in store.list_jobs(fun="test.echo")]
            loads = [row.load for jid in jobs for row in store.returns(jid)]
            if len(loads) >= count:
                return loads
            gevent.sleep(0.02)


def test_the_example_of_the_docs_runs_and_returns_to_the_master(
    bench: Callable[..., Bench],
    join: Join,
) -> None:
    example = DOCUMENT.split("```yaml\n")[1].split("```")[0]
    master = bench(auto_accept=True)
    join(master, **yaml.safe_load(example))
    (load,) = returns_of_own_jobs(master, 1)
    assert (load["schedule"], load["return"], load["success"]) == ("greet", "hello", True)
    assert (load["id"], load["metadata"]) == ("m1", {"why": "an example"})


def test_the_module_changes_the_schedule_with_salts_answers(
    bench: Callable[..., Bench], join: Join
) -> None:
    master = bench(auto_accept=True)
    minion = join(master)

    def ask(fun: str, *arg: Any, **kwarg: Any) -> Any:
        given = [*arg, {"__kwarg__": True, **kwarg}] if kwarg else list(arg)
        jid = master.job("m1", f"schedule.{fun}", arg=given)
        with gevent.Timeout(60):
            while not (rows := master.follow(jid)["load"]["returns"]):
                gevent.sleep(0.01)
        return rows[0]["return"]

    assert ask("list") == {"schedule": {}}
    assert ask("add", "a", function="test.echo", seconds=3600, job_args=["x"]) == {
        "comment": "Added job: a to schedule.",
        "result": True,
        "changes": {"a": "added"},
    }
    assert ask("add", "a", seconds=1)["comment"] == "Job a already exists in schedule."
    assert ask("add", "b", seconds=1)["result"] is False
    assert ask("list", return_yaml=False) == {
        "a": {
            "maxrunning": 1,
            "name": "a",
            "enabled": True,
            "jid_include": True,
            "function": "test.echo",
            "seconds": 3600,
            "args": ["x"],
        }
    }
    assert [load["return"] for load in returns_of_own_jobs(master, 1)] == ["x"]  # at its start
    assert ask("run_job", "a")["comment"] == "Scheduling Job a on minion."
    assert [load["return"] for load in returns_of_own_jobs(master, 2)] == ["x", "x"]
    assert ask("disable_job", "a")["comment"] == "Disabled Job a in schedule."
    assert ask("run_job", "a")["comment"] == "Job a is disabled."
    assert ask("is_enabled", "a")["enabled"] is False
    assert ask("delete", "a")["comment"] == "Deleted Job a from schedule."
    assert ask("delete", "a")["comment"] == "Job a does not exist."
    assert minion.schedule.listed() == {}
