"""The master tells a minion which jobs it has missed (docs/protocol.md 12.5)."""

from __future__ import annotations

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
