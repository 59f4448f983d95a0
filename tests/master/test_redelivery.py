"""The master tells a minion which jobs it has missed (docs/protocol.md 12.5)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests._bench import Bench
from tests._peer import Peer

Make = Callable[..., Bench]


def missed(peer: Peer, *seen: str, window: Any = 60) -> list[str]:
    """The jids that the master delivers."""
    return [load["jid"] for load in peer.request("_missed_jobs", window=window, seen=list(seen))]


def test_a_minion_gets_its_jobs_that_it_has_not_seen_and_not_returned(bench: Make) -> None:
    master = bench(auto_accept=True)
    one, two = master.peer("m1"), master.peer("m2", 1)
    for_both, for_one, for_two = master.job("*"), master.job("m1"), master.job("m2")
    assert missed(one) == [for_both, for_one]
    assert missed(one, for_both) == [for_one]
    assert missed(two) == [for_both, for_two]
    one.returns(for_one)
    assert missed(one) == [for_both]


def test_it_is_the_very_job_that_was_published(bench: Make) -> None:
    master = bench(auto_accept=True)
    peer = master.peer("m1")
    jid = master.job("m*", "test.echo", arg=["x"], kwargs={"metadata": {"a": 1}})
    (load,) = peer.request("_missed_jobs", window=60, seen=[])
    assert load == {
        "fun": "test.echo",
        "arg": ["x"],
        "tgt": "m*",
        "tgt_type": "glob",
        "jid": jid,
        "ret": "",
        "user": "root",
        "metadata": {"a": 1},
    }


def test_a_restarted_master_knows_them_still_and_its_minions_own_jobs_are_none(
    bench: Make,
) -> None:
    master = bench(auto_accept=True)
    peer = master.peer("m1")
    jid = master.job("m1", kwargs={"metadata": {"a": 1}})
    before = peer.request("_missed_jobs", window=60, seen=[])
    peer.returns("req", fun="state.apply")
    master.restart()
    assert peer.request("_missed_jobs", window=60, seen=[]) == before
    assert before[0]["jid"] == jid


def test_each_minion_of_a_job_in_slices_gets_it_as_a_job_of_its_own(bench: Make) -> None:
    master = bench(auto_accept=True)
    peers = [master.peer(f"m{number}", number) for number in range(3)]
    jid = master.job(["m0"], tgt_type="list")
    assert master.job(["m1", "m2"], tgt_type="list", jid=jid) == jid

    def targets() -> list[list[Any]]:
        asked = [peer.request("_missed_jobs", window=60, seen=[]) for peer in peers]
        return [[load["tgt"] for load in loads] for loads in asked]

    assert targets() == [[["m0"]], [["m1", "m2"]], [["m1", "m2"]]]
    peers[0].returns(jid)
    assert targets() == [[], [["m1", "m2"]], [["m1", "m2"]]]
    master.restart()
    assert targets() == [[], [["m1"]], [["m2"]]]


def test_a_slice_older_than_the_window_is_not_delivered_with_a_newer_one(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = bench(auto_accept=True)
    old, new = master.peer("m0"), master.peer("m1", 1)
    jid = master.job(["m0"], tgt_type="list")
    begun = time.time()
    monkeypatch.setattr(time, "time", lambda: begun + 50)
    master.job(["m1"], tgt_type="list", jid=jid)
    assert (missed(old), missed(new)) == ([jid], [jid])
    monkeypatch.setattr(time, "time", lambda: begun + 70)
    assert (missed(old), missed(new)) == ([], [jid])


def test_jobs_older_than_the_window_are_not_delivered(bench: Make) -> None:
    master = bench(auto_accept=True)
    peer = master.peer("m1")
    jid = master.job("m1")
    assert missed(peer, window=60) == [jid]
    assert missed(peer, window=0) == []


def test_the_master_has_the_last_word_on_the_window(bench: Make) -> None:
    master = bench(auto_accept=True, job_redelivery_window=0)
    peer = master.peer("m1")
    master.job("m1")
    assert missed(peer, window=1e9) == []


@pytest.mark.parametrize("fields", [{"window": "x"}, {"window": None}, {"seen": "x"}])
def test_a_malformed_question_is_refused(bench: Make, fields: dict[str, Any]) -> None:
    peer = bench(auto_accept=True).peer("m1")
    answer = peer.request("_missed_jobs", **{"window": 60, "seen": [], **fields})
    assert not isinstance(answer, list)
