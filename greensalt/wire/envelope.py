"""The outer messages of ports 4506 and 4505: what can be read before any key is used.

Spec 1.3 (requests), 4.3 (replies), 5.1 (publishes). The dialect makes text of every byte string
that happens to be valid UTF-8, so fields that are bytes are turned back here, in one place.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from greensalt.errors import MalformedMessage, VersionTooOld
from greensalt.wire.dialect import pack, to_text, unpack, unpack_raw
from greensalt.wire.ids import check_minion_id

PROTOCOL_VERSION: Final = 3

BAD_LOAD: Final = "bad load"
"""The whole reply to a request that can't be trusted. A stock minion signs in again only for a
string shorter than 32 characters, so this exact one it is (Spec 4.5)."""

ROUTING_ERROR: Final = "Routing error"
"""What stock says under `error` to a request that can't be read at all."""

DEFAULT_ENC_ALGO: Final = "OAEP-SHA1"
DEFAULT_SIG_ALGO: Final = "PKCS1v15-SHA1"

NONCE_CHARS: Final = 32

_SHORTEST_PACKET: Final = 64
_NONCE: Final = re.compile(rf"[0-9a-f]{{{NONCE_CHARS}}}")


class ClearRequest(NamedTuple):
    """A request that anyone can read and that anyone may have written."""

    load: dict[str, Any]
    version: int


class PackedRequest(NamedTuple):
    """A clear request whose load is packed by a codec that the envelope names (Spec 12.4)."""

    serializer: str
    packed: bytes
    version: int


class EncryptedRequest(NamedTuple):
    """A request under the session key of the minion it claims to be from."""

    id: str
    packet: bytes
    enc_algo: str
    sig_algo: str
    version: int


class PublishFrame(NamedTuple):
    """A job on port 4505; sig covers the packet."""

    packet: bytes
    sig: bytes | None
    sig_algo: str | None


class EncryptedReply(NamedTuple):
    """A reply under the session key."""

    packet: bytes


class PillarReply(NamedTuple):
    """A reply under a key of its own, which travels encrypted beside it (Spec 4.4)."""

    key: bytes
    pillar: bytes


class RefusedReply(NamedTuple):
    """A clear answer to an encrypted request: the master could not or would not read it."""

    reason: str


def parse_request(body: bytes) -> ClearRequest | PackedRequest | EncryptedRequest:
    """Read one request; raises MalformedMessage, VersionTooOld or InvalidMinionId."""
    raw = unpack_raw(body)
    if type(raw) is dict and raw.get(b"enc") == b"aes":
        return _encrypted(raw)
    envelope = _dict(to_text(raw), "request")
    enc = envelope.get("enc")
    load = envelope.get("load")
    version = envelope.get("version", 0)
    if enc != "clear" or load is None:
        raise MalformedMessage("request has no proper enc and load")
    if type(version) is not int or version < PROTOCOL_VERSION:
        raise VersionTooOld(version)
    if "serializer" in envelope:
        return PackedRequest(
            as_text(envelope["serializer"], "serializer of a request"),
            as_bytes(load, "load of a packed request"),
            version,
        )
    return ClearRequest(_dict(load, "load of a clear request"), version)


def _encrypted(envelope: dict[Any, Any]) -> EncryptedRequest:
    """Read the envelope of an encrypted request, whose keys and text are bytes still."""
    load, version = envelope.get(b"load"), _text(envelope.get(b"version", 0))
    if load is None:
        raise MalformedMessage("request has no proper enc and load")
    if type(version) is not int or version < PROTOCOL_VERSION:
        raise VersionTooOld(version)
    return EncryptedRequest(
        check_minion_id(_text(envelope.get(b"id"))),
        as_bytes(load, "load of an encrypted request"),
        as_text(_text(envelope.get(b"enc_algo", DEFAULT_ENC_ALGO)), "enc_algo"),
        as_text(_text(envelope.get(b"sig_algo", DEFAULT_SIG_ALGO)), "sig_algo"),
        version,
    )


def _text(value: object) -> object:
    """Text, if these are the bytes of some."""
    if type(value) is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    return value


