"""What other parts of the master do with jobs: publish them, and wait for what returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from greensalt.errors import TargetError
from greensalt.master.jobs import Jobs
from greensalt.store.jobs import Return
from tests._bench import Bench

Make = Callable[..., Bench]


def published(jobs: Jobs, tgt: Any, tgt_type: str = "list") -> tuple[str, list[str]]:
    load = {"fun": "test.ping", "arg": [], "tgt": tgt, "tgt_type": tgt_type}
    job = jobs.publish_for("somebody", load)
    assert job.jid
    return job.jid, job.minions


def test_a_part_of_the_master_publishes_in_the_name_of_a_user(bench: Make) -> None:
    made = bench(auto_accept=True)
    made.peer("m1")
    load = {"fun": "test.ping", "tgt": ["m1", "gone"], "tgt_type": "list"}
    job = made.master.jobs.publish_for("somebody", load)
    assert (job.minions, job.missing, job.error) == (["m1"], ["gone"], "")
    stored = made.master.store.job(job.jid)
    assert stored is not None
    assert (stored.user, stored.minions) == ("somebody", ["m1"])


def test_a_part_of_the_master_is_told_when_nobody_matches(bench: Make) -> None:
    made = bench()
    job = made.master.jobs.publish_for("root", {"fun": "test.ping", "tgt": "nobody"})
    assert (job.jid, job.minions) == ("", [])
    assert job.error == "Master could not resolve minions for target nobody"
    with pytest.raises(TargetError):
        made.master.jobs.publish_for("root", {"fun": "test.ping", "tgt": "(", "tgt_type": "pcre"})


def test_who_waits_gets_each_return_once_as_it_comes(bench: Make) -> None:
    made = bench(auto_accept=True)
    peers = [made.peer(f"m{number}") for number in range(3)]
    jid, minions = published(made.master.jobs, ["m0", "m1", "m2"])
    peers[2].returns(jid, "before the call")
    returns = made.master.jobs.await_returns(jid, minions, 30)
    first = next(returns)
    assert (first.id, first.ret) == ("m2", "before the call")
    for peer in peers[:2]:
        waiting = gevent.spawn(next, returns)
        gevent.sleep(0)
        assert not waiting.ready()
        peer.returns(jid, peer.id)
        row: Return = waiting.get(timeout=60)
        assert (row.id, row.ret) == (peer.id, peer.id)
    assert list(returns) == []


def test_who_stops_waiting_leaves_nothing_behind(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer("m1")
    jid, _ = published(made.master.jobs, "m1")
    peer.returns(jid)
    returns = made.master.jobs.await_returns(jid, ["m1", "m2"], 30)
    assert isinstance(returns, Iterator)
    next(returns)
    waiting = len(made.master.bus._listeners)
    returns.close()  # type: ignore[attr-defined]
    assert len(made.master.bus._listeners) == waiting - 1
