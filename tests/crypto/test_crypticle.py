from __future__ import annotations

import base64
import hmac
import random

import pytest
from Crypto.Cipher import AES
from hypothesis import given, strategies as st

from greensalt.crypto.crypticle import (
    Crypticle,
    check_key_string,
    generate_key_string,
    new_nonce,
)
from greensalt.errors import (
    BadKey,
    CryptoError,
    DecryptError,
    MalformedMessage,
    NonceMismatch,
    ProtocolError,
)
from greensalt.serializers import find, names, served
from greensalt.wire.envelope import check_nonce
from tests.vectors.load import golden, vectors
from tests.wire.test_dialect import objects

KEY: str = vectors("crypticle")["key_string"]
NONCE: str = vectors("crypticle")["nonce"]
OBJECT = vectors("crypticle")["object"]
BOX = Crypticle(KEY)


def seal_by_hand(padded: bytes, iv: bytes = bytes(16)) -> bytes:
    """A packet made with one-shot objects, also around a padding that no sender would write."""
    key = base64.b64decode(KEY)
    sealed = iv + AES.new(key[:24], AES.MODE_CBC, iv).encrypt(padded)
    return sealed + hmac.digest(key[24:], sealed, "sha256")


def open_by_hand(packet: bytes) -> bytes:
    """What any peer with one-shot objects reads."""
    key = base64.b64decode(KEY)
    assert hmac.digest(key[24:], packet[:-32], "sha256") == packet[-32:]
    return AES.new(key[:24], AES.MODE_CBC, packet[:16]).decrypt(packet[16:-32])


def test_golden_packets() -> None:
    assert base64.b64decode(KEY) == golden("crypticle", "key_hex")
    assert BOX.loads(golden("crypticle", "packet")) == OBJECT
    assert BOX.loads(golden("crypticle", "packet_with_nonce"), NONCE) == OBJECT


def test_golden_packet_is_what_an_ordinary_sender_makes() -> None:
    plaintext = b"pickle::" + golden("crypticle", "msgpack")
    padded = plaintext + b"\x02\x02"
    assert seal_by_hand(padded, golden("crypticle", "iv")) == golden("crypticle", "packet")


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=5))
def test_packets_of_a_running_chain_are_ordinary_packets(plaintexts: list[bytes]) -> None:
    box = Crypticle(KEY)
    packets = [box.encrypt(plaintext) for plaintext in plaintexts]
    assert len({packet[:16] for packet in packets}) == len(packets)
    for packet, plaintext in zip(packets, plaintexts, strict=True):
        padded = open_by_hand(packet)
        assert padded[: len(plaintext)] == plaintext
        assert set(padded[len(plaintext) :]) == {len(padded) - len(plaintext)}


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=5), st.randoms())
def test_packets_may_be_read_in_any_order(plaintexts: list[bytes], chance: random.Random) -> None:
    packets = [(BOX.encrypt(plaintext), plaintext) for plaintext in plaintexts]
    packets += packets[:1]
    chance.shuffle(packets)
    reader = Crypticle(KEY)
    for packet, plaintext in packets:
        assert reader.decrypt(packet) == plaintext


@given(objects)
def test_objects_come_back(obj: object) -> None:
    assert BOX.loads(BOX.dumps(obj)) == obj
    assert BOX.loads(BOX.dumps(obj, NONCE), NONCE) == obj


@pytest.mark.parametrize("name", names())
def test_a_packet_says_inside_the_mac_which_codec_it_is_of(name: str) -> None:
    codec = find(name)
    box = Crypticle(generate_key_string())
    packet = box.dumps({"a": 1, "b": b"\xff"}, NONCE, codec)
    assert box.open(packet, NONCE, served([name])) == (codec, {"a": 1, "b": b"\xff"})
    assert box.decrypt(packet).startswith(codec.prefix + NONCE.encode())
    with pytest.raises(NonceMismatch):
        box.open(packet, "1" * 32, served([name]))


