"""Who is connected, as the connections themselves say: docs/presence.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greensalt.master.presence import Presence
from tests._bench import Bench
from tests._peer import Peer

Make = Callable[..., Bench]


@pytest.fixture
def accepted() -> set[str]:
    return {"a", "b"}


@pytest.fixture
def presence(accepted: set[str]) -> Presence:
    return Presence(lambda: accepted, {})


def test_who_spoke_on_an_open_connection_is_connected(presence: Presence) -> None:
    presence.opened(7)
    assert presence.connected() == frozenset()
    presence.heard(7, "a")
    assert presence.connected() == {"a"}
    presence.closed(7)
    assert presence.connected() == frozenset()


def test_a_minion_is_connected_until_its_last_connection_ends(presence: Presence) -> None:
    for connection in (7, 8):
        presence.opened(connection)
        presence.heard(connection, "a")
    presence.closed(7)
    assert presence.is_connected("a")
    presence.closed(8)
    assert not presence.is_connected("a")


def test_the_last_words_on_a_closed_connection_connect_nobody(presence: Presence) -> None:
    presence.opened(7)
    presence.closed(7)
    presence.heard(7, "a")
    assert not presence.is_connected("a")


def test_the_number_of_a_connection_may_come_again_for_another_minion(presence: Presence) -> None:
    presence.opened(7)
    presence.heard(7, "a")
    presence.opened(7)  # and the end of the first one was not told
    assert not presence.is_connected("a")
    presence.heard(7, "b")
    assert presence.connected() == {"b"}


def test_a_minion_whose_key_is_gone_does_not_count(presence: Presence, accepted: set[str]) -> None:
    presence.opened(7)
    presence.heard(7, "a")
    accepted.remove("a")
    assert presence.connected() == frozenset()
    assert not presence.is_connected("a")


def test_what_is_known_is_said(accepted: set[str]) -> None:
    seen: dict[str, float] = {}
    presence = Presence(lambda: accepted, seen)
    assert presence.how("a") == "not seen since the master's start"
    assert presence.unknown() == {"a", "b"}
    presence.opened(7)
    presence.heard(7, "a")
    seen["a"] = 1.0
    assert presence.how("a") == "connected"
    presence.closed(7)
    assert presence.how("a").startswith("not connected, seen ")
    assert presence.unknown() == {"b"}
    assert presence.last_seen("a") == 1.0


def _speak(peer: Peer) -> None:
    peer.request("_mine_flush")


def test_minions_from_one_address_are_told_apart(bench: Make) -> None:
    made = bench(auto_accept=True)
    first, second = made.peer("a"), made.peer("b", 1)
    _speak(first)
    _speak(second)
    assert made.master.presence.connected() == {"a", "b"}
    first.close()
    made.until(lambda: made.master.presence.connected() == {"b"})


def test_a_sign_in_alone_proves_nobody(bench: Make) -> None:
    made = bench(auto_accept=True)
    made.peer("a")
    assert made.master.presence.connected() == frozenset()


def test_a_request_under_a_wrong_key_connects_nobody(bench: Make) -> None:
    made = bench(auto_accept=True)
    made.peer("a")
    stranger = made.peer("a", 1, sign_in=False)
    assert stranger.request("_mine_flush") == "bad load"
    assert made.master.presence.connected() == frozenset()


def test_changes_are_events_and_everybody_is_told_at_each_interval(bench: Make) -> None:
    made = bench(auto_accept=True, presence_events=True, loop_interval=1)
    bus = made.listen("salt/presence/")
    peer = made.peer("a")
    _speak(peer)
    assert _next(bus, "change") == {"new": ["a"], "lost": []}
    assert _next(bus, "present") == {"present": ["a"]}
    peer.close()
    assert _next(bus, "change") == {"new": [], "lost": ["a"]}


def test_without_presence_events_nothing_is_told(bench: Make) -> None:
    made = bench(auto_accept=True, loop_interval=1)
    bus = made.listen("salt/presence/")
    _speak(made.peer("a"))
    assert bus.next(1.5) is None


def _next(bus: Any, kind: str) -> dict[str, Any]:
    while True:
        event = bus.next(60)
        assert event is not None
        tag, data = event
        if tag == f"salt/presence/{kind}" and data.get("present") != []:
            del data["_stamp"]
            return dict(data)
