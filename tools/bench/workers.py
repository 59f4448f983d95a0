"""What one worker process gives: pillars that have to be rendered, per second, without and with it.

    python -m tools.bench.workers [--seconds N] [--clients N] [--processes N] [--out FILE]

Every request comes with grains that the master has not seen, so that nothing is remembered; the
clients are greenlets of this process, which share the processors with master and worker, and leave
the pillars unopened. Each round measures all settings; the figures are medians of the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path
from typing import Any

import gevent

from greensalt.wire.envelope import (
    DEFAULT_ENC_ALGO,
    DEFAULT_SIG_ALGO,
    PillarReply,
    encrypted_request,
    parse_reply,
)
from tests._daemons import READY_S, Master, short_dir
from tests._peer import TIMEOUT_S, Peer
from tools.bench.masters import KINDS, settle
from tools.bench.report import write

PILLAR = "{% for n in range(300) %}n{{ n }}: {{ grains.turn }}-{{ n }}\n{% endfor %}"
WARM_UP_S = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="per setting and round (10)")
    parser.add_argument("--rounds", type=int, default=3, help="of all settings (3)")
    parser.add_argument("--clients", type=int, default=16, help="that ask at once (16)")
    parser.add_argument("--processes", type=int, default=1, help="worker processes (1)")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    args = parser.parse_args()
    settle()
    rates: dict[int, list[float]] = {0: [], args.processes: []}
    for _ in range(args.rounds):
        for processes, measured in rates.items():
            with short_dir() as where:
                measured.append(measure(where, processes, args))
    none, some = (statistics.median(rates[count]) for count in (0, args.processes))
    figures = {
        "pillars/s, no worker process": none,
        f"pillars/s, worker processes: {args.processes}": some,
        "ratio": some / none,
    }
    write("Pillars that have to be rendered", {"greensalt": figures}, args.out)
    return 0


def measure(where: Path, processes: int, args: argparse.Namespace) -> float:
    """Pillars per second with so many worker processes."""
    roots = where / "pillar"
    roots.mkdir()
    (roots / "top.sls").write_text("base: {'*': [data]}\n")
    (roots / "data.sls").write_text(PILLAR)
    config: dict[str, Any] = {"worker_processes": processes, "pillar_roots": {"base": [str(roots)]}}
    with KINDS["greensalt"](where, auto_accept=True, **config) as master:
        if processes:
            master.child.wait_for("serves ipc://", READY_S, count=processes)
        return _rate(master, args.clients, args.seconds)


def _rate(master: Master, clients: int, seconds: float) -> float:
    turns = itertools.count()
    answered = 0

    def ask(peer: Peer) -> None:
        nonlocal answered
        while True:
            load = peer.load("_pillar", grains={"turn": next(turns)}, saltenv=None, ver="2")
            packet = peer.session.dumps(load)
            body = encrypted_request(peer.id, packet, DEFAULT_ENC_ALGO, DEFAULT_SIG_ALGO)
            reply = parse_reply(peer.channel.request(body, TIMEOUT_S))
            assert isinstance(reply, PillarReply)
            answered += 1

    peers = [Peer(f"tcp://127.0.0.1:{master.ret_port}", f"m{n}") for n in range(clients)]
    for peer in peers:
        peer.sign_in()
    asking = [gevent.spawn(ask, peer) for peer in peers]
    gevent.sleep(WARM_UP_S)
    before, begun = answered, time.monotonic()
    gevent.sleep(seconds)
    rate = (answered - before) / (time.monotonic() - begun)
    failed = [greenlet for greenlet in asking if greenlet.ready()]
    gevent.killall(asking)
    for peer in peers:
        peer.close()
    if failed:
        raise RuntimeError(f"{len(failed)} clients got no pillar: {failed[0].exception}")
    return rate


if __name__ == "__main__":
    raise SystemExit(main())
