from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from greensalt.crypto.signing import check_load, check_publish, sign_load, signed_publish
from greensalt.errors import BadSignature, MalformedMessage, UnsupportedAlgorithm
from greensalt.wire.dialect import pack, unpack
from greensalt.wire.envelope import parse_publish, publish_frame
from tests.vectors.load import golden, key, vectors
from tests.wire.test_dialect import objects

MASTER, MINION, STRANGER = key("master"), key("minion"), key("stranger")
PACKET = golden("envelope", "packet")
SHA1, SHA224 = "PKCS1v15-SHA1", "PKCS1v15-SHA224"


def test_golden_publishes() -> None:
    assert signed_publish(PACKET, MASTER) == golden("envelope", "publish")
    assert signed_publish(PACKET, None) == golden("envelope", "publish_unsigned")
    check_publish(parse_publish(golden("envelope", "publish")), MASTER.public)


def test_cve_2017_7893_a_publish_must_be_signed_by_the_master() -> None:
    for algo in (SHA1, SHA224):
        check_publish(parse_publish(signed_publish(PACKET, MASTER, algo)), MASTER.public)
    for body in (
        signed_publish(PACKET, None),
        signed_publish(PACKET, STRANGER),
        publish_frame(PACKET, b"", SHA1),
        publish_frame(PACKET[:-1], MASTER.sign(PACKET, SHA1), SHA1),
        publish_frame(PACKET, MASTER.sign(PACKET, SHA224), SHA1),
    ):
        with pytest.raises(BadSignature):
            check_publish(parse_publish(body), MASTER.public)


def test_a_publish_without_an_algorithm_is_checked_as_sha1() -> None:
    frame = parse_publish(pack({"enc": "aes", "load": PACKET, "sig": MASTER.sign(PACKET, SHA1)}))
    check_publish(frame, MASTER.public)


def test_a_publish_with_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(UnsupportedAlgorithm):
        check_publish(parse_publish(publish_frame(PACKET, b"x", "ROT13")), MASTER.public)


def test_golden_signature_of_a_request() -> None:
    load = vectors("envelope")["load"]
    assert sign_load(MINION, load, SHA1) == golden("envelope", "load_sig")
    check_load(MINION.public, {**load, "sig": golden("envelope", "load_sig")}, SHA1)


def test_the_fields_of_one_sending_are_not_signed() -> None:
    load = vectors("envelope")["load"]
    sig = sign_load(MINION, {**load, "nonce": "0" * 32, "tok": b"\xff", "sig": b"\xfe"}, SHA1)
    assert sig == golden("envelope", "load_sig")


def test_a_request_must_be_signed_by_its_minion_as_it_is() -> None:
    load = vectors("envelope")["load"]
    sig = sign_load(MINION, load, SHA1)
    for wrong in (
        load,
        {**load, "sig": b"\xff"},
        {**load, "sig": sign_load(STRANGER, load, SHA1)},
        {**load, "return": False, "sig": sig},
        {**dict(reversed(load.items())), "sig": sig},
    ):
        with pytest.raises(BadSignature):
            check_load(MINION.public, wrong, SHA1)
    with pytest.raises(MalformedMessage):
        check_load(MINION.public, {**load, "sig": 5}, SHA1)


@settings(max_examples=50)
@given(st.dictionaries(st.text(min_size=5), objects | st.binary(), max_size=4))
def test_a_signature_survives_the_wire_also_where_bytes_become_text(load: dict[str, Any]) -> None:
    received = unpack(pack({**load, "sig": sign_load(MINION, load, SHA1)}))
    check_load(MINION.public, received, SHA1)
