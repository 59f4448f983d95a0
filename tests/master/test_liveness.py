"""Who works on a job: the master asks, once for all who watch (docs/protocol.md 12.7)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import gevent
import pytest

from greensalt.client.jobclient import JobClient
from greensalt.client.watch import JobWatch
from greensalt.master import liveness as living
from tests._bench import Bench
from tests.client._fleet import SILENT, Fleet, client_config

Make = Callable[..., Bench]
IDS = ("m0", "m1", "m2", "m3")
INTERVAL_S = 1.0


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is away is gone."""
    monkeypatch.setattr(living, "AWAY_S", 0.0)


@pytest.fixture
def made(bench: Make) -> Bench:
    return bench(
        auto_accept=True, gather_job_timeout=INTERVAL_S, publisher_acl={"nobody": ["test.*"]}
    )


@pytest.fixture
def fleet(made: Bench) -> Iterator[Fleet]:
    """Four connected minions that work on every `cmd.run` until they are told to finish."""
    with Fleet(made, IDS) as fleet:
        fleet.answer = lambda _id, fun, _arg: SILENT if fun == "cmd.run" else True
        for peer in fleet.peers.values():
            peer.request("_mine_flush")
        yield fleet


class Finds:
    """The find_jobs that a master has sent: when, for which job, and to whom."""

    def __init__(self, made: Bench) -> None:
        self.sent: list[tuple[float, str, list[str]]] = []
        made.master.bus.listen(lambda tag: tag.endswith("/publish"), self._take)

    def _take(self, _tag: str, data: dict[str, Any]) -> None:
        if data["fun"] == "saltutil.find_job":
            self.sent.append((time.monotonic(), data["arg"][0], sorted(data["tgt"])))

    @property
    def targets(self) -> list[list[str]]:
        return [minions for _, _, minions in self.sent]


@pytest.fixture
def finds(made: Bench) -> Finds:
    return Finds(made)


def ask(made: Bench, jid: str, after: int = 0, **fields: Any) -> dict[str, Any]:
    """What a follower is told of who works."""
    told = made.follow(jid, liveness=after, **fields)["load"]["liveness"]
    assert isinstance(told, dict)
    return told


def states(made: Bench, jid: str) -> dict[str, str]:
    return dict(ask(made, jid)["minions"])


def wait_states(made: Bench, jid: str, **wanted: str) -> None:
    made.until(lambda: states(made, jid) == wanted)


def running(made: Bench, fleet: Fleet, tgt: str = "*") -> str:
    """The jid of a job that its minions work on."""
    jid = made.job(tgt, "cmd.run", arg=["x"])
    count = len(IDS) if tgt == "*" else 1
    made.until(lambda: len(fleet.busy.get(jid, ())) == count)
    return jid


def watch_all(made: Bench, jid: str, number: int) -> tuple[list[JobWatch], list[Any]]:
    """So many watchers of one job, each with a client of its own, and their greenlets."""
    clients = [JobClient(config=client_config(made)) for _ in range(number)]
    watches = [client.follow(jid, 0.1) for client in clients]
    return watches, [gevent.spawn(list, watch) for watch in watches]


def test_ten_watchers_are_one_question_in_an_interval(
    made: Bench, fleet: Fleet, finds: Finds
) -> None:
    """And it goes only to those who have not returned and are connected."""
    jid = running(made, fleet)
    fleet.finish(jid, "m0", "done")
    fleet.peers["m1"].close()
    made.until(lambda: not made.master.presence.is_connected("m1"))
    watches, greenlets = watch_all(made, jid, 10)
    made.until(lambda: len(finds.sent) == 1)
    fleet.finish(jid, "m2", "done")
    made.until(lambda: len(finds.sent) == 3)
    assert finds.targets == [["m2", "m3"], ["m3"], ["m3"]]
    assert {about for _, about, _ in finds.sent} == {jid}
    moments = [moment for moment, _, _ in finds.sent]
    assert [after - before >= INTERVAL_S * 0.99 for before, after in pairwise(moments)] == [
        True
    ] * 2
    fleet.finish(jid, "m3", "done")
    gevent.joinall(greenlets, timeout=30, raise_error=True)
    assert [watch.silent for watch in watches] == [{"m1"}] * 10
    assert len(finds.sent) == 3


