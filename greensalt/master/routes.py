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
from greensalt.master.access.commands import TokenCommands
from greensalt.master.batch import Batches
from greensalt.master.fileserver.receive import Receiver
from greensalt.master.fileserver.server import FileServer
from greensalt.master.follow import Following
from greensalt.master.jobs import Jobs
from greensalt.master.lanes import Lane
from greensalt.master.masteropts import MasterOptions
from greensalt.master.peer import PeerRequests
from greensalt.master.redelivery import Redelivery
from greensalt.master.reqserver import ClearHandler, MinionHandler, PrivateHandler
from greensalt.master.returns import Returns
from greensalt.master.runrequests import RunRequests
from greensalt.master.services import Services
from greensalt.master.sessions import Peer
from greensalt.master.signin import SignIn
from greensalt.master.tops import MasterTops

# Clear commands whose password is tried before they have a place in a lane.
ADMITTED = frozenset({"publish", "batch", "follow_job", "runner", "wheel"})
LAST_LANE = "runner"  # for commands that no other lane names
LANE_OF: Mapping[str, str] = {
    "_auth": "sign-in",
    **dict.fromkeys(
        (
            "_return",
            "_missed_jobs",
            "_minion_event",
            "_register_resources",
            "_mine",
            "_mine_delete",
            "_mine_flush",
        ),
        "return",
    ),
    **dict.fromkeys(("publish", "batch", "follow_job", "minion_pub", "pub_ret"), "publish"),
    "_pillar": "pillar",
    "_serve_file": "files",
    "_file_list": "files",
    "_file_list_emptydirs": "files",
    "_dir_list": "files",
    "_symlink_list": "files",
    "_file_hash": "files",
    "_file_hash_and_stat": "files",
    **dict.fromkeys(
        ("_file_envs", "_file_find", "_file_recv", "_master_opts", "_mine_get"),
        "lookup",
    ),
    "_master_tops": "tops",
}
"""The lane of each command: those that need the same thing and may wait for each other."""


def lanes(worker_threads: int) -> dict[str, Lane]:
    """The lanes by name, the most urgent first.

    Sign-ins have narrower lanes of their own behind this one (master/signin.py). A return waits for
    a commit, and many share one. Pillars, files and lookups need the processor or a disk.
    """
    wide = (
        Lane("sign-in", 1000, 0),
        Lane("return", 1000, 2000),
        Lane("publish", 32, 500),
        Lane("pillar", worker_threads, 3000),
        Lane("files", worker_threads, 3000),
        Lane("lookup", worker_threads, 3000),
        Lane("tops", 8, 3000),  # each may wait for a command
        Lane(LAST_LANE, 256, 256),
    )
    return {lane.name: lane for lane in wide}


def clear_routes(
    signin: SignIn,
    jobs: Jobs,
    following: Following,
    runs: RunRequests,
    tokens: TokenCommands,
    batches: Batches,
) -> Mapping[str, ClearHandler]:
    """For everybody: {command: load -> reply}."""
    return {
        "_auth": signin.answer,
        "ping": lambda load: load,
        "publish": jobs.publish,
        "batch": batches.begin,
        "follow_job": following.follow,
        "runner": runs.runner,
        "wheel": runs.wheel,
        "mk_token": tokens.make,
        "get_token": tokens.get,
    }


def minion_routes(
    returns: Returns,
    redelivery: Redelivery,
    services: Services,
    files: FileServer,
    receiver: Receiver,
    options: MasterOptions,
    tops: MasterTops,
    peers: PeerRequests,
) -> Mapping[str, MinionHandler]:
    """For authenticated minions: {command: (peer, load) -> result}."""
    return {
        "_return": returns.take_return,
        "_missed_jobs": redelivery.missed,
        "_minion_event": services.minion_event,
        "_register_resources": services.register_resources,
        "_mine": services.mine_store,
        "_mine_get": services.mine_get,
        "_mine_delete": services.mine_delete,
        "_mine_flush": services.mine_flush,
        "_master_opts": options.options,
        "_master_tops": tops.answer,
        "_file_envs": files.file_envs,
        "_file_list": files.file_list,
        "_file_list_emptydirs": files.file_list_emptydirs,
        "_dir_list": files.dir_list,
        "_symlink_list": files.symlink_list,
        "_file_find": files.file_find,
        "_file_hash": files.file_hash,
        "_file_hash_and_stat": files.file_hash_and_stat,
        "_file_recv": receiver.take,
        "minion_pub": peers.publish,
        "pub_ret": peers.returns,
        "minion_publish": peers.publish_and_wait,
        "minion_runner": peers.run,
        "revoke_auth": services.revoke_auth,
    }


def private_routes(
    master_key: PrivateKey, services: Services, files: FileServer
) -> Mapping[str, PrivateHandler]:
    """For authenticated minions, sealed by the handler itself: {command: -> bytes}.

    The pillar is under a key of its own; a chunk of a file is encrypted in a native thread.
    """

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

    return {"_pillar": pillar, "_serve_file": files.serve_file}
