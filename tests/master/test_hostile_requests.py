"""Requests made to hurt: too large, too many, at the wrong moment. The others must not notice."""

from __future__ import annotations

import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest

from greensalt.crypto.crypticle import Crypticle, generate_key_string
from greensalt.crypto.handshake import Accepted, sign_in_request
from greensalt.errors import StoreError
from greensalt.master.publishkey import BLOCK, PublishKey
from greensalt.store.keys import State
from greensalt.transport.request import ReqChannel
from greensalt.wire.dialect import pack, pack_bin, unpack, unpack_bin
from greensalt.wire.envelope import BAD_LOAD, clear_request, encrypted_request
from tests._bench import Bench
from tests._load import MIB, Turns, cpu_of, wait_for
from tests._peer import key

Make = Callable[..., Bench]

MANY = 4_000_000
LISTS = b"\xdd" + MANY.to_bytes(4, "big") + b"\x90" * MANY  # to build them takes seconds


@pytest.fixture(scope="module")
def built_tenth_s() -> float:
    """The CPU that it takes here to build a tenth of `LISTS`."""
    some = MANY // 10
    return cpu_of(lambda: unpack_bin(b"\xdd" + some.to_bytes(4, "big") + b"\x90" * some))


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow while the block runs, nor be begun."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# -- size ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"\x83\xa3enc\xa5clear\xa7version\x03\xa4load\x82\xa3cmd\xa4ping\xa1x" + LISTS,
        b"\x83\xa3enc\xa5clear\xa7version\x03\xa4load\x82\xa3key\xa3abc\xa3arg" + LISTS,
        b"\x84\xa3enc\xa3aes\xa7version\x03\xa2id\xa2m1\xa4load" + LISTS,
        b"\x84\xa3enc\xa3aes\xa7version\x03\xa4load\xa1x\xa2id" + LISTS,
        b"\x85\xa3enc\xa3aes\xa2id\xa2m1\xa4load\xa1x\xa7version\x03\xa1x" + LISTS,
        LISTS,
        bytes(MANY),
    ],
)
def test_a_stranger_cant_stop_the_master_with_a_large_request(
    bench: Make, body: bytes, built_tenth_s: float
) -> None:
    made = bench(auto_accept=True)
    made.peer()
    with Turns() as hub:
        assert made.anybody().send(body) in (BAD_LOAD, {"error": "Routing error"})
    assert hub.longest_s < built_tenth_s


def test_a_local_user_may_send_a_large_request(bench: Make) -> None:
    made = bench(auto_accept=True)
    made.peer()
    jid = made.job("*", "test.echo", arg=["x" * 3 * MIB])
    job = made.master.store.job(jid)
    assert job is not None
    assert len(job.arg[0]) == 3 * MIB


