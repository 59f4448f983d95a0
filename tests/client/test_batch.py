"""Batches: how many at once, one jid, who is left out."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest

from greensalt.client.batch import Batch
from greensalt.client.local import LocalClient
from greensalt.errors import SaltInvocationError
from greensalt.target.batchsize import batch_size
from tests._bench import Bench
from tests.client._fleet import SILENT, Fleet


@pytest.mark.parametrize(
    ("text", "minions", "size"),
    [
        ("10", 100, 10),
        (3, 100, 3),
        ("0", 5, 1),
        ("25%", 100, 25),
        ("25%", 3, 1),
        ("100%", 7, 7),
        ("300%", 7, 7),
        (" 50 %", 8, 4),
        ("33.4%", 10, 3),
    ],
)
def test_the_size_is_a_number_or_a_share(text: Any, minions: int, size: int) -> None:
    assert batch_size(text, minions) == size


@pytest.mark.parametrize("text", ["", "x", "%", "nan%", "inf%", "-5%", "1.5"])
def test_a_size_that_is_neither_is_refused_before_anything_runs(
    client: LocalClient, text: str
) -> None:
    with pytest.raises(SaltInvocationError, match="neither a number like 10 nor a percentage"):
        Batch(client, "*", "test.ping", size=text)


def test_one_jid_for_the_whole_run_and_its_look_up_shows_all(
    fleet: Fleet, client: LocalClient
) -> None:
    batch = Batch(client, "*", "test.echo", ["x"], size=1)
    assert sorted(result.id for result in batch) == ["db1", "web1", "web2"]
    assert {result.jid for result in client.follow(batch.jid)} == {batch.jid}
    assert sorted(client.get_cache_returns(batch.jid)) == ["db1", "web1", "web2"]


def test_never_more_than_the_size_work_at_once(made: Bench, client: LocalClient) -> None:
    ids = [f"m{number}" for number in range(6)]
    steps: list[list[str]] = []
    with Fleet(made, ids) as fleet:
        fleet.answer = lambda _id, fun, _arg: SILENT if fun == "cmd.run" else True
        batch = Batch(client, "*", "cmd.run", size=2, timeout_s=60, on_start=steps.append)
        results = iter(batch)
        seen: list[str] = []

        def finish_one_by_one() -> None:
            while len(seen) < len(ids):
                for jid, busy in fleet.busy.items():
                    assert len(busy) <= 2
                    for minion_id in sorted(busy)[:1]:
                        seen.append(minion_id)
                        fleet.finish(jid, minion_id, "ok")
                gevent.sleep(0.02)

        finisher = gevent.spawn(finish_one_by_one)
        assert sorted(result.id for result in results) == ids
        finisher.get()
    assert steps[0] == ["m0", "m1"]
    assert [each for step in steps for each in step] == ids


def test_minions_that_are_down_get_no_job(fleet: Fleet, client: LocalClient) -> None:
    fleet.down.add("web1")
    batch = Batch(client, ["web1", "web2", "web3"], "test.echo", tgt_type="list", size="50%")
    assert [result.id for result in batch] == ["web2"]
    assert (batch.up, batch.down) == (["web2"], ["web1", "web3"])


def test_nobody_up_means_nothing_is_published(fleet: Fleet, client: LocalClient) -> None:
    fleet.down.update(fleet.peers)
    batch = Batch(client, "*", "test.echo", size=1)
    assert list(batch) == []
    assert (batch.jid, batch.down) == ("", ["db1", "web1", "web2"])


def test_failhard_begins_no_other_minion(fleet: Fleet, client: LocalClient) -> None:
    fleet.answer = lambda _id, fun, _arg: ("broken", 2) if fun == "cmd.run" else True
    batch = Batch(client, "*", "cmd.run", size=1, failhard=True)
    assert [(result.id, result.retcode) for result in batch] == [("db1", 2)]
    assert (batch.stopped, batch.unsent) == (True, ["web1", "web2"])


def test_without_failhard_a_failure_stops_nobody(fleet: Fleet, client: LocalClient) -> None:
    fleet.answer = lambda _id, fun, _arg: ("broken", 2) if fun == "cmd.run" else True
    assert len(list(Batch(client, "*", "cmd.run", size=1))) == 3


def test_a_minion_that_falls_silent_gives_its_place_to_the_next(
    fleet: Fleet, client: LocalClient
) -> None:
    """Salt's batches hung for ever on a minion that went offline (S#66249)."""

    def answer(minion_id: str, fun: Any, _arg: Any) -> Any:
        if fun != "cmd.run":
            return True
        fleet.down.update({"db1"} & {minion_id})
        return SILENT if minion_id == "db1" else "ok"

    fleet.answer = answer
    batch = Batch(client, "*", "cmd.run", size=1)
    assert [result.id for result in batch] == ["web1", "web2"]
    assert batch.silent == {"db1"}


def test_a_place_is_free_again_only_after_the_wait(fleet: Fleet, client: LocalClient) -> None:
    began = time.monotonic()
    assert len(list(Batch(client, "*", "test.echo", size=1, wait_s=0.3))) == 3
    assert time.monotonic() - began > 0.6