def test_a_codec_that_is_not_in_use_is_not_read() -> None:
    box = Crypticle(generate_key_string())
    packet = box.dumps({"a": 1}, codec=find("orjson"))
    with pytest.raises(MalformedMessage, match="codec in use"):
        box.loads(packet)
    with pytest.raises(MalformedMessage, match="codec in use"):
        box.loads(packet, codecs=served(["cbor2"]))


def test_the_same_object_never_gives_the_same_packet() -> None:
    assert len({BOX.dumps(OBJECT) for _ in range(100)}) == 100


def test_cve_2022_22936_a_reply_to_another_request_is_refused() -> None:
    with pytest.raises(NonceMismatch):
        BOX.loads(BOX.dumps(OBJECT, "f" * 32), NONCE)
    with pytest.raises(NonceMismatch):
        BOX.loads(BOX.dumps(OBJECT), NONCE)
    with pytest.raises(NonceMismatch):
        BOX.loads(BOX.encrypt(b"pickle::" + NONCE[:-1].encode()), NONCE)


def test_another_key_cannot_read_a_packet() -> None:
    with pytest.raises(DecryptError, match="not under this key"):
        Crypticle(generate_key_string()).decrypt(BOX.encrypt(b"x"))


def test_every_changed_bit_is_noticed() -> None:
    packet = BOX.encrypt(b"attack at dawn")
    for position in range(len(packet)):
        changed = bytearray(packet)
        changed[position] ^= 1
        with pytest.raises(DecryptError):
            BOX.decrypt(bytes(changed))
    assert BOX.decrypt(packet) == b"attack at dawn"


@pytest.mark.parametrize("cut", [0, 1, 16, 47, 48, 63, 65, 79])
def test_a_packet_of_an_impossible_length_is_refused(cut: int) -> None:
    with pytest.raises(DecryptError, match="can't have"):
        BOX.decrypt(BOX.encrypt(b"x" * 20)[:cut])


@pytest.mark.parametrize(
    "padded",
    [
        b"x" * 15 + b"\x00",
        b"x" * 15 + b"\x11",
        b"x" * 15 + b"\xff",
        b"x" * 14 + b"\x01\x02",
        b"\x0f" + b"\x10" * 15,
    ],
)
def test_padding_is_checked_strictly_although_the_mac_is_right(padded: bytes) -> None:
    with pytest.raises(DecryptError, match="padding"):
        BOX.decrypt(seal_by_hand(padded))
    assert BOX.decrypt(seal_by_hand(b"\x10" * 16)) == b""


@pytest.mark.parametrize("plaintext", [b"", b"pickle:", b"json::{}", b"pickle::", b"pickle::\xc1"])
def test_a_packet_without_an_object_is_malformed(plaintext: bytes) -> None:
    with pytest.raises(MalformedMessage):
        BOX.loads(BOX.encrypt(plaintext))


def test_a_nonce_of_any_text_is_answered_not_tripped_over() -> None:
    assert BOX.decrypt(BOX.dumps(None, "é")) == b"pickle::\xc3\xa9\xc0"


def test_generated_keys_are_key_strings_and_differ() -> None:
    keys = {generate_key_string() for _ in range(10)}
    assert len(keys) == 10
    for key in keys:
        assert len(key) == 76
        assert check_key_string(key) == key


@pytest.mark.parametrize("bad", ["", "x", "é" * 76, KEY[:-4], KEY + KEY, KEY[:-1], f" {KEY}"])
def test_what_is_no_key_string_is_a_bad_key(bad: str) -> None:
    with pytest.raises(BadKey):
        check_key_string(bad)
    with pytest.raises(BadKey):
        Crypticle(bad)


def test_nonces_are_fresh_and_well_formed() -> None:
    nonces = {new_nonce() for _ in range(10)}
    assert len(nonces) == 10
    for nonce in nonces:
        check_nonce(nonce)


def test_a_box_does_not_print_its_key() -> None:
    assert repr(BOX) == "<Crypticle>"


@given(st.binary(max_size=300) | st.binary(max_size=100).map(BOX.encrypt))
def test_nothing_but_our_errors_escapes(packet: bytes) -> None:
    for nonce in (None, NONCE):
        try:
            BOX.loads(packet, nonce)
        except (CryptoError, ProtocolError):
            pass
