"""The whole surface of port 4506: three tables of {command: handler}.

Clear commands can be sent by anybody who reaches the port: those that do anything authenticate the
local user first. The others pass `Sessions.open` before they get here.

Source: docs/protocol.md 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from greensalt.crypto.handshake import pillar_reply
from greensalt.crypto.keypair import PrivateKey
from greensalt.green import offload
from greensalt.master.jobs import Jobs
from greensalt.master.reqserver import ClearHandler, MinionHandler, PrivateHandler
from greensalt.master.services import Services
from greensalt.master.sessions import Peer
from greensalt.master.signin import SignIn

HEAVY = frozenset({"publish", "_pillar", "_mine_get"})  # those that need the processor


def clear_routes(signin: SignIn, jobs: Jobs) -> Mapping[str, ClearHandler]:
    """For everybody: {command: load -> reply}."""
    return {
        "_auth": signin.answer,
        "ping": lambda load: load,
        "publish": jobs.publish,
        "follow_job": jobs.follow,
    }


def minion_routes(jobs: Jobs, services: Services) -> Mapping[str, MinionHandler]:
    """For authenticated minions: {command: (peer, load) -> result}."""
    return {
        "_return": jobs.take_return,
        "_minion_event": services.minion_event,
        "_register_resources": services.register_resources,
        "_mine": services.mine_store,
        "_mine_get": services.mine_get,
        "_mine_delete": services.mine_delete,
        "_mine_flush": services.mine_flush,
        "revoke_auth": services.revoke_auth,
    }


def private_routes(master_key: PrivateKey, services: Services) -> Mapping[str, PrivateHandler]:
    """For authenticated minions, answered under a key of its own: {command: -> bytes}."""

    def pillar(peer: Peer, load: dict[str, Any]) -> bytes:
        result = services.pillar(peer, load)
        return offload(
            pillar_reply,
            result,
            peer.nonce,
            minion_key=peer.public_key,
            master_key=master_key,
            enc_algo=peer.enc_algo,
            sig_algo=peer.sig_algo,
        )

    return {"_pillar": pillar}
