from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from greensalt.errors import InvalidMinionId, MalformedMessage, ProtocolError, VersionTooOld
from greensalt.wire.dialect import pack, unpack
from greensalt.wire.envelope import (
    BAD_LOAD,
    ClearRequest,
    EncryptedReply,
    EncryptedRequest,
    PackedRequest,
    PillarReply,
    PublishFrame,
    RefusedReply,
    as_bytes,
    as_text,
    check_nonce,
    clear_reply,
    clear_request,
    encrypted_reply,
    encrypted_request,
    packed_reply,
    packed_request,
    parse_publish,
    parse_reply,
    parse_request,
    publish_frame,
    signed_reply,
)
from tests.vectors.load import golden, vectors
from tests.wire.test_dialect import objects

PACKET = golden("envelope", "packet")


def test_clear_request_golden_bytes() -> None:
    wire = golden("envelope", "clear_request")
    assert clear_request({"cmd": "ping"}) == wire
    assert parse_request(wire) == ClearRequest({"cmd": "ping"}, 3)


def test_a_packed_request_names_its_codec() -> None:
    body = packed_request("orjson", b'{"cmd":"ping"}')
    assert parse_request(body) == PackedRequest("orjson", b'{"cmd":"ping"}', 3)
    assert unpack(packed_reply("orjson", b"\xff")) == {
        "enc": "clear",
        "load": b"\xff",
        "serializer": "orjson",
    }


@pytest.mark.parametrize("wrong", [{"serializer": 7}, {"load": {"cmd": "ping"}}])
def test_a_packed_request_of_the_wrong_types_is_malformed(wrong: dict[str, object]) -> None:
    body = pack({"enc": "clear", "load": b"{}", "version": 3, "serializer": "orjson", **wrong})
    with pytest.raises(MalformedMessage):
        parse_request(body)


def test_encrypted_request_golden_bytes() -> None:
    wire = golden("envelope", "encrypted_request")
    assert encrypted_request("m1", PACKET, "OAEP-SHA1", "PKCS1v15-SHA1") == wire
    assert parse_request(wire) == EncryptedRequest("m1", PACKET, "OAEP-SHA1", "PKCS1v15-SHA1", 3)


def test_absent_algorithms_mean_sha1() -> None:
    request = parse_request(pack({"enc": "aes", "load": PACKET, "id": "m1", "version": 3}))
    assert request == EncryptedRequest("m1", PACKET, "OAEP-SHA1", "PKCS1v15-SHA1", 3)


def test_a_packet_that_is_valid_utf8_is_bytes_again() -> None:
    request = parse_request(pack({"enc": "aes", "load": b"x" * 80, "id": "m1", "version": 3}))
    assert isinstance(request, EncryptedRequest)
    assert request.packet == b"x" * 80


def test_unknown_fields_are_ignored() -> None:
    wire = pack({"enc": "clear", "load": {"traceparent": "00-1-1-00"}, "version": 4, "new": 1})
    assert parse_request(wire) == ClearRequest({"traceparent": "00-1-1-00"}, 4)


@pytest.mark.parametrize("version", [0, 1, 2, -1, "3", None, True, 3.0, [3]])
def test_cve_2025_62349_a_version_below_3_is_refused(version: object) -> None:
    for enc in ({"enc": "clear", "load": {}}, {"enc": "aes", "load": PACKET, "id": "m1"}):
        with pytest.raises(VersionTooOld) as caught:
            parse_request(pack({**enc, "version": version}))
        assert caught.value.version == version


def test_an_absent_version_is_version_0() -> None:
    with pytest.raises(VersionTooOld):
        parse_request(pack({"enc": "clear", "load": {}}))


@pytest.mark.parametrize(
    "envelope",
    [
        "bad load",
        [],
        {},
        {"enc": "clear"},
        {"load": {}},
        {"enc": "rot13", "load": {}, "version": 3},
        {"enc": ["clear"], "load": {}, "version": 3},
        {"enc": "clear", "load": "text", "version": 3},
        {"enc": "clear", "load": [], "version": 3},
        {"enc": "aes", "load": {}, "version": 3, "id": "m1"},
        {"enc": "aes", "load": PACKET, "version": 3, "id": "m1", "enc_algo": 1},
        {"enc": "aes", "load": PACKET, "version": 3, "id": "m1", "sig_algo": b"\xff"},
    ],
)
def test_a_request_of_another_shape_is_malformed(envelope: object) -> None:
    with pytest.raises(MalformedMessage):
        parse_request(pack(envelope))


