"""Emulated minions that sign in and return, on either kind of master.

They speak the real protocol over real sockets and do no work of their own, so that what is measured
is the master. They don't listen on the publish port: the job id comes from the publish reply.
"""

from __future__ import annotations

from typing import Any

import gevent

from greensalt.crypto.handshake import Accepted
from greensalt.errors import SignInRefused
from tests._peer import Peer


def sign_in(count: int, ret_port: int, prefix: str = "bench") -> list[Peer]:
    """A fleet of one key pair, which no master minds; the keys are accepted automatically."""
    peers = [Peer(f"tcp://127.0.0.1:{ret_port}", f"{prefix}{number}") for number in range(count)]
    for peer in peers:
        if not isinstance(peer.sign_in(), Accepted):
            raise SignInRefused(f"{peer.id} was not accepted: {peer.answer!r}")
    return peers


def run_job(peers: list[Peer], key: str) -> int:
    """Publish test.ping to the fleet and have every minion return; the number of returns."""
    jid = publish(peers, key)
    gevent.joinall([gevent.spawn(peer.returns, jid) for peer in peers], raise_error=True)
    return len(peers)


def publish(peers: list[Peer], key: str) -> str:
    """Publish test.ping to these minions; the jid."""
    load: dict[str, Any] = {
        "cmd": "publish",
        "tgt": [peer.id for peer in peers],
        "tgt_type": "list",
        "fun": "test.ping",
        "arg": [],
        "ret": "",
        "jid": "",
        "kwargs": {},
        "user": "root",
        "key": key,
    }
    answer = peers[0].clear(load)["load"]
    assert len(answer["minions"]) == len(peers), answer
    return str(answer["jid"])