def test_a_minion_that_works_is_asked_again_after_twice_the_time(
    made: Bench, fleet: Fleet, finds: Finds
) -> None:
    jid = running(made, fleet, "m0")
    watched = made.master.liveness._watched

    def asked(times: int) -> bool:
        wait = states(made, jid)
        assert wait in ({}, {"m0": "running"})
        return len(finds.sent) == times and watched[jid].known.keys() == {"m0"}

    made.until(lambda: asked(1))

    def asked_and_answered(times: int) -> bool:
        return asked(times) and not watched[jid].is_open

    pauses = []
    for times in (2, 3, 4):
        pauses.append(watched[jid].known["m0"].pause_s)
        watched[jid].begun -= 100  # as if the time had passed
        watched[jid].known["m0"] = watched[jid].known["m0"]._replace(due=0)
        made.until(partial(asked_and_answered, times))
    assert pauses == [INTERVAL_S, 2 * INTERVAL_S, 4 * INTERVAL_S]


def test_nobody_is_asked_while_nobody_looks(made: Bench, fleet: Fleet, finds: Finds) -> None:
    first = running(made, fleet, "m0")
    wait_states(made, first, m0="running")
    other = running(made, fleet, "m1")
    since = len(finds.sent)
    # Another job is watched for longer than an interval.
    made.until(lambda: bool(states(made, other)) and len(finds.sent) == since + 3)
    assert {about for _, about, _ in finds.sent[since:]} == {other}


def test_nobody_is_asked_for_who_only_follows_the_returns(
    made: Bench, fleet: Fleet, finds: Finds
) -> None:
    jid = running(made, fleet)
    for _ in range(3):
        assert "liveness" not in made.follow(jid)["load"]
    assert (finds.sent, len(made.master.liveness)) == ([], 0)


def test_each_state_has_its_name(made: Bench, fleet: Fleet) -> None:
    jid = running(made, fleet)
    fleet.forget("m1")
    fleet.down.add("m2")
    fleet.peers["m3"].close()
    made.until(lambda: not made.master.presence.is_connected("m3"))
    wait_states(made, jid, m0="running", m1="idle", m2="silent", m3="gone")


def test_a_number_gives_only_what_is_new(made: Bench, fleet: Fleet) -> None:
    jid = running(made, fleet)
    wait_states(made, jid, **dict.fromkeys(IDS, "running"))
    told = ask(made, jid)
    assert ask(made, jid, told["number"])["minions"] == {}
    fleet.peers["m2"].close()
    made.until(lambda: not made.master.presence.is_connected("m2"))
    later = ask(made, jid, told["number"])
    assert later["minions"] == {"m2": "gone"}
    assert later["number"] > told["number"]


def test_numbers_grow_over_a_restart_of_the_master(made: Bench, fleet: Fleet) -> None:
    jid = running(made, fleet)
    wait_states(made, jid, **dict.fromkeys(IDS, "running"))
    before = ask(made, jid)["number"]
    made.restart()
    with Fleet(made, IDS) as after:
        after.busy = {jid: set(IDS)}
        made.until(lambda: bool(ask(made, jid, before)["minions"]))
        assert ask(made, jid, before)["number"] > before


def test_a_minion_that_was_gone_and_is_back_is_asked(made: Bench, fleet: Fleet) -> None:
    jid = running(made, fleet, "m0")
    fleet.peers["m0"].close()
    made.until(lambda: not made.master.presence.is_connected("m0"))
    wait_states(made, jid, m0="gone")
    fleet.peers["m0"] = made.peer("m0")
    fleet.peers["m0"].request("_mine_flush")
    wait_states(made, jid, m0="running")


