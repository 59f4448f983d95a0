"""Links of different codecs at one master: docs/protocol.md 12.4."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.queue import Empty, Queue

from greensalt.client.link import MasterLink
from greensalt.crypto.crypticle import Crypticle
from greensalt.crypto.handshake import sign_in_request
from greensalt.errors import DecryptError, MalformedMessage, SerializerUnusable
from greensalt.serializers import MSGPACK, find, names, served
from greensalt.transport.publish import Subscriber
from greensalt.transport.sockets import Context, new_context
from greensalt.wire.dialect import unpack
from greensalt.wire.envelope import BAD_LOAD, packed_request, parse_publish
from tests._bench import Bench
from tests._daemons import free_port

Make = Callable[..., Bench]
VALUE = {"n": {1: "one", 2: [True, None, 1.5]}, "raw": b"\xff\x00", "text": "déjà"}


def ports(*codecs: str) -> dict[str, int]:
    return {name: free_port() for name in codecs}


class Listener:
    """A SUB socket on one of the publish ports; `next` gives (codec, load)."""

    def __init__(self, made: Bench, context: Context, port: int) -> None:
        self.made = made
        self.frames: Queue[list[bytes]] = Queue()
        linked: Queue[bool] = Queue()
        self.subscriber = Subscriber(
            context,
            identity="test",
            topics=[b""],
            reconnect_ms=50,
            reconnect_max_ms=100,
            take=self.frames.put,
            moved=linked.put,
        )
        self.subscriber.start(f"tcp://127.0.0.1:{port}")
        assert linked.get(timeout=60)

    def packet(self) -> bytes:
        return parse_publish(self.frames.get(timeout=60)[-1]).packet

    def next(self, *codecs: str) -> tuple[str, Any]:
        key = Crypticle(self.made.master.publish_key.key_string)
        codec, load = key.open(self.packet(), codecs=served(codecs or names()))
        return codec.name, load


@pytest.fixture
def listen() -> Iterator[Callable[[Bench, int], Listener]]:
    context = new_context()
    made: list[Listener] = []

    def make(master: Bench, port: int) -> Listener:
        made.append(Listener(master, context, port))
        gevent.sleep(0.1)  # the subscription follows the handshake; nothing tells when
        return made[-1]

    yield make
    for each in made:
        each.subscriber.stop()
    context.destroy(linger=0)


def test_a_minion_gets_the_codec_that_it_would_like_and_its_port(bench: Make) -> None:
    extra = ports("orjson", "cbor2")
    made = bench(auto_accept=True, serializers=extra)
    for name, port in extra.items():
        peer = made.peer(f"m-{name}", serializer=name)
        assert (peer.answer.serializer, peer.answer.publish_port) == (name, port)
    plain = made.peer("plain")
    assert (plain.answer.serializer, plain.codec) == (None, MSGPACK)
    assert plain.answer.publish_port == made.config.publish_port


@pytest.mark.parametrize("wish", ["orjson", "msgpack", "nonsense", "pickle"])
def test_a_wish_that_is_not_served_is_not_granted(bench: Make, wish: str) -> None:
    made = bench(auto_accept=True)
    peer = made.peer(serializer=wish)
    assert peer.answer.serializer is None
    assert peer.answer.publish_port == made.config.publish_port


def test_a_wish_of_the_wrong_type_is_a_bad_load(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer(sign_in=False)
    assert peer.clear({**sign_in_request(peer.attempt()), "serializer": 7}) == BAD_LOAD


@pytest.mark.parametrize("name", [name for name in names() if name != "msgpack"])
def test_requests_and_replies_are_in_the_codec_of_the_link(bench: Make, name: str) -> None:
    made = bench(auto_accept=True, serializers=ports(name))
    peer, plain = made.peer("m1", serializer=name), made.peer("m2")
    assert peer.request("_mine", data={"a": VALUE}, clear=False) is True
    for asker in (peer, plain):
        assert asker.request("_mine_get", tgt="m1", fun="a") == {"m1": VALUE}
    jid = made.job("*")
    for returner in (peer, plain):
        assert returner.returns(jid, VALUE) is None
    rows = {row["id"]: row["return"] for row in made.follow(jid)["load"]["returns"]}
    assert rows == {"m1": VALUE, "m2": VALUE}


def test_a_minion_may_change_its_mind(bench: Make) -> None:
    made = bench(auto_accept=True, serializers=ports("orjson"))
    peer = made.peer(serializer="orjson")
    assert peer.request("_mine_flush") is False
    peer.sign_in()
    assert peer.codec is MSGPACK
    assert peer.request("_mine_flush") is False


def test_a_request_in_a_codec_that_is_not_served_is_a_bad_load(bench: Make) -> None:
    made = bench(auto_accept=True, serializers=ports("orjson"))
    peer = made.peer()
    peer.codec = find("cbor2")
    assert peer.request("_mine_flush") == BAD_LOAD
    peer.codec = find("orjson")
    assert peer.request("_mine_flush") is False


def test_each_job_is_published_once_per_codec_in_use_under_one_serial(
    bench: Make, listen: Callable[[Bench, int], Listener]
) -> None:
    extra = ports("orjson", "cbor2", "json")
    made = bench(auto_accept=True, serializers=extra)
    stock = listen(made, made.config.publish_port)
    others = {name: listen(made, port) for name, port in extra.items()}
    made.peer("plain")
    made.peer("m1", serializer="orjson")
    made.peer("m2", serializer="cbor2")
    jid = made.job("*", "test.echo", arg=["hi"])
    codec, load = stock.next("msgpack")
    assert (codec, load["jid"], load["arg"]) == ("msgpack", jid, ["hi"])
    assert others["orjson"].next() == ("orjson", load)
    assert others["cbor2"].next() == ("cbor2", load)
    second = made.job("*")
    assert stock.next()[1]["serial"] == load["serial"] + 1
    assert others["orjson"].next()[1] == others["cbor2"].next()[1]
    assert second > jid
    with pytest.raises(Empty):
        others["json"].frames.get(timeout=0.2)
    with pytest.raises(Empty):  # and not a frame of another codec here
        stock.frames.get(timeout=0.2)


def test_every_publish_is_signed(bench: Make, listen: Callable[[Bench, int], Listener]) -> None:
    extra = ports("ormsgpack")
    made = bench(auto_accept=True, serializers=extra)
    made.peer(serializer="ormsgpack")
    listener = listen(made, extra["ormsgpack"])
    made.job("*")
    frame = parse_publish(listener.frames.get(timeout=60)[-1])
    assert frame.sig is not None
    public = made.master.master_key.public
    assert public.verify(frame.packet, frame.sig, str(frame.sig_algo))


def test_a_restarted_master_still_publishes_for_those_who_do_not_sign_in_anew(
    bench: Make, listen: Callable[[Bench, int], Listener]
) -> None:
    extra = ports("orjson", "cbor2")
    made = bench(auto_accept=True, serializers=extra)
    peer = made.peer(serializer="orjson")
    made.restart()
    assert [codec.name for codec in made.master.codecs.publishing()] == ["msgpack", "orjson"]
    listener = listen(made, extra["orjson"])
    jid = made.job("m1")
    assert listener.next()[1]["jid"] == jid
    assert peer.request("_mine_flush") is False


def test_a_damaged_note_of_the_codecs_in_use_means_all(bench: Make) -> None:
    made = bench(auto_accept=True, serializers=ports("orjson", "cbor2"))
    note = made.config.cachedir / ".serializers"
    for text in ("{", "7", "null"):
        note.write_text(text)
        made.restart()
        assert len(made.master.codecs.publishing()) == 3
    note.write_text(json.dumps(["cbor2", "gone"]))
    made.restart()
    assert [codec.name for codec in made.master.codecs.publishing()] == ["msgpack", "cbor2"]


def test_a_note_that_can_not_be_written_is_logged_and_costs_nothing_now(
    bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    made = bench(auto_accept=True, serializers=ports("orjson"))
    (made.config.cachedir / ".serializers").mkdir()
    made.peer(serializer="orjson")
    assert len(made.master.codecs.publishing()) == 2
    assert "/.serializers can't be written" in caplog.text


def test_a_request_alone_puts_its_codec_into_use(bench: Make) -> None:
    made = bench(auto_accept=True, serializers=ports("orjson"))
    peer = made.peer()
    peer.codec = find("orjson")
    peer.request("_mine_flush")
    assert len(made.master.codecs.publishing()) == 2


def test_who_reads_only_msgpack_does_not_read_another_port(
    bench: Make, listen: Callable[[Bench, int], Listener]
) -> None:
    extra = ports("orjson")
    made = bench(auto_accept=True, serializers=extra)
    made.peer(serializer="orjson")
    listener = listen(made, extra["orjson"])
    made.job("*")
    packet = listener.packet()
    with pytest.raises(MalformedMessage, match=r"codec in use: b'gs\.orjs:'"):
        Crypticle(made.master.publish_key.key_string).loads(packet)
    with pytest.raises(DecryptError):  # the prefix is inside the MAC
        Crypticle(made.master.publish_key.key_string).loads(packet[:20] + b"!" + packet[21:])


def test_a_master_does_not_start_with_a_codec_that_it_can_not_serve(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    find.cache_clear()
    monkeypatch.setitem(sys.modules, "cbor2", None)
    monkeypatch.delitem(sys.modules, "greensalt.serializers.cbor2", raising=False)
    with pytest.raises(SerializerUnusable, match="needs the package 'cbor2'"):
        bench(auto_accept=True, serializers=ports("cbor2"))
    find.cache_clear()


# -- clients --------------------------------------------------------------------------------


def link(made: Bench, serializer: str) -> MasterLink:
    return MasterLink(
        "127.0.0.1",
        made.config.ret_port,
        made.config.cachedir,
        made.config.user,
        request_timeout_s=5,
        serializer=serializer,
    )


def job(jid: str) -> dict[str, Any]:
    return {"tgt": "*", "tgt_type": "glob", "fun": "test.echo", "arg": [VALUE], "jid": jid}


@pytest.mark.parametrize("name", names())
def test_a_client_asks_in_its_codec(bench: Make, name: str) -> None:
    made = bench(auto_accept=True, serializers=ports(*({name} - {"msgpack"})))
    peer = made.peer()
    client = link(made, name)
    jid = "20260101000000000001"
    assert client.publish(job(jid)).minions == ["m1"]
    peer.returns(jid, VALUE)
    assert client.follow(jid, 0).results[0].ret == VALUE
    assert client._codec.name == name
    client.close()


def test_a_client_falls_back_to_msgpack_and_says_so_once(
    bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    made = bench(auto_accept=True)
    made.peer()
    client = link(made, "orjson")
    assert client.publish(job("20260101000000000001")).minions == ["m1"]
    assert client.publish(job("20260101000000000002")).minions == ["m1"]
    assert caplog.text.count("the master does not serve orjson: msgpack it is") == 1
    client.close()


def test_a_client_without_a_right_is_refused_in_any_codec(bench: Make) -> None:
    made = bench(auto_accept=True, serializers=ports("orjson"))
    packed = find("orjson").dumps({**job(""), "cmd": "publish", "user": "root", "key": "no"})
    reply = made.anybody().send(packed_request("orjson", packed))
    assert reply["error"]["name"] == "AuthenticationError"


@pytest.mark.parametrize(
    ("serializer", "packed", "answer"),
    [
        ("orjson", b"{", BAD_LOAD),
        ("orjson", b"[1]", BAD_LOAD),
        ("orjson", b"[" * 10_000, BAD_LOAD),
        # So much is read from nobody who does not say whose it is; a client then takes msgpack.
        ("orjson", b"[" * 100_000, {"error": "Routing error"}),
        ("orjson", b'{"cmd": "nothing"}', {}),
        ("pickle", b".", {"error": {"name": "SerializerUnusable"}}),
        (7, b"{}", {"error": "Routing error"}),
        ("orjson", 7, {"error": "Routing error"}),
    ],
)
def test_every_packed_request_is_answered(
    bench: Make, serializer: Any, packed: Any, answer: Any
) -> None:
    made = bench(serializers=ports("orjson"))
    reply = made.anybody().send(packed_request(serializer, packed))
    if isinstance(reply, dict) and isinstance(reply.get("error"), dict):
        reply["error"].pop("message")
    assert reply == answer


def test_ping_comes_back_in_the_codec_it_came_in(bench: Make) -> None:
    made = bench(serializers=ports("orjson"))
    codec = find("orjson")
    load = {"cmd": "ping", "load": {1: b"\xff"}}
    body = made.anybody().channel.request(packed_request("orjson", codec.dumps(load)), 5)
    reply = unpack(body)
    assert reply["serializer"] == "orjson"
    assert codec.loads(reply["load"].encode()) == load["load"]
