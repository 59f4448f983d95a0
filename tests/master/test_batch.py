"""Batches that the master leads: nobody has to stay, and no minion runs a job twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from greensalt.errors import CommandExecutionError
from greensalt.master.batch.run import BatchRun
from greensalt.master.batch.state import BatchState
from greensalt.wire.dialect import pack_bin
from tests._bench import Bench
from tests.client._fleet import SILENT, Fleet
from tests.master.test_runs import ran

Make = Callable[..., Bench]
IDS = ("m0", "m1", "m2", "m3")


@pytest.fixture
def made(bench: Make) -> Bench:
    return bench(auto_accept=True, gather_job_timeout=1, timeout=1)


@pytest.fixture
def fleet(made: Bench) -> Iterator[Fleet]:
    with Fleet(made, IDS) as fleet:
        fleet.answer = lambda _id, fun, _arg: SILENT if fun == "cmd.run" else True
        yield fleet


def begin(made: Bench, size: Any = "1", tgt: Any = "m*", **more: Any) -> str:
    """Have the master begin a batch of cmd.run; its jid."""
    fields = {key: more.pop(key) for key in ("user", "key") if key in more}
    options = {"size": size, "timeout": 60, **more}
    reply = made.publish(tgt, "cmd.run", ["x"], cmd="batch", batch=options, **fields)
    assert "error" not in reply, reply
    return str(reply["load"]["jid"])


def status(made: Bench, jid: str) -> dict[str, Any]:
    found = made.master.batches.status(jid)
    assert found is not None
    return found


def asked(fleet: Fleet) -> list[str]:
    return [minion_id for minion_id, fun in fleet.asked if fun == "cmd.run"]


def wait_asked(made: Bench, fleet: Fleet, *ids: str) -> None:
    made.until(lambda: sorted(asked(fleet)) == sorted(ids))


def wait_running(made: Bench, jid: str, ids: list[str]) -> None:
    """Minions may be asked a moment before the batch counts them as running."""
    made.until(lambda: bool(status(made, jid)["running"] == ids))


def finish_all(made: Bench, fleet: Fleet, jid: str) -> None:
    def over() -> bool:
        for minion_id in sorted(fleet.busy.get(jid, ())):
            fleet.finish(jid, minion_id, "ok")
        return bool(status(made, jid)["state"] == "complete")

    made.until(over)


def test_one_job_goes_from_minion_to_minion(made: Bench, fleet: Fleet) -> None:
    events = made.listen("salt/batch/")
    jid = begin(made)
    for number, minion_id in enumerate(IDS):
        wait_asked(made, fleet, *IDS[: number + 1])
        wait_running(made, jid, [minion_id])
        fleet.finish(jid, minion_id, "ok")
    made.until(lambda: status(made, jid)["state"] == "complete")
    assert sorted(made.master.store.returned(jid)) == list(IDS)
    told: list[str] = []
    while told[-1:] != ["complete"]:
        event = events.next(60)
        assert event is not None, told
        told.append(event[0].removeprefix(f"salt/batch/{jid}/"))
    assert events.next(0.1) is None
    assert told[0] == "new"
    assert "progress" in told


def test_a_share_of_the_minions_works_at_once(made: Bench, fleet: Fleet) -> None:
    jid = begin(made, "50%")
    wait_asked(made, fleet, "m0", "m1")
    fleet.finish(jid, "m1", "ok")
    wait_asked(made, fleet, "m0", "m1", "m2")
    wait_running(made, jid, ["m0", "m2"])


def test_a_failure_halts_the_batch_and_resuming_forgives_it(made: Bench, fleet: Fleet) -> None:
    jid = begin(made, failhard=True)
    wait_asked(made, fleet, "m0")
    fleet.busy[jid].discard("m0")
    fleet.peers["m0"].returns(jid, "no", fun="cmd.run", retcode=1, success=False)
    made.until(lambda: status(made, jid)["state"] == "halted")
    assert (asked(fleet), status(made, jid)["waiting"]) == (["m0"], ["m1", "m2", "m3"])
    made.master.batches.resume(jid)
    finish_all(made, fleet, jid)
    assert sorted(asked(fleet)) == list(IDS)


def test_a_batch_is_stopped_and_resumed(made: Bench, fleet: Fleet) -> None:
    jid = begin(made)
    wait_asked(made, fleet, "m0")
    made.master.batches.stop(jid)
    fleet.finish(jid, "m0", "ok")
    made.until(lambda: made.master.store.returned(jid) == ["m0"])
    assert (asked(fleet), status(made, jid)["state"]) == (["m0"], "stopped")
    made.master.batches.resume(jid)
    finish_all(made, fleet, jid)
    assert sorted(asked(fleet)) == list(IDS)
    with pytest.raises(CommandExecutionError, match="complete"):
        made.master.batches.resume(jid)


def test_a_batch_can_be_resumed_as_soon_as_it_says_that_it_is_stopped(
    made: Bench, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who led it may have to write something down first."""
    jid = begin(made)
    wait_asked(made, fleet, "m0")
    (run,) = made.master.batches._runs.values()
    begun, go_on = Event(), Event()

    def step() -> None:
        begun.set()
        go_on.wait()

    monkeypatch.setattr(run, "_step", step)
    run.wake()
    assert begun.wait(60)
    made.master.batches.stop(jid)
    assert jid in made.master.batches._working
    gevent.spawn_later(0.2, go_on.set)
    assert made.master.batches.resume(jid)["state"] == "running"
    finish_all(made, fleet, jid)
    assert sorted(asked(fleet)) == list(IDS)


