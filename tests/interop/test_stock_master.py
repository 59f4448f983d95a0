"""A greensalt minion on a stock salt-master 3008: it is driven by the stock commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from greensalt import __version__
from tests._daemons import GreensaltMinion, StockMaster, short_dir


@dataclass
class Pair:
    """A stock master and the greensalt minion `green` that it has accepted."""

    master: StockMaster
    minion: GreensaltMinion
    keys_at_first: dict[str, list[str]]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with short_dir() as where, StockMaster(where, timeout=20) as master:
        minion = GreensaltMinion(where, "green", master.ret_port)
        try:
            minion.start(wait=False)
            master.wait_pending("green")
            keys_at_first = master.keys()
            master.key("-y", "-a", "green")
            minion.wait_ready()
            yield Pair(master, minion, keys_at_first)
        finally:
            minion.stop()


def test_it_is_pending_until_somebody_accepts_it(pair: Pair) -> None:
    assert pair.keys_at_first["pending"] == ["green"]
    assert pair.master.keys()["accepted"] == ["green"]


def test_it_answers_test_ping(pair: Pair) -> None:
    assert pair.master.ask("*", "test.ping") == {"green": True}


def test_it_runs_a_command(pair: Pair) -> None:
    assert pair.master.ask("*", "cmd.run", "echo one && echo two") == {"green": "one\ntwo"}


def test_it_sends_its_grains(pair: Pair) -> None:
    grains = pair.master.ask("*", "grains.items")["green"]
    assert grains["id"] == "green"
    assert grains["kernel"] == "Linux"


def test_it_is_targeted_by_its_grains(pair: Pair) -> None:
    answer = pair.master.ask("G@kernel:Linux and gre*", "test.ping", options=("-C",))
    assert answer == {"green": True}


def test_it_says_its_own_version(pair: Pair) -> None:
    assert __version__ in pair.master.ask("*", "test.version")["green"]


def test_it_takes_typed_and_named_arguments(pair: Pair) -> None:
    answer = pair.master.ask("*", "test.arg", "1", "two", "three=[3, 4]")["green"]
    assert answer["args"] == [1, "two"]
    assert answer["kwargs"]["three"] == [3, 4]


def test_a_running_job_is_found(pair: Pair) -> None:
    started = pair.master.run_cli("--async", "green", "test.sleep", "8")
    jid = started.stdout.split()[-1]
    found = pair.master.ask("green", "saltutil.find_job", jid)["green"]
    assert (found["jid"], found["fun"]) == (jid, "test.sleep")


def test_a_job_that_is_over_is_not_found(pair: Pair) -> None:
    assert pair.master.ask("green", "saltutil.find_job", "20200101000000000000") == {"green": {}}


def test_an_unknown_function_is_told_as_stock_salt_does(pair: Pair) -> None:
    answer = pair.master.ask("green", "nosuch.function")["green"]
    assert answer == "'nosuch.function' is not available."


def test_it_outlives_a_restart_of_its_master(pair: Pair) -> None:
    """A stock master has a new publish key after each start: the minion signs in again."""
    pair.master.restart()
    pair.minion.child.wait_until(
        lambda: pair.master.ask("*", "test.ping") == {"green": True}, "answer to test.ping", 60
    )


def test_a_wish_for_another_serializer_ends_in_msgpack(pair: Pair) -> None:
    where, port = pair.master.dir.parent, pair.master.ret_port
    wisher = GreensaltMinion(where, "wisher", port, serializer="orjson")
    try:
        wisher.start(wait=False)
        pair.master.wait_pending("wisher")
        pair.master.key("-y", "-a", "wisher")
        wisher.wait_ready()
        assert pair.master.ask("wisher", "test.echo", "hi") == {"wisher": "hi"}
        assert wisher.child.text().count("the master does not serve orjson: msgpack it is") == 1
    finally:
        wisher.stop()
        pair.master.key("-y", "-d", "wisher")
