"""The steps of one return, each by itself in a warm loop.

    python -m tools.bench.steps

Warm loops are kinder than a master, whose caches have seen other work in between: compare steps
with each other, and take what a whole return costs from tools.bench.limit.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from greensalt.crypto.crypticle import Crypticle, generate_key_string
from greensalt.store import blobs
from greensalt.wire import dialect, tags
from tools.bench.report import write

TURNS = 4000
ROUNDS = 7


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    figures = {f"{name}, us": _best_us(step) for name, step in _steps().items()}
    write("Steps of a return to test.ping", {"greensalt": figures}, None)
    return 0


def _steps() -> dict[str, Callable[[], object]]:
    event = {
        "cmd": "_return",
        "id": "minion-0001.example.org",
        "jid": "20261123010000000001",
        "fun": "test.ping",
        "fun_args": [],
        "return": True,
        "retcode": 0,
        "success": True,
    }
    load = {**event, "nonce": "a" * 32, "ts": 1, "tok": os.urandom(256)}
    wire, nonce = dialect.pack(load), "a" * 32
    crypticle = Crypticle(generate_key_string())
    packet = crypticle.dumps(load)
    tag = tags.job_ret("20261123010000000001", "minion-0001.example.org")
    return {
        "check the MAC and decrypt": lambda: crypticle.decrypt(packet),
        "unpack the load": lambda: dialect.unpack(wire),
        "pack the row": lambda: blobs.pack([event, {}]),
        "stamp the event": lambda: tags.stamp(event, datetime.now(UTC)),
        "pack the event": lambda: tags.pack_event(tag, event),
        "pack, encrypt and sign the reply": lambda: crypticle.dumps(None, nonce),
    }


def _best_us(step: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(TURNS):
            step()
        best = min(best, (time.perf_counter() - began) / TURNS)
    return best * 1e6


if __name__ == "__main__":
    sys.exit(main())