def test_a_restart_of_the_master_goes_on_where_it_was(made: Bench, fleet: Fleet) -> None:
    jid = begin(made)
    wait_asked(made, fleet, "m0")
    fleet.finish(jid, "m0", "ok")
    wait_asked(made, fleet, "m0", "m1")
    made.restart()
    assert status(made, jid)["waiting"] == ["m2", "m3"]
    with Fleet(made, IDS) as after:
        after.answer = fleet.answer
        after.busy = {jid: {"m1"}}
        finish_all(made, after, jid)
        assert sorted(asked(after)) == ["m2", "m3"]
    assert sorted(made.master.store.returned(jid)) == list(IDS)


def test_who_is_not_there_is_told_at_once_and_gets_no_job(made: Bench, fleet: Fleet) -> None:
    fleet.peers["m1"].close()
    made.until(lambda: not made.master.presence.is_connected("m1"))
    jid = made.publish(
        ["m0", "m1", "gone"], "cmd.run", tgt_type="list", cmd="batch", batch={"size": 5}
    )["load"]["jid"]
    made.until(lambda: bool(status(made, jid)["known"]))
    assert status(made, jid)["down"] == ["gone", "m1"]


def test_the_next_one_waits_for_the_pause(made: Bench, fleet: Fleet) -> None:
    jid = begin(made, wait=3600)
    wait_asked(made, fleet, "m0")
    wait_running(made, jid, ["m0"])
    fleet.finish(jid, "m0", "ok")
    made.until(lambda: status(made, jid)["running"] == [])
    assert (asked(fleet), status(made, jid)["state"]) == (["m0"], "running")


@pytest.mark.parametrize(("limit", "first"), [(4, ["m0", "m1"]), (5, list(IDS))])
def test_the_safe_limit_makes_a_batch_of_a_large_job(
    made: Bench, fleet: Fleet, limit: int, first: list[str]
) -> None:
    jid = begin(made, None, safe_limit=limit, safe_size="2")
    wait_asked(made, fleet, *first)
    wait_running(made, jid, first)


@pytest.mark.parametrize("batch", [None, {"size": "x"}, {"size": 1, "wait": "long"}])
def test_what_can_not_be_read_is_refused(made: Bench, fleet: Fleet, batch: Any) -> None:
    reply = made.publish("*", "cmd.run", cmd="batch", batch=batch)
    assert reply["error"]["name"] == "SaltInvocationError"


