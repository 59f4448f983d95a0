from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from greensalt.crypto.crypticle import Crypticle, generate_key_string
from greensalt.crypto.keypair import PrivateKey
from greensalt.crypto.pillar import open_pillar_reply, pillar_reply
from greensalt.errors import (
    BadSignature,
    CryptoError,
    DecryptError,
    MalformedMessage,
    NonceMismatch,
    ProtocolError,
)
from greensalt.wire.dialect import pack
from greensalt.wire.envelope import PillarReply, parse_reply
from tests.vectors.load import golden, key, vectors
from tests.wire.test_dialect import objects

MASTER, MINION, STRANGER = key("master"), key("minion"), key("stranger")
NONCE: str = vectors("sign_in")["nonce"]
SHA1 = "PKCS1v15-SHA1"
PILLAR = {"role": "web", "ports": [80, 443]}


def parsed(body: bytes) -> PillarReply:
    reply = parse_reply(body)
    assert isinstance(reply, PillarReply)
    return reply


def reply_of(pillar: dict[str, Any] = PILLAR, master: PrivateKey = MASTER) -> PillarReply:
    return parsed(pillar_reply(pillar, NONCE, minion_key=MINION.public, master_key=master))


def opened(reply: PillarReply, nonce: str = NONCE, minion: PrivateKey = MINION) -> dict[str, Any]:
    return open_pillar_reply(reply, nonce, minion_key=minion, master_key=MASTER.public)


def forged(sealed: object = None, **changes: Any) -> PillarReply:
    """A reply by the master itself, with a field of the signed part changed (None: removed)."""
    key_string = generate_key_string()
    key = MINION.public.encrypt(key_string.encode(), "OAEP-SHA1")
    data = {"key": key, "pillar": PILLAR, "nonce": NONCE, **changes}
    signed = pack({name: value for name, value in data.items() if value is not None})
    if sealed is None:
        sealed = {"data": signed, "sig": MASTER.sign(signed, SHA1)}
    return PillarReply(key, Crypticle(key_string).dumps(sealed))


def test_golden_reply_is_opened() -> None:
    assert opened(parsed(golden("sign_in", "pillar"))) == PILLAR
    assert opened(forged()) == PILLAR


@pytest.mark.parametrize("enc_algo", ["OAEP-SHA1", "OAEP-SHA224"])
@pytest.mark.parametrize("sig_algo", ["PKCS1v15-SHA1", "PKCS1v15-SHA224"])
def test_a_pillar_arrives(enc_algo: str, sig_algo: str) -> None:
    algos = {"enc_algo": enc_algo, "sig_algo": sig_algo}
    body = pillar_reply(PILLAR, NONCE, minion_key=MINION.public, master_key=MASTER, **algos)
    answer = open_pillar_reply(
        parsed(body), NONCE, minion_key=MINION, master_key=MASTER.public, **algos
    )
    assert answer == PILLAR


def test_a_pillar_is_for_one_minion_only() -> None:
    with pytest.raises(DecryptError):
        opened(reply_of(), minion=STRANGER)


def test_cve_2022_22934_a_pillar_of_another_master_is_refused() -> None:
    with pytest.raises(BadSignature, match="not signed by the master"):
        opened(reply_of(master=STRANGER))


def test_cve_2022_22934_a_pillar_under_another_key_is_refused() -> None:
    other_key = MINION.public.encrypt(generate_key_string().encode(), "OAEP-SHA1")
    with pytest.raises(BadSignature, match="another reply"):
        opened(forged(key=other_key))


def test_cve_2022_22936_a_pillar_of_another_request_is_refused() -> None:
    with pytest.raises(NonceMismatch):
        opened(reply_of(), nonce="f" * 32)


def test_keys_of_two_replies_cannot_be_exchanged() -> None:
    with pytest.raises(DecryptError):
        opened(reply_of()._replace(key=reply_of().key))


@pytest.mark.parametrize("key_string", [b"x", b"\xff" * 76])
def test_a_key_that_is_no_key_string_is_refused(key_string: bytes) -> None:
    key = MINION.public.encrypt(key_string, "OAEP-SHA1")
    with pytest.raises(DecryptError, match="no usable key"):
        opened(reply_of()._replace(key=key))


@pytest.mark.parametrize(
    "changes", [{"pillar": None}, {"pillar": "text"}, {"nonce": None}, {"nonce": 1}, {"key": None}]
)
def test_a_signed_part_of_another_shape_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        opened(forged(**changes))


@pytest.mark.parametrize(
    "sealed", ["text", [], {"data": 1}, {"data": b""}, {"data": pack([]), "sig": 1}]
)
def test_a_sealed_part_of_another_shape_is_malformed(sealed: object) -> None:
    with pytest.raises(MalformedMessage):
        opened(forged(sealed))
    signed = pack([])
    with pytest.raises(MalformedMessage):
        opened(forged({"data": signed, "sig": MASTER.sign(signed, SHA1)}))


@settings(max_examples=50)
@given(objects, st.dictionaries(st.sampled_from(["key", "pillar", "nonce"]), objects))
def test_nothing_but_our_errors_escapes(sealed: object, changes: dict[str, Any]) -> None:
    for reply in (forged(sealed), forged(**changes)):
        try:
            opened(reply)
        except (CryptoError, ProtocolError):
            pass


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_nothing_but_our_errors_escapes_from_rubbish(sealed_key: bytes, pillar: bytes) -> None:
    with pytest.raises((CryptoError, ProtocolError)):
        opened(PillarReply(sealed_key, pillar))