@pytest.mark.parametrize("minion_id", [None, 5, "", "../m1", "a/b", b"\xff"])
def test_an_encrypted_request_needs_a_valid_id(minion_id: object) -> None:
    with pytest.raises(InvalidMinionId):
        parse_request(pack({"enc": "aes", "load": PACKET, "version": 3, "id": minion_id}))


def test_replies_golden_bytes() -> None:
    assert encrypted_reply(PACKET) == golden("envelope", "encrypted_reply")
    assert pack(BAD_LOAD) == golden("envelope", "bad_load")
    load = {"jid": "20261122192410230816", "minions": ["m1"], "missing": []}
    assert clear_reply(load) == golden("envelope", "clear_reply")
    assert signed_reply(b"\x80", b"\xff") == pack({"enc": "clear", "load": b"\x80", "sig": b"\xff"})


@pytest.mark.parametrize(
    ("wire", "reply"),
    [
        (golden("envelope", "encrypted_reply"), EncryptedReply(PACKET)),
        (golden("envelope", "bad_load"), RefusedReply("bad load")),
        (pack(b"\xff\xff"), RefusedReply("\ufffd\ufffd")),
        (pack(""), RefusedReply("")),
        (pack("x" * 80), EncryptedReply(b"x" * 80)),
        (pack({"error": "Routing error"}), RefusedReply("Routing error")),
        (pack({}), RefusedReply("the reply has no known form")),
        (pack({"key": b"k", "pillar": b"\xff"}), PillarReply(b"k", b"\xff")),
    ],
)
def test_a_reply_is_a_packet_a_pillar_or_a_refusal(wire: bytes, reply: object) -> None:
    assert parse_reply(wire) == reply


@pytest.mark.parametrize("reply", [None, True, [1], {"key": 1, "pillar": b""}])
def test_a_reply_of_another_shape_is_malformed(reply: object) -> None:
    with pytest.raises(MalformedMessage):
        parse_reply(pack(reply))


def test_publish_golden_bytes() -> None:
    sig = golden("envelope", "publish_sig")
    wire = golden("envelope", "publish")
    assert publish_frame(PACKET, sig, "PKCS1v15-SHA1") == wire
    assert publish_frame(PACKET, sig, None) == wire
    assert parse_publish(wire) == PublishFrame(PACKET, sig, "PKCS1v15-SHA1")


def test_an_unsigned_publish_has_no_signature_fields() -> None:
    wire = golden("envelope", "publish_unsigned")
    assert publish_frame(PACKET, None, None) == wire
    assert parse_publish(wire) == PublishFrame(PACKET, None, None)


@pytest.mark.parametrize(
    "frame",
    [
        "text",
        {"enc": "clear", "load": {}},
        {"enc": "aes"},
        {"enc": "aes", "load": 1},
        {"enc": "aes", "load": b"", "sig": 1},
        {"enc": "aes", "load": b"", "sig": b"", "sig_algo": 1},
    ],
)
def test_a_publish_of_another_shape_is_malformed(frame: object) -> None:
    with pytest.raises(MalformedMessage):
        parse_publish(pack(frame))


def test_a_nonce_is_32_hex_digits() -> None:
    nonce = vectors("sign_in")["nonce"]
    assert check_nonce(nonce) == nonce
    for bad in (None, 5, "", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "0" * 32 + "\n", b"\xff"):
        with pytest.raises(MalformedMessage, match="nonce"):
            check_nonce(bad)


def test_field_types_are_named_when_wrong() -> None:
    assert as_bytes("é", "sig") == "é".encode()
    with pytest.raises(MalformedMessage, match="sig is not bytes but int"):
        as_bytes(1, "sig")
    with pytest.raises(MalformedMessage, match="id is not text but bytes"):
        as_text(b"\xff", "id")


fields = st.sampled_from(
    ["enc", "load", "version", "id", "enc_algo", "sig_algo", "sig", "key", "pillar", "error"]
)
values: st.SearchStrategy[Any] = st.sampled_from(["clear", "aes", 3, "m1", PACKET, {}]) | objects


@given(st.dictionaries(fields, values) | objects)
def test_nothing_but_a_protocol_error_escapes_from_structured_input(obj: object) -> None:
    wire = pack(obj)
    for parse in (parse_request, parse_reply, parse_publish):
        try:
            parse(wire)
        except ProtocolError:
            pass


@given(st.binary(max_size=500))
def test_nothing_but_a_protocol_error_escapes(data: bytes) -> None:
    for parse in (parse_request, parse_reply, parse_publish):
        try:
            parse(data)
        except ProtocolError:
            pass


def test_an_encrypted_request_without_a_load_is_malformed() -> None:
    with pytest.raises(MalformedMessage, match="no proper enc and load"):
        parse_request(pack({"enc": "aes", "id": "web1", "version": 3}))