def test_a_large_packet_of_somebody_else_is_refused(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    for minion_id, packet in (("m1", bytes(5 * MIB)), ("nobody", b"\xff" * 5 * MIB)):
        body = encrypted_request(minion_id, packet, "OAEP-SHA1", "PKCS1v15-SHA1")
        assert made.anybody().send(body) == BAD_LOAD
    assert peer.request("_mine_flush") is False


def test_a_minion_may_return_much(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large is opened beside the hub."""
    made = bench(auto_accept=True)
    peer = made.peer()
    jid = made.job("*")
    threads: list[int] = []
    really_open = Crypticle.open

    def open_(self: Crypticle, packet: bytes, *args: Any, **options: Any) -> Any:
        if len(packet) > MIB:
            threads.append(threading.get_ident())
        return really_open(self, packet, *args, **options)

    monkeypatch.setattr(Crypticle, "open", open_)
    assert peer.returns(jid, ["x" * 1000] * 20_000) is None
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
    assert len(made.master.store.returns(jid)[0].ret) == 20_000


def test_a_follower_gets_large_returns_in_several_replies(bench: Make) -> None:
    """A client takes no reply above 100 MB."""
    made = bench(auto_accept=True)
    peers = [made.peer(f"m{number}") for number in range(8)]
    jid = made.job("*")
    for peer in peers:
        peer.returns(jid, "x" * 2 * MIB)
    got: list[str] = []
    after, more, pages = 0, True, 0
    while more:
        page = made.follow(jid, after)["load"]
        assert len(pack(page)) < 7 * MIB
        got += [row["id"] for row in page["returns"]]
        after, more, pages = page["cursor"], page["more"], pages + 1
    assert sorted(got) == [f"m{number}" for number in range(8)]
    assert pages > 2


# -- number --------------------------------------------------------------------------------------


def test_commands_that_nobody_serves_are_not_remembered(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    for number in range(100):
        assert peer.request(f"no such command {number}") == {}
    assert len(made.master.reqserver.counts) < 10


def test_a_minion_cant_stop_the_master_with_many_events(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    fired: list[str] = []
    made.master.bus.listen(lambda tag: tag.startswith("mine/"), lambda tag, _: fired.append(tag))
    with Turns() as hub:
        events = [{"tag": f"mine/{number}", "data": {}} for number in range(10_000)]
        assert peer.request("_minion_event", events=events) is None
    assert len(fired) == 10_000
    assert hub.longest_s < hub.total_s / 2  # nearly all of it when fired at once


def test_an_event_with_a_monstrous_tag_is_refused(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    peer.request("_minion_event", tag="x" * MIB, data={})
    assert made.master.services.refused_events == 1


def test_a_mine_request_names_a_bounded_number_of_functions(bench: Make) -> None:
    peer = bench(auto_accept=True).peer()
    assert peer.request("_mine_get", tgt="*", fun=["f"] * 10_000) == ""
    assert peer.request("_mine_get", tgt="*", fun=["f", "g"]) == {"f": {}, "g": {}}


# -- sign-ins ------------------------------------------------------------------------------------


def test_two_keys_for_one_new_id_at_the_same_time_are_not_both_accepted(bench: Make) -> None:
    made = bench(auto_accept=True)
    peers = [made.peer("m1", number, sign_in=False) for number in (0, 1, 2, 3)]
    gevent.joinall([gevent.spawn(peer.sign_in) for peer in peers], raise_error=True)
    accepted = [peer for peer in peers if isinstance(peer.answer, Accepted)]
    assert len(accepted) == 1
    assert made.master.keys.get(State.ACCEPTED, "m1") == accepted[0].key.public.pem


def test_a_stranger_cant_lock_a_minion_out_by_signing_in_under_its_id(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer("m1")
    stranger = made.peer("m1", key_number=1, sign_in=False)
    load = sign_in_request(stranger.attempt())
    answers = [stranger.clear({**load, "nonce": f"{n:032x}"}) for n in range(30)]
    assert BAD_LOAD in answers
    assert isinstance(peer.sign_in(), Accepted)


def test_a_crowd_of_strangers_does_not_delay_the_returns(bench: Make) -> None:
    """500 sign-ins at once of ids that nobody knows; 500 of one id."""
    made = bench()
    member = made.peer("m1")
    made.master.keys.accept("m1")
    member.sign_in()
    jid = made.job("m1")
    load = sign_in_request(made.peer("x", 1, sign_in=False).attempt())
    channels = [ReqChannel(made.master.clients_address) for _ in range(500)]
    answers: list[Any] = []
    returned: list[Any] = []

    def sign_in(number: int, minion_id: str) -> None:
        body = clear_request({**load, "id": minion_id, "nonce": f"{number:032x}"})
        answers.append(unpack(channels[number].request(body, 30)))

    crowd_s: list[float] = []
    for name in ("s{}", "one"):
        answers.clear()
        crowd = [gevent.spawn(sign_in, number, name.format(number)) for number in range(500)]
        wait_for(lambda: len(answers) > 5)
        slowest_s, begun = 0.0, time.process_time()
        while len(answers) < 450:
            slowest_s = max(slowest_s, cpu_of(lambda: returned.append(member.returns(jid))))
        gevent.joinall(crowd, raise_error=True)
        crowd_s.append(time.process_time() - begun)
        assert slowest_s < crowd_s[0] / 3  # of the CPU: behind them all it would be the whole
        assert len(answers) == 500
    assert set(returned) == {None}
    # Those that were too many at once are told to come again.
    pending = len(made.master.keys.list()[State.PENDING])
    assert 350 < pending <= 501
    for channel in channels:
        channel.close()


def test_a_refused_stranger_makes_no_event(bench: Make) -> None:
    """Who can't say which local user he is has nothing to say on the bus."""
    made = bench(auto_accept=True)
    made.peer()
    jid = made.job("*")
    heard: list[str] = []
    made.master.bus.listen(
        lambda tag: tag.startswith("salt/job/"), lambda tag, _: heard.append(tag)
    )
    for user in ("root", "nobody"):
        answer = made.publish("*", jid=jid, key="wrong", user=user)
        assert answer["error"]["name"] == "AuthenticationError"
    assert heard == []


# -- trouble with the disk -----------------------------------------------------------------------


def test_a_full_disk_loses_no_return_and_the_master_lives(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer, gone = made.peer(), made.peer("gone")
    made.master.cache.put_grains("gone", {"os": "Linux"})
    jid = made.job("*")
    with full_disk():
        assert "error" in peer.returns(jid, "kept")
        assert "error" in made.publish("*")
        assert made.follow(jid)["load"]["returns"] == []
        stranger = made.peer("new", 1, sign_in=False)
        stranger.clear(sign_in_request(stranger.attempt()))
        made.master.keys.delete("gone")
        wait_for(lambda: made.master.upkeep.troubles)
    assert peer.returns(jid, "kept") is None
    assert [row["return"] for row in made.follow(jid)["load"]["returns"]] == ["kept"]
    wait_for(lambda: made.master.cache.grains("gone") is None)
    assert gone.request("_mine_flush") == BAD_LOAD
    assert not made.master._stopped.ready()


def test_a_store_that_somebody_locks_delays_no_stop_and_loses_no_return(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    jid = made.job("*")
    waits = made.master.store.database.alone(
        lambda it: it.execute("PRAGMA busy_timeout").fetchone()
    )
    assert waits[0] <= 1000  # milliseconds: less than a stop may take
    lock = sqlite3.connect(made.config.cachedir / "greensalt.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    returning = gevent.spawn(peer.returns, jid)
    wait_for(lambda: made.master.store.database.queue_len)
    with gevent.Timeout(60):
        made.master.close()  # although the lock stays
    assert made.master.store.database.failed == 1
    assert "error" in returning.get(timeout=60)
    lock.close()
    made.restart()
    assert peer.returns(jid) is None


def test_a_rotation_that_fails_is_done_later(bench: Make) -> None:
    made = bench(auto_accept=True)
    made.peer()
    before = made.master.publish_key.key_string
    made.master.keys.request_rotation(made.config.cachedir)
    with full_disk():
        wait_for(lambda: made.master.upkeep.troubles)
        assert made.master.publish_key.key_string == before
    wait_for(lambda: made.master.upkeep.rotations)
    assert made.master.publish_key.key_string != before
    assert made.master.upkeep.rotations == 1
    assert not list(made.config.cachedir.glob(".dfn*"))


def test_a_publish_key_that_cant_be_written_stays_as_it_is(tmp_path: Path) -> None:
    used = PublishKey(tmp_path / "key")
    before = used.key_string
    for _ in range(BLOCK):
        used.next_serial()
    with full_disk():
        with pytest.raises(StoreError):
            used.rotate()
        with pytest.raises(StoreError):
            used.next_serial()
        with pytest.raises(StoreError):
            used.next_serial()
    assert used.crypticle.key_string == used.key_string == before
    assert PublishKey(tmp_path / "key").next_serial() > used.serial


def test_a_session_that_cant_be_read_is_answered(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    made.master.sessions._sessions.clear()
    path = made.config.cachedir / "sessions/m1"
    path.write_bytes(bytes(100_000))
    answer = peer.request("_mine_flush")
    assert "can't" in answer["error"] or "bytes" in answer["error"]


def test_a_return_that_meets_a_bug_is_not_acknowledged(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    jid = made.job("*")

    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(made.master.store, "add_returns", broken)
    assert "error" in peer.returns(jid)
    monkeypatch.undo()
    assert peer.returns(jid) is None


def test_a_key_that_was_deleted_while_it_signed_in_gets_nothing(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer(sign_in=False)
    lane = made.master.signin._members
    with lane.turn(), lane.turn():
        signing = gevent.spawn(peer.clear, sign_in_request(peer.attempt()))
        wait_for(lambda: lane.waiting == 3)
        made.master.keys.delete("m1")
    assert signing.get(timeout=60) == BAD_LOAD
    assert not (made.config.cachedir / "sessions/m1").exists()


# -- the bus -------------------------------------------------------------------------------------


def test_an_event_that_cant_be_sent_on_harms_nothing(bench: Make) -> None:
    """What msgpack reads it need not write: 1000 lists inside each other."""
    made = bench()
    client = made.listen("")
    assert client._push is not None
    deep = b"x/y\n\n\x81\xa1a" + b"\x91" * 900 + b"\xc0"
    stamped = b"x/y\n\n\x82\xa6_stamp\xa1x\xa1a" + b"\x91" * 900 + b"\xc0"
    for event in (deep, stamped, b"", b"\n\n", b"x\n\n", b"x\n\n" + pack_bin([])):
        client._push.send(event)
    client._push.send_multipart([b"a", b"b"])
    client.fire("still/alive", {})
    while (event_ := client.next(60)) is not None and event_[0] != "still/alive":
        pass
    assert event_ is not None
    assert not made.master._stopped.ready()


def test_a_forged_session_never_replaces_a_real_one(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    forger = made.peer("m1", 1, sign_in=False)
    forger.session = Crypticle(generate_key_string())
    for _ in range(50):
        assert forger.request("_mine_flush") == BAD_LOAD
    assert peer.request("_mine_flush") is False
    assert peer.key != key(1)
