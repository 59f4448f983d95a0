"""Emulated minions that sign in and return, on either kind of master.

They speak the real protocol over real sockets and do no work of their own, so that what is measured
is the master. They don't listen on the publish port: the job id comes from the publish reply.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import gevent

from greensalt.crypto.crypticle import Crypticle, new_nonce
from greensalt.crypto.handshake import (
    Accepted,
    SignInAttempt,
    sign_in_request,
    tok,
    verify_reply,
)
from greensalt.crypto.keypair import PrivateKey
from greensalt.errors import MalformedMessage, SignInRefused
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

TIMEOUT_S = 120.0


class Minion:
    """One emulated minion; all of a fleet share one key pair, which no master objects to."""

    def __init__(self, minion_id: str, key: PrivateKey, proof: bytes, ret_port: int) -> None:
        self.id = minion_id
        self._key = key
        self._tok = proof
        self._channel = ReqChannel(f"tcp://127.0.0.1:{ret_port}")
        self._session: Crypticle | None = None

    def sign_in(self) -> None:
        attempt = SignInAttempt(self.id, self._key, new_nonce(), b"")
        body = self._channel.request(clear_request(sign_in_request(attempt)), TIMEOUT_S)
        answer = verify_reply(body, attempt)
        if not isinstance(answer, Accepted):
            raise SignInRefused(f"{self.id} was not accepted: {answer!r}")
        self._session = Crypticle(answer.session)

    def request(self, load: dict[str, Any]) -> Any:
        assert self._session is not None
        nonce = new_nonce()
        full = {**load, "nonce": nonce, "ts": int(time.time()), "tok": self._tok, "id": self.id}
        packet = self._session.dumps(full)
        body = encrypted_request(self.id, packet, DEFAULT_ENC_ALGO, DEFAULT_SIG_ALGO)
        reply = parse_reply(self._channel.request(body, TIMEOUT_S))
        if not isinstance(reply, EncryptedReply):
            raise MalformedMessage(f"{self.id}: {reply!r}")
        return self._session.loads(reply.packet, nonce=nonce)


def sign_in(count: int, ret_port: int, where: Path) -> list[Minion]:
    """A fleet whose keys have been accepted automatically."""
    where.mkdir()
    key = PrivateKey.generate()
    proof = tok(key)
    minions = [Minion(f"bench{number}", key, proof, ret_port) for number in range(count)]
    for minion in minions:
        minion.sign_in()
    return minions


def run_job(minions: list[Minion], ret_port: int, key: str) -> int:
    """Publish test.ping to the fleet and have every minion return; the number of returns."""
    channel = ReqChannel(f"tcp://127.0.0.1:{ret_port}")
    load: dict[str, Any] = {
        "cmd": "publish",
        "tgt": [minion.id for minion in minions],
        "tgt_type": "list",
        "fun": "test.ping",
        "arg": [],
        "ret": "",
        "jid": "",
        "kwargs": {},
        "user": "root",
        "key": key,
    }
    answer = unpack(channel.request(clear_request(load), TIMEOUT_S))
    channel.close()
    jid = answer["load"]["jid"]
    assert len(answer["load"]["minions"]) == len(minions), answer
    greenlets = [gevent.spawn(_return, minion, jid) for minion in minions]
    gevent.joinall(greenlets, raise_error=True)
    return len(minions)


def _return(minion: Minion, jid: str) -> None:
    minion.request(
        {
            "cmd": "_return",
            "jid": jid,
            "fun": "test.ping",
            "fun_args": [],
            "return": True,
            "retcode": 0,
            "success": True,
            "user": "root",
        }
    )
