"""A minion of the tests that speaks the wire by hand, so that it can break every rule of it."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from greensalt.crypto.crypticle import Crypticle, new_nonce
from greensalt.crypto.handshake import (
    Accepted,
    MasterTrust,
    SignInAttempt,
    sign_in_request,
    tok,
    verify_reply,
)
from greensalt.crypto.keypair import PrivateKey
from greensalt.serializers import MSGPACK, Codec, find, served
from greensalt.transport.request import ReqChannel
from greensalt.wire.dialect import unpack
from greensalt.wire.envelope import (
    DEFAULT_ENC_ALGO,
    DEFAULT_SIG_ALGO,
    EncryptedReply,
    clear_request,
    encrypted_request,
    parse_reply,
)

TIMEOUT_S = 60.0


@cache
def key(number: int = 0) -> PrivateKey:
    """A key pair; making one takes a while, so the tests share a few."""
    assert number >= 0
    return PrivateKey.generate()


class Peer:
    """One minion at a master's Ret interface."""

    def __init__(self, address: str, minion_id: str, key_number: int = 0) -> None:
        self.id = minion_id
        self.key = key(key_number)
        self.tok = tok(self.key)
        self.channel = ReqChannel(address)
        self.session = Crypticle("A" * 75 + "=")
        self.codec: Codec = MSGPACK
        self.answer: Any = None

    def close(self) -> None:
        self.channel.close()

    def send(self, body: bytes) -> Any:
        """The unpacked reply to any body."""
        return unpack(self.channel.request(body, TIMEOUT_S))

    def clear(self, load: dict[str, Any]) -> Any:
        return self.send(clear_request(load))

    def attempt(self, **options: Any) -> SignInAttempt:
        return SignInAttempt(self.id, self.key, new_nonce(), b"secret", **options)

    def sign_in(
        self, trust: MasterTrust | None = None, serializer: str | None = None, **load: Any
    ) -> Any:
        """Sign in once; what the master says."""
        attempt = self.attempt(trust=trust or MasterTrust(), serializer=serializer)
        request = clear_request({**sign_in_request(attempt), **load})
        self.answer = verify_reply(self.channel.request(request, TIMEOUT_S), attempt)
        if isinstance(self.answer, Accepted):
            self.session = Crypticle(self.answer.session)
            self.codec = find(self.answer.serializer or MSGPACK.name)
        return self.answer

    def load(self, cmd: str, **fields: Any) -> dict[str, Any]:
        """The full load of a request: every field can be given another value, None drops it."""
        full = {
            "cmd": cmd,
            "nonce": new_nonce(),
            "ts": int(time.time()),
            "tok": self.tok,
            "id": self.id,
            **fields,
        }
        return {name: value for name, value in full.items() if value is not None}

    def send_load(self, load: dict[str, Any], outer_id: str = "") -> Any:
        """The result of a request, or the clear reply when the master refuses it."""
        packet = self.session.dumps(load, codec=self.codec)
        body = encrypted_request(outer_id or self.id, packet, DEFAULT_ENC_ALGO, DEFAULT_SIG_ALGO)
        raw = self.channel.request(body, TIMEOUT_S)
        reply = parse_reply(raw)
        if isinstance(reply, EncryptedReply):
            codecs = served([self.codec.name])
            codec, result = self.session.open(reply.packet, load["nonce"], codecs)
            assert codec is self.codec  # a request is answered in its own
            return result
        return unpack(raw)

    def request(self, cmd: str, **fields: Any) -> Any:
        return self.send_load(self.load(cmd, **fields))

    def returns(self, jid: Any, value: Any = True, **fields: Any) -> Any:
        """Send a `_return`."""
        whole = {"fun": "test.ping", "fun_args": [], "retcode": 0, "success": True, **fields}
        return self.request("_return", jid=jid, **{"return": value, **whole})
