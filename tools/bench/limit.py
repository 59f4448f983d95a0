"""How far the master is from its limit: the same returns through `flat` and through a real master.

    python -m tools.bench.limit [--minions N] [--jobs N] [--rounds N]

The two run in turns, so that what else happens on this machine meets both.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from tests._daemons import Master, short_dir
from tools.bench import processes
from tools.bench.generator import Generator
from tools.bench.jobs import Client
from tools.bench.masters import KINDS, settle
from tools.bench.report import Figures, write

TARGET = "b*"


class FlatMaster(Master):
    """`flat`, as far as the benchmark's client must know it as a master."""

    cli = ()
    key_cli = ()

    def argv(self) -> list[str]:
        module = [sys.executable, "-m", "tools.bench.flat"]
        return [*module, str(self.ret_port), str(self.publish_port), str(self.dir)]

    def wait_ready(self) -> None:
        self.cache_dir.mkdir(parents=True)
        (self.cache_dir / f".{self.config['user']}_key").write_text("not looked at")
        self.child.wait_for("flat is ready", 60)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minions", type=int, default=1000, help="emulated minions (1000)")
    parser.add_argument("--jobs", type=int, default=10, help="jobs in each round (10)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median (3)")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    args = parser.parse_args()
    settle()
    taken: dict[str, list[Figures]] = {"greensalt": [], "limit": []}
    for _ in range(args.rounds):
        taken["limit"].append(measure(FlatMaster, args.minions, args.jobs))
        taken["greensalt"].append(measure(KINDS["greensalt"], args.minions, args.jobs))
    figures = {
        name: {row: statistics.median(each[row] for each in runs) for row in runs[0]}
        for name, runs in taken.items()
    }
    write(f"The limit, {args.minions} minions, {args.jobs} jobs", figures, args.out)
    ratios = [
        ours[CPU] / limit[CPU]
        for ours, limit in zip(taken["greensalt"], taken["limit"], strict=True)
    ]
    print("greensalt / limit, CPU, round by round:", *(f"{ratio:.2f}" for ratio in ratios))
    return 0


CPU = "CPU per return, us"


def measure(kind: type[Master], count: int, jobs: int) -> Figures:
    with short_dir() as where, kind(where, auto_accept=True) as master, Generator() as swarm:
        pid = master.child.pid
        swarm.ask("join", port=master.ret_port, count=count, prefix="b")
        with Client(master) as client:
            client.run(swarm, count, TARGET)  # warm
            cpu = processes.cpu_s(pid)
            done = [client.run(swarm, count, TARGET) for _ in range(jobs)]
            used = processes.cpu_s(pid) - cpu
    return {
        CPU: used / jobs / count * 1e6,
        "publish to last return seen, p50, ms": 1e3
        * statistics.median(j.last_seen_s for j in done),
    }


if __name__ == "__main__":
    sys.exit(main())
