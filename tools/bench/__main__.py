"""`make bench`: the figures of the README, greensalt and stock Salt side by side on this machine.

    python -m tools.bench [--minions N] [--rounds N] [--out FILE]

Every figure is measured on real daemons on loopback. Times are medians; compare the ratios, not
the figures of two different runs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests._daemons import (
    GreensaltMinion,
    Master,
    Minion,
    StockMinion,
    short_dir,
)
from tests._peer import Peer
from tools.bench import fleet, processes
from tools.bench.masters import KINDS, settle
from tools.bench.report import write

CLI_RUNS = 15
IDLE_S = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minions", type=int, default=250, help="emulated minions (250)")
    parser.add_argument("--rounds", type=int, default=15, help="jobs to all of them (15)")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    args = parser.parse_args()
    settle()
    with short_dir() as where:
        ours = measure(where / "g", KINDS["greensalt"], GreensaltMinion, args)
    with short_dir() as where:
        stock = measure(where / "s", KINDS["stock"], StockMinion, args)
    write("One minion, and a small fleet", {"greensalt": ours, "stock": stock}, args.out)
    return 0


def measure(
    where: Path, master_kind: type[Master], minion_kind: type[Minion], args: argparse.Namespace
) -> dict[str, float]:
    """All figures of one kind of Salt."""
    where.mkdir()
    figures: dict[str, float] = {}
    master = master_kind(where, auto_accept=True)
    with master:
        figures["master restart to ready, s"] = _timed(master.restart)
        with minion_kind(where, "m1", master.ret_port) as minion:
            master.ask("m1", "test.ping")
            figures["`'*' test.ping` from the shell, s"] = _cli_seconds(master)
            time.sleep(IDLE_S)
            figures["idle master, MiB"] = processes.memory_mib(master.child.pid)
            figures["idle minion, MiB"] = processes.memory_mib(minion.child.pid)
            figures["idle master, % of a core"] = _idle_percent(master.child.pid)
        minions = fleet.sign_in(args.minions, master.ret_port)
        figures.update(_returns(master, minions, args.rounds))
    return figures


def _returns(master: Master, minions: list[Peer], rounds: int) -> dict[str, float]:
    """CPU of the master, publish included, per return of `rounds` jobs to emulated minions."""
    key = (master.cache_dir / ".root_key").read_text()
    fleet.run_job(minions, key)  # warm
    before, began, count = processes.cpu_s(master.child.pid), time.monotonic(), 0
    for _ in range(rounds):
        count += fleet.run_job(minions, key)
    used, took = processes.cpu_s(master.child.pid) - before, time.monotonic() - began
    return {
        "CPU of the master per return, ms": used / count * 1e3,
        "time per return, everything on this machine, ms": took / count * 1e3,
    }


def _cli_seconds(master: Master) -> float:
    times = []
    for _ in range(CLI_RUNS):
        began = time.perf_counter()
        done = master.run_cli("*", "test.ping")
        times.append(time.perf_counter() - began)
        assert done.returncode == 0, done.stdout + done.stderr
    return statistics.median(times)


def _idle_percent(pid: int) -> float:
    before = processes.cpu_s(pid)
    time.sleep(IDLE_S)
    return max(0.001, (processes.cpu_s(pid) - before) / IDLE_S * 100)


def _timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
