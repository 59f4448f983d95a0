"""The mine: docs/protocol.md 6.2, 6.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests._bench import Bench
from tests._peer import Peer

Make = Callable[..., Bench]


@pytest.fixture
def two(bench: Make) -> tuple[Peer, Peer]:
    """Two minions, the first of which has told its mine and its grains."""
    made = bench(auto_accept=True)
    first, second = made.peer("m1"), made.peer("m2")
    first.request("_pillar", grains={"role": "db"})
    assert first.request("_mine", data={"addrs": ["10.0.0.1"], "disk": 7}) is True
    return first, second


def get(peer: Peer, fun: Any, tgt: Any = "*", tgt_type: str = "glob") -> Any:
    return peer.request("_mine_get", tgt=tgt, fun=fun, tgt_type=tgt_type)


def test_one_function_comes_by_minion_several_by_function(two: tuple[Peer, Peer]) -> None:
    _, asker = two
    assert get(asker, "addrs") == {"m1": ["10.0.0.1"]}
    both = {"addrs": {"m1": ["10.0.0.1"]}, "disk": {"m1": 7}}
    assert get(asker, "addrs,disk") == both
    assert get(asker, ["addrs", "disk"]) == both
    assert get(asker, "addrs", "role:db", "grain") == {"m1": ["10.0.0.1"]}
    assert get(asker, "addrs", "m2") == {}


def test_data_is_merged_replaced_deleted_and_flushed(two: tuple[Peer, Peer]) -> None:
    owner, asker = two
    owner.request("_mine", data={"disk": 8})
    assert get(asker, "addrs,disk") == {"addrs": {"m1": ["10.0.0.1"]}, "disk": {"m1": 8}}
    assert owner.request("_mine", data={"new": 1}, clear=True) is True
    assert get(asker, "disk") == {}
    assert owner.request("_mine_delete", fun="new") is True
    assert get(asker, "new") == {}
    owner.request("_mine", data={"disk": 8})
    assert owner.request("_mine_flush") is True
    assert owner.request("_mine_flush") is False


@pytest.mark.parametrize(
    ("allow", "kind", "is_allowed"),
    [
        ("m2", "glob", True),
        ("m3", "glob", False),
        ("role:web", "grain", True),
        ("(", "compound", False),
    ],
)
def test_an_entry_says_itself_who_gets_it(
    two: tuple[Peer, Peer], allow: str, kind: str, is_allowed: bool
) -> None:
    owner, asker = two
    asker.request("_pillar", grains={"role": "web"})
    entry = {"__saltmine_acl__": 1, "__data__": 5, "allow_tgt": allow, "allow_tgt_type": kind}
    owner.request("_mine", data={"secret": entry})
    assert get(asker, "secret") == ({"m1": 5} if is_allowed else {})


def test_pillar_is_matched_exactly_between_minions(two: tuple[Peer, Peer]) -> None:
    """Otherwise a minion could feel out the secrets of others by globs (6.4)."""
    owner, asker = two
    owner.request("_pillar", grains={}, pillar_override={"password": "abc"})
    assert get(asker, "disk", "password:a*", "pillar") == {}
    assert get(asker, "disk", "I@password:a*", "compound") == {}
    assert get(asker, "disk", "password:abc", "pillar") == {"m1": 7}


def test_a_request_that_is_none_is_refused(two: tuple[Peer, Peer]) -> None:
    _, asker = two
    assert get(asker, 7) == ""
    assert get(asker, [7]) == ""
    assert get(asker, "disk", "x" * 5000) == ""
    assert asker.request("_mine_delete", fun=7) == ""


@pytest.mark.parametrize(
    ("rules", "fun", "is_allowed"),
    [
        (None, "addrs", True),
        ({}, "addrs", False),
        ({"m2": ["add"]}, "addrs", True),  # both from the start
        ({"m": [".*"]}, "addrs,disk", True),
        ({"m2": ["addrs"]}, "addrs,disk", False),  # every function
        ({"m2": ["addrs"]}, ["addrs", "disk"], False),
        ({"m1": [".*"]}, "addrs", False),
        ({"m2": ".*"}, "addrs", False),  # a text is no list
    ],
)
def test_mine_get_in_the_masters_configuration_says_who_reads_what(
    bench: Make, rules: Any, fun: Any, is_allowed: bool
) -> None:
    made = bench(auto_accept=True, mine_get=rules)
    owner, asker = made.peer("m1"), made.peer("m2")
    owner.request("_mine", data={"addrs": 1, "disk": 2})
    assert bool(get(asker, fun)) is is_allowed


def test_a_mine_is_asked_for_by_nodegroup(bench: Make) -> None:
    made = bench(auto_accept=True, nodegroups={"dbs": "L@m1"})
    owner, asker = made.peer("m1"), made.peer("m2")
    owner.request("_mine", data={"addrs": 1})
    asker.request("_mine", data={"addrs": 2})
    assert get(asker, "addrs", "dbs", "nodegroup") == {"m1": 1}
    assert get(asker, "addrs", "N@dbs", "compound") == {"m1": 1}