def test_a_batch_needs_the_key_of_its_user(made: Bench, fleet: Fleet) -> None:
    reply = made.publish("*", "cmd.run", cmd="batch", batch={"size": 1}, key="wrong")
    assert reply["error"]["name"] == "AuthenticationError"


def test_a_minion_that_runs_nothing_is_given_up(made: Bench, fleet: Fleet) -> None:
    jid = begin(made, timeout=0.1)
    wait_asked(made, fleet, "m0")
    fleet.forget("m0")
    made.until(lambda: "m1" in asked(fleet))
    assert status(made, jid)["silent"] == ["m0"]


def test_a_status_of_thousands_of_minions_is_small(made: Bench) -> None:
    ids = [f"m{number:04}" for number in range(5000)]
    state = BatchState("20261123000000000000", "root", {"fun": "x.y"}, "1000", up=ids)
    state.down, state.silent = [f"d{each}" for each in ids], ids[:900]
    run = BatchRun(state, made.master.batches._parts)
    run.sent, run.steps = ids[:2050], [ids[:1000], ids[1000:2000], ids[2000:2020], ids[2020:2050]]
    run.returned = set(ids[900:1000])
    small = run.status()
    assert len(pack_bin(small)) < 8000
    assert small["counts"] == {
        "minions": 5000,
        "down": 5000,
        "waiting": 2950,
        "running": 1050,
        "silent": 900,
        "steps": 4,
        "sent": 2050,
        "returned": 100,
    }
    assert small["waiting"] == ids[2050:2150]
    assert small["steps"] == run.steps[2:]
    full = run.status(names=True)
    assert (full["waiting"], full["steps"]) == (ids[2050:], run.steps)
    assert full["counts"] == small["counts"]
    run.steps = [ids[:1000]]
    assert run.status()["steps"] == [ids[:100]]


def test_all_names_are_given_on_request_and_a_list_of_batches_has_none(
    made: Bench, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greensalt.master.batch.run.NAMES_MOST", 2)
    jid = begin(made)
    wait_running(made, jid, ["m0"])
    assert ran(made, "batch.status", jid)["return"]["waiting"] == ["m1", "m2"]
    full = ran(made, "batch.status", jid, "names=True")["return"]
    assert (full["waiting"], full["counts"]["waiting"]) == (["m1", "m2", "m3"], 3)
    (listed,) = ran(made, "batch.list")["return"].values()
    assert (listed["counts"], listed["state"]) == (full["counts"], "running")
    assert not [key for key, value in listed.items() if isinstance(value, list)]


def test_a_follower_of_a_batch_can_do_without_its_minions(made: Bench, fleet: Fleet) -> None:
    jid = begin(made)
    wait_asked(made, fleet, "m0")
    assert made.follow(jid)["load"]["minions"] == ["m0"]
    followed = made.follow(jid, minions=False)["load"]
    assert (followed["minions"], followed["batch"]["counts"]["sent"]) == ([], 1)


def test_a_minion_of_an_earlier_slice_can_ask_for_the_job_again(made: Bench, fleet: Fleet) -> None:
    """It was away in that moment; after a restart of the master, too."""
    jid = begin(made, size=2)
    wait_asked(made, fleet, "m0", "m1")
    fleet.finish(jid, "m1", "ok")
    wait_asked(made, fleet, "m0", "m1", "m2")

    def missed(fleet: Fleet) -> dict[str, list[list[str]]]:
        asked = {
            minion_id: peer.request("_missed_jobs", window=60, seen=[])
            for minion_id, peer in fleet.peers.items()
        }
        return {
            minion_id: [load["tgt"] for load in loads if load["jid"] == jid]
            for minion_id, loads in asked.items()
        }

    assert missed(fleet) == {"m0": [["m0"]], "m1": [], "m2": [["m2"]], "m3": []}
    wait_running(made, jid, ["m0", "m2"])
    made.restart()
    made.master.jobs.redelivery._is_read = True  # however old the job is by now
    with Fleet(made, IDS) as after:
        both = [["m0", "m1", "m2"]]
        assert missed(after) == {"m0": both, "m1": [], "m2": both, "m3": []}
