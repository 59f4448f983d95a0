"""state.orchestrate and state.event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.runners.conftest import House

Make = Callable[..., House]


@pytest.fixture(name="play")
def _play(house: Make, short_dir: Path) -> Callable[..., Any]:
    """Runs an SLS text as an orchestration: {id: result}, in the order of the run."""

    def play(text: str, made: House | None = None, **kwarg: Any) -> Any:
        (short_dir / "sls").mkdir(exist_ok=True)
        (short_dir / "sls/deploy.sls").write_text(text)
        stage = made or house(file_roots={"base": [str(short_dir / "sls")]}, timeout=1)
        run = stage.bench.master.runs.call("runner", "state.orchestrate", ["deploy"], kwarg, "root")
        assert run.ret["outputter"] == "highstate", run.ret
        [states] = run.ret["data"].values()
        assert run.success == (not isinstance(states, list) and all_good(states))
        if isinstance(states, list):
            return states
        ordered = sorted(states.values(), key=lambda state: state["__run_num__"])
        return {state["__id__"]: state for state in ordered}

    return play


def all_good(states: dict[str, Any]) -> bool:
    return all(state["result"] is not False for state in states.values())


def test_steps_run_in_the_order_of_their_requisites(play: Callable[..., Any]) -> None:
    done = play(
        "second: {salt.runner: [{name: test.arg}, {arg: [2]}, {require: [{salt: first}]}]}\n"
        "first: {salt.runner: [{name: test.arg}, {colour: '{{ pillar.colour }}'}]}\n"
        "third: {salt.wheel: [{name: key.list}, {match: acc}]}\n",
        pillar={"colour": "green"},
    )
    assert list(done) == ["first", "second", "third"]
    assert done["first"]["changes"] == {"return": {"args": [], "kwargs": {"colour": "green"}}}
    assert done["first"]["comment"] == "Runner function 'test.arg' executed."
    assert done["third"]["changes"] == {"return": {"minions": []}}


def test_what_requires_a_failed_step_fails_and_what_is_for_failures_runs(
    play: Callable[..., Any],
) -> None:
    done = play(
        "bad: {salt.runner: [{name: test.exception}]}\n"
        "after: {salt.runner: [{name: test.arg}, {require: [{salt: bad}]}]}\n"
        "rescue: {salt.runner: [{name: test.arg}, {onfail: [{salt: bad}]}]}\n"
        "idle: {salt.runner: [{name: test.arg}, {onfail: [{salt: rescue}]}]}\n"
    )
    assert [done[name]["result"] for name in done] == [False, False, True, True]
    assert done["after"]["comment"] == "One or more requisite failed: deploy.bad"
    assert done["rescue"]["changes"]
    assert not done["idle"]["changes"]


def test_a_test_runs_nothing_but_states_in_test_mode(
    house: Make, short_dir: Path, play: Callable[..., Any]
) -> None:
    made = house(file_roots={"base": [str(short_dir / "sls")]}, timeout=5)
    made.minion("m1")
    asked: list[Any] = []

    def answer(_: str, arg: Any) -> Any:
        asked.append(arg)
        return {"a_|-b_|-c_|-d": {"result": None, "changes": {"x": 1}, "comment": "would"}}

    made.answers.update({"state.sls": answer, "test.ping": answer})
    done = play(
        "apply: {salt.state: [{tgt: m1}, {sls: web}]}\n"
        "ping: {salt.function: [{name: test.ping}, {tgt: m1}]}\n"
        "run: {salt.runner: [{name: test.exception}]}\n"
        "wheel: {salt.wheel: [{name: key.delete}, {match: m1}]}\n",
        made,
        test=True,
    )
    assert asked == [["web", {"test": True, "__kwarg__": True}]]
    assert [each["result"] for each in done.values()] == [None] * 4
    assert made.run("manage.joined") == ["m1"]
    assert done["ping"]["comment"] == "Function test.ping would be executed on target m1"


def test_failhard_ends_the_orchestration(play: Callable[..., Any]) -> None:
    done = play(
        "bad: {salt.runner: [{name: test.exception}, {failhard: true}]}\n"
        "after: {salt.runner: [{name: test.arg}]}\n"
    )
    assert list(done) == ["bad"]


def test_functions_and_states_of_minions_are_steps(
    house: Make, short_dir: Path, play: Callable[..., Any]
) -> None:
    made = house(file_roots={"base": [str(short_dir / "sls")]}, timeout=5)
    made.minion("m1")
    applied = {"a_|-b_|-c_|-d": {"result": True, "changes": {"x": 1}, "comment": "done"}}
    asked: list[Any] = []

    def apply(_: str, arg: Any) -> Any:
        asked.append(arg)
        return applied

    made.answers["state.sls"] = apply
    done = play(
        "ping: {salt.function: [{name: test.ping}, {tgt: '*'}]}\n"
        "apply: {salt.state: [{tgt: m1}, {sls: [web, db]}, {pillar: {v: 3}}]}\n"
        "nobody: {salt.function: [{name: test.ping}, {tgt: nobody}]}\n",
        made,
    )
    assert done["ping"]["changes"] == {"ret": {"m1": True}}
    assert done["apply"]["changes"] == {"out": "highstate", "ret": {"m1": applied}}
    assert done["apply"]["result"] is True
    assert asked == [["web,db", {"pillar": {"v": 3}, "__kwarg__": True}]]
    assert done["nobody"]["result"] is False
    made.answers["state.sls"] = ["No matching sls found"]
    done = play("apply: {salt.state: [{tgt: m1}, {sls: web}]}\n", made)
    assert done["apply"]["comment"] == (
        "Run failed on minions: m1\nMinion m1 returned errors: No matching sls found"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: {salt.runner: [{require: [b]}]}\nb: {salt.runner: [{require: [a]}]}", "recursive"),
        ("a: {salt.runner: [{require: [a]}]}", "recursive"),
        (
            "a: {salt.runner: [{require: [{salt: zzz}]}]}",
            "not exist for requisite [require: (salt: zzz)] in state [a] in SLS [deploy]",
        ),
        ("a: {pkg.installed: []}", "only salt.state"),
        ("a: {salt.function: [{tgt: m1}, {batch: 1}]}", "'deploy': batch: not supported"),
        ("a: {salt.runner: [{onlyif: 'true'}]}", "'deploy': onlyif: not supported"),
        ("a: [1]", "is not a dictionary"),
        ("a: {{ nothing.here }}", "Rendering SLS 'deploy' failed"),
    ],
)
def test_what_can_not_be_played_is_told(play: Callable[..., Any], text: str, reason: str) -> None:
    [told] = play(text)
    assert reason in told


def test_an_sls_that_is_not_there_is_told(house: Make) -> None:
    made = house()
    outcome = made.bench.master.runs.call("runner", "state.orchestrate", ["nosuch"])
    assert outcome.ret["data"][made.bench.config.id] == [
        "No matching sls found for 'nosuch' in env 'base'"
    ]
    assert outcome.retcode == 1


def test_events_are_shown_as_they_come(house: Make) -> None:
    made = house()
    runs = made.bench.master.runs
    bus = made.bench.listen("salt/run/")
    run = runs.start("runner", "state.event", ["my/*"], {"count": 2})
    gevent.sleep(0)
    made.run("event.send", "other/tag", {"a": 0})
    made.run("event.send", "my/tag", {"a": 1})
    made.run("event.send", "my/tag", {"a": 2})
    shown = []
    while (event := bus.next(60)) is not None and event[0] != f"{run.tag}/ret":
        if event[0] == f"{run.tag}/progress":
            shown.append(event[1]["data"])
    assert [text.split("\t")[0] for text in shown] == ["my/tag", "my/tag"]
    assert '"a": 2' in shown[1]


def test_a_run_can_be_ended(house: Make) -> None:
    made = house()
    run = made.bench.master.runs.start("runner", "state.event", ["my/*"])
    gevent.sleep(0)
    bus = made.bench.listen(f"{run.tag}/")
    assert made.run("jobs.end_run", run.jid) is True
    event = bus.next(60)
    assert event is not None
    assert event[1]["return"] == "This was ended before it was done."
    assert made.run("jobs.end_run", run.jid) is False
