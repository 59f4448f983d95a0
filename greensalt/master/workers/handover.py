"""A request on its way to a worker process, and the answer on its way back.

Both are msgpack. The request holds the stamp of the master, the command, what is known of the peer,
and the opened load; the answer the finished reply, and what the master has to keep of it. The way
is a socket that only the user of the daemons can open.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from greensalt.crypto.crypticle import Crypticle
from greensalt.crypto.keypair import public_key
from greensalt.errors import MalformedMessage
from greensalt.master.sessions import Peer
from greensalt.serializers import find
from greensalt.wire.dialect import pack_bin, unpack_bin

ASK_FIELDS = 10
ANSWER_FIELDS = 4


class Ask(NamedTuple):
    """What a worker has to do."""

    stamp: bytes
    command: str
    peer: Peer
    load: dict[str, Any]


class Answer(NamedTuple):
    """What it did: `reply` is for the minion, `grains` and `pillar` (packed) are for the cache."""

    reply: bytes
    grains: bytes = b""
    pillar: bytes = b""


class Refused(NamedTuple):
    """The worker did not do it: the master does it itself."""

    why: str


def pack_ask(stamp: bytes, command: str, peer: Peer, load: dict[str, Any]) -> bytes:
    """Raises MalformedMessage for what has no form in msgpack."""
    whose = (peer.id, peer.nonce, peer.public_key.pem, peer.crypticle.key_string)
    how = (peer.enc_algo, peer.sig_algo, peer.codec.name)
    return pack_bin([stamp, command, *whose, *how, load])


def read_ask(body: bytes) -> Ask:
    """Raises MalformedMessage and CryptoError."""
    fields = unpack_bin(body)
    if not isinstance(fields, list) or len(fields) != ASK_FIELDS:
        raise MalformedMessage("not a request for a worker")
    stamp, command, minion_id, nonce, pem, session, enc_algo, sig_algo, codec, load = fields
    peer = Peer(
        id=minion_id,
        nonce=nonce,
        public_key=public_key(pem),
        crypticle=Crypticle(session),
        enc_algo=enc_algo,
        sig_algo=sig_algo,
        codec=find(codec),
    )
    return Ask(stamp, command, peer, load)


def pack_answer(answer: Answer | Refused) -> bytes:
    """An answer as bytes."""
    if isinstance(answer, Refused):
        return pack_bin([answer.why, b"", b"", b""])
    return pack_bin(["", *answer])


def read_answer(body: bytes) -> Answer | Refused:
    """Raises MalformedMessage."""
    fields = unpack_bin(body)
    if not isinstance(fields, list) or len(fields) != ANSWER_FIELDS:
        raise MalformedMessage("not the answer of a worker")
    why, *answer = fields
    return Refused(why) if why else Answer(*answer)