def clear_request(load: dict[str, Any]) -> bytes:
    """Return the body of an unencrypted request."""
    return pack({"enc": "clear", "load": load, "version": PROTOCOL_VERSION})


def packed_request(serializer: str, packed: bytes) -> bytes:
    """Return the body of an unencrypted request whose load a codec has packed."""
    return pack(
        {"enc": "clear", "load": packed, "serializer": serializer, "version": PROTOCOL_VERSION}
    )


def packed_reply(serializer: str, packed: bytes) -> bytes:
    """Return the body of the reply to a packed request, in the same codec."""
    return pack({"enc": "clear", "load": packed, "serializer": serializer})


def encrypted_request(minion_id: str, packet: bytes, enc_algo: str, sig_algo: str) -> bytes:
    """Return the body of a request whose load is already encrypted."""
    return pack(
        {
            "enc": "aes",
            "load": packet,
            "id": minion_id,
            "version": PROTOCOL_VERSION,
            "enc_algo": enc_algo,
            "sig_algo": sig_algo,
        }
    )


def clear_reply(load: object) -> bytes:
    """Return the body of an unencrypted reply."""
    return pack({"enc": "clear", "load": load})


def signed_reply(signed: bytes, sig: bytes) -> bytes:
    """Return the body of a readable reply whose load is packed and signed (Spec 2.2)."""
    return pack({"enc": "clear", "load": signed, "sig": sig})


def encrypted_reply(packet: bytes) -> bytes:
    """Return the body of an encrypted reply: a msgpack raw string, not the naked packet."""
    return pack(packet)


def parse_reply(body: bytes) -> EncryptedReply | PillarReply | RefusedReply:
    """Read the reply to an encrypted request; raises MalformedMessage.

    Too short to be a packet means text: the reason of a refusal.
    """
    reply = unpack(body)
    if isinstance(reply, (str, bytes)):
        packet = as_bytes(reply, "reply")
        if len(packet) >= _SHORTEST_PACKET:
            return EncryptedReply(packet)
        return RefusedReply(packet.decode(errors="replace"))
    answer = _dict(reply, "reply")
    if "key" in answer and "pillar" in answer:
        return PillarReply(
            as_bytes(answer["key"], "key of a reply"),
            as_bytes(answer["pillar"], "pillar of a reply"),
        )
    return RefusedReply(str(answer.get("error", "the reply has no known form")))


def publish_frame(packet: bytes, sig: bytes | None, sig_algo: str | None) -> bytes:
    """Return the body of a publish; without a signature its two fields are left out."""
    frame: dict[str, object] = {"enc": "aes", "load": packet}
    if sig is not None:
        frame |= {"sig_algo": sig_algo or DEFAULT_SIG_ALGO, "sig": sig}
    return pack(frame)


def parse_publish(body: bytes) -> PublishFrame:
    """Read a publish; raises MalformedMessage."""
    frame = _dict(unpack(body), "publish")
    if frame.get("enc") != "aes":
        raise MalformedMessage("publish is not encrypted")
    sig = frame.get("sig")
    sig_algo = frame.get("sig_algo")
    return PublishFrame(
        packet=as_bytes(frame.get("load"), "load of a publish"),
        sig=None if sig is None else as_bytes(sig, "sig of a publish"),
        sig_algo=None if sig_algo is None else as_text(sig_algo, "sig_algo of a publish"),
    )


def check_nonce(value: object) -> str:
    """Return the nonce of a request unchanged; raises MalformedMessage if it is none."""
    if isinstance(value, str) and _NONCE.fullmatch(value) is not None:
        return value
    raise MalformedMessage(f"request has no nonce of {NONCE_CHARS} hex digits")


def as_bytes(value: object, what: str) -> bytes:
    """Return a field that must be bytes, also when the dialect took it for text."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise MalformedMessage(f"{what} is not bytes but {type(value).__name__}")


def as_text(value: object, what: str) -> str:
    """Return a field that must be text."""
    if isinstance(value, str):
        return value
    raise MalformedMessage(f"{what} is not text but {type(value).__name__}")


def _dict(value: object, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise MalformedMessage(f"{what} is not a dict but {type(value).__name__}")
