"""Emulated minions that fetch one file, all at once: `python -m tools.bench.fetchers`.

They sign in and ask for piece after piece as a minion does, but open no reply, so that what is
measured is the master. Prints `ready`, waits for a line on stdin, fetches, and prints the seconds
that it took and the bytes of the replies as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import gevent

from greensalt.wire.envelope import DEFAULT_ENC_ALGO, DEFAULT_SIG_ALGO, encrypted_request
from tests._peer import TIMEOUT_S, Peer
from tools.bench import fleet

PIECE_BYTES = 1 << 20  # `file_buffer_size` of both masters


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--minions", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--bytes", type=int, required=True)
    args = parser.parse_args()
    peers = fleet.sign_in(args.minions, args.port, "fetch")
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.perf_counter()
    jobs = [gevent.spawn(fetch, peer, args.path, args.bytes) for peer in peers]
    gevent.joinall(jobs, raise_error=True)
    took = time.perf_counter() - begun
    print(json.dumps({"seconds": took, "bytes": sum(job.value for job in jobs)}), flush=True)
    return 0


def fetch(peer: Peer, path: str, size: int) -> int:
    """Ask for the whole file; the bytes of all replies."""
    received = 0
    for loc in range(0, size, PIECE_BYTES):
        received += len(ask(peer, peer.load("_serve_file", path=path, saltenv="base", loc=loc)))
    assert received > size, f"{peer.id} got {received} bytes of a file of {size}"
    return received


def ask(peer: Peer, load: dict[str, object]) -> bytes:
    """The reply to a request, unopened."""
    packet = peer.session.dumps(load, codec=peer.codec)
    body = encrypted_request(peer.id, packet, DEFAULT_ENC_ALGO, DEFAULT_SIG_ALGO)
    return peer.channel.request(body, TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(main())