def test_a_minion_that_is_away_for_a_moment_is_still_at_work(
    made: Bench, fleet: Fleet, finds: Finds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(living, "AWAY_S", 60.0)
    jid = running(made, fleet, "m0")
    wait_states(made, jid, m0="running")
    watched = made.master.liveness._watched[jid]
    away = watched.away
    watched.known["m0"] = watched.known["m0"]._replace(due=float("inf"))
    fleet.peers["m0"].close()
    made.until(lambda: states(made, jid) == {"m0": "running"} and away.keys() == {"m0"})
    fleet.peers["m0"] = made.peer("m0")
    fleet.peers["m0"].request("_mine_flush")
    made.until(lambda: states(made, jid) == {"m0": "running"} and not away)
    sent = len(finds.sent)
    made.until(lambda: states(made, jid) == {"m0": "running"} and len(finds.sent) > sent)
    fleet.peers["m0"].close()
    made.until(lambda: states(made, jid) == {"m0": "running"} and away.keys() == {"m0"})
    away["m0"] -= 60  # as if the time had passed
    assert states(made, jid) == {"m0": "gone"}


def test_a_watcher_is_not_told_what_an_idle_minion_said_long_ago(made: Bench, fleet: Fleet) -> None:
    jid = running(made, fleet, "m0")
    fleet.forget("m0")
    wait_states(made, jid, m0="idle")
    watched = made.master.liveness._watched[jid]
    made.until(lambda: not watched.is_open)
    watched.known["m0"] = watched.known["m0"]._replace(at=time.monotonic() - 2 * INTERVAL_S - 1)
    assert states(made, jid) == {}


def test_a_minion_that_is_killed_is_told_to_all_watchers(made: Bench, fleet: Fleet) -> None:
    jid = running(made, fleet, "m0")
    watches, greenlets = watch_all(made, jid, 10)
    made.until(lambda: states(made, jid) == {"m0": "running"})
    fleet.peers["m0"].close()
    gevent.joinall(greenlets, timeout=30, raise_error=True)
    assert [watch.silent for watch in watches] == [{"m0"}] * 10


def test_what_is_over_is_forgotten(made: Bench, fleet: Fleet) -> None:
    jid = running(made, fleet, "m0")
    wait_states(made, jid, m0="running")
    fleet.finish(jid, "m0", "done")
    made.until(lambda: not ask(made, jid)["minions"] and len(made.master.liveness) == 0)


def test_what_nobody_looks_at_is_forgotten(
    made: Bench, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(living, "KEEP_S", 0.2)
    jid = running(made, fleet, "m0")
    wait_states(made, jid, m0="running")
    made.until(lambda: len(made.master.liveness) == 0)
    wait_states(made, jid, m0="running")
    made.until(lambda: len(made.master.liveness) == 0)


def test_only_so_many_jobs_are_kept(
    made: Bench, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(living, "JOBS_MOST", 2)
    first, *others = [running(made, fleet, "m0") for _ in range(3)]
    for jid in (first, *others):
        ask(made, jid)
    assert list(made.master.liveness._watched) == others


def test_who_may_not_see_a_job_is_not_told_who_works_on_it(
    made: Bench, fleet: Fleet, finds: Finds
) -> None:
    jid = running(made, fleet)
    nobody = {"user": "nobody", "key": made.user_key("nobody")}
    assert made.follow(jid, liveness=0, **nobody)["error"]["name"] == "AuthorizationError"
    assert (finds.sent, len(made.master.liveness)) == ([], 0)
    own = made.publish("m0", "test.sleep", **nobody)["load"]["jid"]
    fleet.down.add("m0")
    assert "liveness" in made.follow(own, liveness=0, **nobody)["load"]


@pytest.mark.parametrize("fields", [{"liveness": "x"}, {"liveness": 0, "gather_job_timeout": []}])
def test_what_is_no_number_is_refused(made: Bench, fleet: Fleet, fields: dict[str, Any]) -> None:
    jid = running(made, fleet, "m0")
    assert made.follow(jid, **fields)["error"]["name"] == "AuthorizationError"


def test_of_a_job_that_is_not_there_nothing_is_known(made: Bench, finds: Finds) -> None:
    assert ask(made, "20200101000000000000", 7) == {"number": 7, "minions": {}}
    assert (finds.sent, len(made.master.liveness)) == ([], 0)


def test_of_a_batch_that_goes_on_the_batch_knows(
    made: Bench, fleet: Fleet, finds: Finds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all its minions: its status names some of them."""
    monkeypatch.setattr("greensalt.master.batch.run.NAMES_MOST", 1)
    options = {"size": "2", "timeout": 60}
    reply = made.publish("*", "cmd.run", ["x"], cmd="batch", batch=options)
    jid = reply["load"]["jid"]
    wait_states(made, jid, m0="running", m1="running")
    assert finds.sent == []


def test_a_question_waits_as_long_as_its_watcher(made: Bench, fleet: Fleet, finds: Finds) -> None:
    """A minion that needs longer for its answer than the interval."""
    jid = running(made, fleet, "m0")
    fleet.down.add("m0")
    made.follow(jid, liveness=0, gather_job_timeout=30)
    made.until(lambda: len(finds.sent) == 1)
    watched = made.master.liveness._watched[jid]
    watched.begun -= 10  # as if the interval had passed
    assert states(made, jid) == {}
    assert len(finds.sent) == 1
    (find,) = made.master.store.list_jobs(fun="saltutil.find_job")
    fleet.peers["m0"].returns(find.jid, {"jid": jid}, fun="saltutil.find_job")
    wait_states(made, jid, m0="running")


def test_the_master_s_own_questions_share_the_answer(
    made: Bench, fleet: Fleet, finds: Finds
) -> None:
    jid = running(made, fleet)
    fleet.forget("m1")
    wait_states(made, jid, m0="running", m1="idle", m2="running", m3="running")
    assert made.master.liveness.running(jid, {"m0", "m1"}, 30) == {"m0"}
    assert len(finds.sent) == 1
    fleet.down.add("m2")
    quiet = running(made, fleet, "m3")
    fleet.down.add("m3")
    assert made.master.liveness.running(quiet, {"m3"}, 0.1) == set()
