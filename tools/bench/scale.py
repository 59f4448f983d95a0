"""What a thousand minions cost: jobs, returns, sign-ins, memory, a restart; stock Salt beside.

    python -m tools.bench.scale [--minions N] [--jobs N] [--stock-jobs N] [--only KIND]

The minions are emulated (`swarm`): real keys, real sockets, real loads, no work. A stock master
takes seconds for each such job, so it gets fewer of them. With more than 9,000 minions use
`--links 500`: two connections of each are more than many machines allow.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from tests._daemons import Master, short_dir
from tools.bench import processes
from tools.bench.generator import Generator
from tools.bench.jobs import Client
from tools.bench.masters import KINDS, settle
from tools.bench.report import Figures, percentile, write

AT_ONCE = 100
STORM_MOST = 2000
IDLE_S = 5.0
TARGET = "b*"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minions", type=int, default=1000, help="emulated minions (1000)")
    parser.add_argument("--jobs", type=int, default=50, help="jobs for greensalt (50)")
    parser.add_argument("--stock-jobs", type=int, default=5, help="jobs for stock Salt (5)")
    parser.add_argument("--links", type=int, default=0, help="share so many request connections")
    parser.add_argument("--only", choices=tuple(KINDS), help="leave the other kind out")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    args = parser.parse_args()
    settle()
    jobs = {"greensalt": args.jobs, "stock": args.stock_jobs}
    figures = {
        kind: measure(KINDS[kind], args.minions, jobs[kind], args.links)
        for kind in KINDS
        if args.only in (None, kind)
    }
    write(f"{args.minions} minions, {args.jobs} jobs", figures, args.out)
    return 0


def measure(kind: type[Master], count: int, jobs: int, links: int) -> Figures:
    """All figures of one kind of master."""
    figures = Figures()
    with short_dir() as where, kind(where, auto_accept=True) as master, Generator() as swarm:
        memory, cpu = processes.memory_mib(master.child.pid), processes.cpu_s(master.child.pid)
        joined = swarm.ask("join", port=master.ret_port, count=count, prefix="b", links=links)
        used = processes.cpu_s(master.child.pid) - cpu
        figures["CPU per sign-in, ms"] = used / count * 1e3
        figures["sign-ins per second, the generator beside"] = count / joined["took_s"]
        figures.update(_jobs(master, swarm, count, jobs))
        grown = processes.memory_mib(master.child.pid) - memory
        figures["memory per connected minion, KiB"] = grown / count * 1024
        figures.update(_idle(master))
        figures.update(_storm(master, swarm, count))
        if kind is not KINDS["stock"]:  # which makes new keys: all would have to sign in again
            figures.update(_restart(master, swarm, count))
    return figures


def _jobs(master: Master, swarm: Generator, count: int, jobs: int) -> Figures:
    pid = master.child.pid
    with Client(master) as client:
        client.run(swarm, count, TARGET)  # warm
        cpu, generator = processes.cpu_s(pid), swarm.ask("stats")["cpu_s"]
        done = [client.run(swarm, count, TARGET) for _ in range(jobs)]
        used = processes.cpu_s(pid) - cpu
        generated = swarm.ask("stats")["cpu_s"] - generator
    seen = [job.last_seen_s for job in done]
    return {
        "CPU of the master per return, ms": used / jobs / count * 1e3,
        "CPU of the generator per return, ms": generated / jobs / count * 1e3,
        "returns per second": jobs * count / sum(seen),
        "publish acknowledged, p50, ms": 1e3 * statistics.median(j.acknowledged_s for j in done),
        "publish to last return sent, p50, s": statistics.median(j.last_sent_s for j in done),
        "publish to last return seen, p50, s": statistics.median(seen),
        "publish to last return seen, p99, s": percentile(seen, 99),
        "return accepted, p99, ms": 1e3 * percentile([s for j in done for s in j.return_s], 99),
    }


def _idle(master: Master) -> Figures:
    before = processes.cpu_s(master.child.pid)
    time.sleep(IDLE_S)
    used = processes.cpu_s(master.child.pid) - before
    return {"idle with all connected, % of a core": used / IDLE_S * 100}


def _storm(master: Master, swarm: Generator, count: int) -> Figures:
    """Others sign in, `AT_ONCE` at a time; a job to those who are there in the middle of it."""
    pid, others = master.child.pid, min(count, STORM_MOST)
    with Generator() as strangers, Client(master) as client:
        cpu = processes.cpu_s(pid)
        answer = strangers.ask("storm", port=master.ret_port, count=others, prefix="s", at_once=10)
        used = processes.cpu_s(pid) - cpu
        strangers.tell("storm", port=master.ret_port, count=others, prefix="t", at_once=AT_ONCE)
        job = client.run(swarm, count, TARGET)
        storm = strangers.answer()
    return {
        "CPU per sign-in alone, ms": used / others * 1e3,
        "sign-in alone, p50, ms": statistics.median(answer["sign_in_s"]) * 1e3,
        "storm: sign-ins per second": others / storm["took_s"],
        "storm: sign-in, p99, ms": percentile(storm["sign_in_s"], 99) * 1e3,
        "storm: return of the others, p99, ms": percentile(job.return_s, 99) * 1e3,
    }


def _restart(master: Master, swarm: Generator, count: int) -> Figures:
    """Stop and start the master; how long until everybody answers, and who signed in anew."""
    before = swarm.ask("stats")["sign_ins"]
    began = time.perf_counter()
    master.restart()
    ready = time.perf_counter() - began
    while swarm.ask("stats")["up"] < count:
        time.sleep(0.01)
    back = time.perf_counter() - began
    with Client(master) as client:
        client.run(swarm, count, TARGET)
    return {
        "restart to ready, s": ready,
        "restart to all reconnected (they try each 0.2 s), s": back,
        "sign-ins after the restart": float(swarm.ask("stats")["sign_ins"] - before),
    }


if __name__ == "__main__":
    sys.exit(main())
