"""The pillar reply: signed by the master, under a key made for it alone (Spec 4.4)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from greensalt.crypto.crypticle import Crypticle, generate_key_string
from greensalt.crypto.keypair import PrivateKey, PublicKey
from greensalt.errors import BadKey, BadSignature, DecryptError, MalformedMessage, NonceMismatch
from greensalt.wire.dialect import pack, unpack
from greensalt.wire.envelope import (
    DEFAULT_ENC_ALGO,
    DEFAULT_SIG_ALGO,
    PillarReply,
    as_bytes,
    as_text,
)


def pillar_reply(
    pillar: Mapping[str, Any],
    nonce: str,
    *,
    minion_key: PublicKey,
    master_key: PrivateKey,
    enc_algo: str = DEFAULT_ENC_ALGO,
    sig_algo: str = DEFAULT_SIG_ALGO,
) -> bytes:
    """Return the body of the reply to a ``_pillar`` request; some 2 ms of CPU."""
    key_string = generate_key_string()
    key = minion_key.encrypt(key_string.encode("ascii"), enc_algo)
    signed = pack({"key": key, "pillar": dict(pillar), "nonce": nonce})
    sealed = Crypticle(key_string).dumps(
        {"data": signed, "sig": master_key.sign(signed, sig_algo)},
    )
    return pack({"key": key, "pillar": sealed})


def open_pillar_reply(
    reply: PillarReply,
    nonce: str,
    *,
    minion_key: PrivateKey,
    master_key: PublicKey,
    enc_algo: str = DEFAULT_ENC_ALGO,
    sig_algo: str = DEFAULT_SIG_ALGO,
) -> dict[str, Any]:
    """Return the pillar in a reply, proven to be the master's answer to this very request.

    Raises DecryptError, BadSignature, NonceMismatch or MalformedMessage.
    """
    try:
        box = Crypticle(minion_key.decrypt(reply.key, enc_algo).decode("ascii"))
    except (BadKey, UnicodeDecodeError) as error:
        raise DecryptError("pillar reply has no usable key") from error
    sealed = _dict(box.loads(reply.pillar), "pillar reply")
    signed = as_bytes(sealed.get("data"), "data of a pillar reply")
    if not master_key.verify(signed, as_bytes(sealed.get("sig"), "sig of a pillar"), sig_algo):
        raise BadSignature("pillar is not signed by the master")
    data = _dict(unpack(signed), "signed part of a pillar reply")
    if not hmac.compare_digest(as_bytes(data.get("key"), "key inside a pillar"), reply.key):
        raise BadSignature("pillar was signed for another reply")
    answered = as_text(data.get("nonce"), "nonce of a pillar reply")
    if not hmac.compare_digest(answered.encode(), nonce.encode()):
        raise NonceMismatch("the pillar belongs to another request")
    return _dict(data.get("pillar"), "pillar")


def _dict(value: object, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise MalformedMessage(f"{what} is not a dict but {type(value).__name__}")
