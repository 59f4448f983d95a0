"""Spec 4.2, 9.2, 9.3: which requests are let in, and how the others are answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from greensalt.crypto.crypticle import Crypticle, generate_key_string, new_nonce
from greensalt.wire.dialect import pack
from greensalt.wire.envelope import BAD_LOAD
from tests._bench import Bench

Make = Callable[..., Bench]


def test_an_authenticated_request_is_answered_under_the_session_key(bench: Make) -> None:
    assert bench(auto_accept=True).peer().request("_mine_flush") is False


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"garbage",
        pack("text"),
        pack([1, 2]),
        pack({"enc": "clear"}),
        pack({"enc": "rot13", "load": {}, "version": 3}),
        pack({"enc": "aes", "load": {}, "version": 3, "id": "m1"}),
        b"\x81" * 5000,
    ],
)
def test_bytes_that_are_no_request_are_answered_and_counted(bench: Make, body: bytes) -> None:
    made = bench()
    assert made.anybody().send(body) in ({"error": "Routing error"}, BAD_LOAD)
    assert made.anybody().clear({"cmd": "ping"}) == {"cmd": "ping"}
    assert sum(made.master.reqserver.counts.values()) == 2


@pytest.mark.parametrize("version", [None, 0, 1, 2, "3", True])
def test_cve_2025_62349_a_lower_version_is_refused(bench: Make, version: Any) -> None:
    envelope = {"enc": "clear", "load": {"cmd": "ping"}, "version": version}
    assert bench().anybody().send(pack(envelope)) == BAD_LOAD


@pytest.mark.parametrize(
    "command",
    ["_return", "_pillar", "_prep_auth_info", "__init__", "handle", None, 7, {}],
)
def test_cve_2020_11651_what_is_not_in_the_clear_table_cant_be_reached(
    bench: Make, command: Any
) -> None:
    load = {"cmd": command} if command is not None else {}
    assert bench().anybody().clear(load) == {}


@pytest.mark.parametrize("command", ["publish", "_auth", "pillar", "__class__", 7, None])
def test_cve_2020_11651_what_is_not_in_the_minion_table_cant_be_reached(
    bench: Make, command: Any
) -> None:
    peer = bench(auto_accept=True).peer()
    load = peer.load("")
    load["cmd"] = command
    assert peer.send_load(load) == {}


def test_a_stranger_without_a_session_is_told_bad_load(bench: Make) -> None:
    made = bench(auto_accept=True)
    stranger = made.peer("stranger", sign_in=False)
    stranger.session = Crypticle(generate_key_string())
    assert stranger.request("_mine_flush") == BAD_LOAD


def test_no_file_comes_into_being_for_a_stranger(bench: Make) -> None:
    """Spec 9.3 item 4."""
    made = bench()
    stranger = made.peer("stranger", sign_in=False)
    before = sorted(made.root.rglob("*"))
    stranger.request("_mine_flush")
    stranger.request("_pillar", grains={})
    assert sorted(made.root.rglob("*")) == before


def test_a_pending_minion_gets_no_session(bench: Make) -> None:
    made = bench()
    pending = made.peer("pending")
    assert not list((made.config.cachedir / "sessions").glob("*"))
    assert pending.request("_mine_flush") == BAD_LOAD


def test_cve_2013_4439_a_minion_cant_speak_for_another_inside_its_load(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer, _ = made.peer("m1"), made.peer("m2")
    load = peer.load("_mine_flush", id="m2")
    assert peer.send_load(load) == BAD_LOAD


def test_cve_2024_38822_a_minion_cant_speak_for_another_in_the_envelope(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer, _ = made.peer("m1"), made.peer("m2", key_number=1)
    assert peer.send_load(peer.load("_mine_flush", id="m2"), outer_id="m2") == BAD_LOAD


@pytest.mark.parametrize("tok", [None, b"", b"x" * 256, "text", 7])
def test_a_request_without_a_valid_tok_is_refused(bench: Make, tok: Any) -> None:
    peer = bench(auto_accept=True).peer()
    assert peer.request("_mine_flush", tok=tok) == BAD_LOAD


def test_the_tok_of_another_key_is_refused_even_after_a_valid_one(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer, other = made.peer("m1"), made.peer("m2", key_number=1)
    assert peer.request("_mine_flush") is False
    assert peer.request("_mine_flush", tok=other.tok) == BAD_LOAD


@pytest.mark.parametrize("nonce", ["", "short", "x" * 33, 7])
def test_a_request_without_a_proper_nonce_is_refused(bench: Make, nonce: Any) -> None:
    """Spec 9.3 item 7."""
    peer = bench(auto_accept=True).peer()
    load = peer.load("_mine_flush", nonce=nonce)
    assert peer.send_load(load) == BAD_LOAD


def test_cve_2024_38823_a_request_sent_twice_is_refused(bench: Make) -> None:
    peer = bench(auto_accept=True).peer()
    load = peer.load("_mine_flush", nonce=new_nonce())
    assert peer.send_load(dict(load)) is False
    assert peer.send_load(dict(load)) == BAD_LOAD


@pytest.mark.parametrize("age_s", [301, 10**6])
def test_an_old_request_is_refused(bench: Make, age_s: int) -> None:
    peer = bench(auto_accept=True).peer()
    assert peer.request("_mine_flush", ts=int(time.time()) - age_s) == BAD_LOAD
    assert peer.request("_mine_flush", ts="now") == BAD_LOAD


def test_a_request_from_the_future_is_refused(bench: Make) -> None:
    """It could be replayed once its nonce is forgotten."""
    peer = bench(auto_accept=True).peer()
    assert peer.request("_mine_flush", ts=int(time.time()) + 302) == BAD_LOAD


def test_request_server_ttl_0_takes_any_age(bench: Make) -> None:
    peer = bench(auto_accept=True, request_server_ttl=0).peer()
    assert peer.request("_mine_flush", ts=1) is False


def test_a_minion_whose_key_was_deleted_is_out_at_once(bench: Make) -> None:
    """CVE-2016-9639."""
    made = bench(auto_accept=True)
    peer = made.peer()
    assert peer.request("_mine_flush") is False
    made.master.keys.delete("m1")
    assert peer.request("_mine_flush") == BAD_LOAD
    assert not (made.config.cachedir / "sessions" / "m1").exists()


def test_what_belonged_to_a_key_deleted_while_no_master_ran_is_forgotten(bench: Make) -> None:
    """CVE-2016-9639."""
    made = bench(auto_accept=True)
    for minion_id in ("stays", "goes"):
        peer = made.peer(minion_id)
        peer.request("_pillar", grains={"secret": minion_id})
        peer.request("_mine", data={"fun": minion_id}, clear=False)
    made.master.close()
    made.master.keys.delete("goes")
    made.start()
    assert made.master.cache.ids() == ["stays"]


def test_a_session_ends_with_publish_session(bench: Make) -> None:
    made = bench(auto_accept=True, publish_session=1)
    peer = made.peer()
    session = made.master.sessions
    assert peer.request("_mine_flush") is False
    session._sessions["m1"].created -= 2
    assert peer.request("_mine_flush") == BAD_LOAD


def test_a_handler_that_fails_is_answered_and_harms_nobody(bench: Make) -> None:
    """CVE-2023-20897."""
    peer = bench(auto_accept=True).peer()
    assert peer.request("_pillar", grains="none") == ""
    assert peer.request("_mine", data=7) == ""
    assert peer.request("_mine_flush") is False


def test_the_reply_is_bound_to_the_nonce_of_its_request(bench: Make) -> None:
    """CVE-2022-22936."""
    from greensalt.errors import NonceMismatch

    made = bench(auto_accept=True)
    peer = made.peer()
    packet = peer.session.dumps({"result": 1}, nonce="a" * 32)
    with pytest.raises(NonceMismatch):
        peer.session.loads(packet, nonce="b" * 32)
