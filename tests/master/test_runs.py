"""Runners and wheel functions by way of the wire, on a real master."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests._bench import Bench

Make = Callable[..., Bench]


def ask(bench: Bench, cmd: str, fun: Any, **fields: Any) -> Any:
    load = {"cmd": cmd, "fun": fun, "user": "root", "key": bench.user_key(), **fields}
    return bench.anybody().clear(load)


def ran(bench: Bench, fun: str, *arg: Any, **kwarg: Any) -> dict[str, Any]:
    """The one return of a runner, as a follower sees it."""
    jid = ask(bench, "runner", fun, arg=list(arg), kwarg=kwarg)["jid"]
    while True:
        page = bench.follow(jid)["load"]
        if page["returns"]:
            [row] = page["returns"]
            assert isinstance(row, dict)
            return row
        gevent.sleep(0.01)


def test_a_runner_is_announced_and_its_result_is_an_event_and_in_the_store(bench: Make) -> None:
    master = bench()
    bus = master.listen("salt/run/")
    reply = ask(master, "runner", "test.arg", arg=[1, "b"], kwarg={"c": 2})
    jid = reply["jid"]
    assert reply == {"tag": f"salt/run/{jid}", "jid": jid}
    new, ret = bus.next(60), bus.next(60)
    assert new is not None
    assert ret is not None
    about = {"fun": "runner.test.arg", "jid": jid, "user": "root", "fun_args": [1, "b", {"c": 2}]}
    assert new[0] == f"salt/run/{jid}/new"
    assert {key: value for key, value in new[1].items() if key != "_stamp"} == about
    result = {"args": [1, "b"], "kwargs": {"c": 2}}
    assert ret[0] == f"salt/run/{jid}/ret"
    del ret[1]["_stamp"]
    assert ret[1] == {**about, "return": result, "success": True}
    [row] = master.follow(jid)["load"]["returns"]
    assert (row["id"], row["return"], row["retcode"]) == (master.config.id, result, 0)


def test_jobs_of_runners_are_listed_and_looked_up_like_others(bench: Make) -> None:
    master = bench()
    jid = ask(master, "runner", "test.arg", arg=["here"])["jid"]
    while not master.follow(jid)["load"]["returns"]:
        gevent.sleep(0.01)
    name = master.config.id
    found = ran(master, "jobs.lookup_jid", jid)["return"][name]
    del found["_stamp"]
    assert found == {
        "fun": "runner.test.arg",
        "jid": jid,
        "user": "root",
        "fun_args": ["here"],
        "return": {"args": ["here"], "kwargs": {}},
        "success": True,
    }
    shown = ran(master, "jobs.list_jobs", search_function="runner.test.*")["return"]
    assert list(shown) == [jid]
    assert shown[jid]["Function"] == "runner.test.arg"
    assert shown[jid]["Target"] == name


def test_an_unknown_function_is_a_failed_run(bench: Make) -> None:
    row = ran(bench(), "test.nothing")
    assert row["return"] == "'test.nothing' is not available."
    assert (row["success"], row["retcode"]) == (False, 1)


def test_what_a_runner_raises_is_its_result(bench: Make) -> None:
    row = ran(bench(), "test.exception", "as it should")
    assert row["return"] == (
        "Exception occurred in runner test.exception: CommandExecutionError: as it should"
    )
    assert (row["success"], row["retcode"]) == (False, 1)


@pytest.mark.parametrize("kwarg", [{"nonsense": 1}, {"context": {}}])
def test_arguments_that_a_runner_does_not_take_are_told(bench: Make, kwarg: Any) -> None:
    row = ran(bench(), "test.sleep", **kwarg)
    assert row["return"].startswith("Passed invalid arguments to test.sleep: ")
    assert next(iter(kwarg)) in row["return"]
    assert row["success"] is False


def test_a_runner_without_an_argument_that_it_needs_shows_its_usage(bench: Make) -> None:
    row = ran(bench(), "jobs.list_job")
    assert "missing 1 required positional argument: 'jid'" in row["return"]
    assert "Usage:" in row["return"]
    assert row["success"] is False


def test_an_exit_code_that_a_runner_sets_is_kept(bench: Make) -> None:
    row = ran(bench(), "test.retcode", 3)
    assert (row["return"], row["retcode"], row["success"]) == (True, 3, False)


def test_a_users_runner_may_block_and_call_others(bench: Make, short_dir: Path) -> None:
    directory = short_dir / "mine"
    directory.mkdir()
    (directory / "garden.py").write_text(
        "import time\n"
        "def water(litres, *, context):\n"
        "    time.sleep(0.01)\n"
        "    context.fire_event('garden/wet', {'litres': litres})\n"
        "    return context.runner('test.arg', litres)\n"
    )
    master = bench(runner_dirs=[str(directory)])
    bus = master.listen("garden/")
    assert ran(master, "garden.water", 4)["return"] == {"args": [4], "kwargs": {}}
    event = bus.next(60)
    assert event is not None
    assert event[1]["litres"] == 4


def test_runs_beyond_the_lane_wait_and_parts_of_a_run_do_not(bench: Make, short_dir: Path) -> None:
    directory = short_dir / "mine"
    directory.mkdir()
    (directory / "outer.py").write_text(
        "def f(*, context): return context.runner('test.arg', 'inner')\n"
    )
    master = bench(runners_at_once=1, runner_dirs=[str(directory)])
    first = ask(master, "runner", "test.sleep", arg=[0.3])["jid"]
    assert ran(master, "outer.f")["return"]["args"] == ["inner"]
    # It was begun later and waited: the first has returned by now.
    assert master.follow(first)["load"]["returns"]


def test_runs_at_work_are_active(bench: Make) -> None:
    master = bench()
    jid = ask(master, "runner", "test.sleep", arg=[30])["jid"]
    active = ran(master, "jobs.active")["return"]
    assert active[jid]["Function"] == "runner.test.sleep"
    assert list(active) == [jid]


def test_a_master_that_stops_says_so_of_its_runs(bench: Make) -> None:
    master = bench()
    jid = ask(master, "runner", "test.sleep", arg=[30])["jid"]
    master.restart()
    [row] = master.follow(jid)["load"]["returns"]
    assert row["return"] == "The master was stopped while this was at work."
    assert row["success"] is False


def test_a_wheel_function_answers_when_it_is_done(bench: Make) -> None:
    master = bench()
    master.peer("m1")
    bus = master.listen("salt/wheel/")
    reply = ask(master, "wheel", "key.list_all")
    assert reply["data"]["fun"] == "wheel.key.list_all"
    assert reply["data"]["success"] is True
    assert "m1" in reply["data"]["return"]["minions_pre"] + reply["data"]["return"]["minions"]
    assert [bus.next(60)[0], bus.next(60)[0]] == [  # type: ignore[index]
        f"{reply['tag']}/new",
        f"{reply['tag']}/ret",
    ]


@pytest.mark.parametrize("cmd", ["runner", "wheel"])
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"key": "wrong"}, "AuthenticationError"),
        ({"key": None}, "AuthenticationError"),
        ({"fun": ["test.arg"]}, "SaltInvocationError"),
        ({"fun": "test"}, "SaltInvocationError"),
        ({"kwarg": [1]}, "SaltInvocationError"),
    ],
)
def test_bad_requests_are_refused_with_the_reason(
    bench: Make, cmd: str, fields: dict[str, Any], error: str
) -> None:
    master = bench()
    bus = master.listen("salt/")
    reply = ask(master, cmd, **{"fun": "test.arg", **fields})
    assert reply["error"]["name"] == error
    assert bus.next(0.1) is None


@pytest.mark.parametrize("cmd", ["runner", "wheel"])
def test_a_user_of_publisher_acl_may_run_nothing_by_that(bench: Make, cmd: str) -> None:
    master = bench(publisher_acl={"nobody": [".*"]})
    reply = ask(master, cmd, "test.arg", user="nobody", key=master.user_key("nobody"))
    assert reply["error"]["name"] == "AuthorizationError"
