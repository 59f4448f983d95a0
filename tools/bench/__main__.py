"""`make bench`: the figures of the README, greensalt and stock Salt side by side on this machine.

    python -m tools.bench [--minions N] [--rounds N] [--out FILE]

Every figure is measured on real daemons on loopback. Times are medians; compare the ratios, not
the figures of two different runs.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests._daemons import (
    GreensaltMaster,
    GreensaltMinion,
    Master,
    Minion,
    StockMaster,
    StockMinion,
    short_dir,
)
from tests._peer import Peer
from tools.bench import fleet, processes

CLI_RUNS = 15
IDLE_S = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minions", type=int, default=250, help="emulated minions (250)")
    parser.add_argument("--rounds", type=int, default=15, help="jobs to all of them (15)")
    parser.add_argument("--out", type=Path, help="write the table there, too")
    args = parser.parse_args()
    # Where this is set, a command would be compiled anew at each start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with short_dir() as where:
        ours = measure(where / "g", GreensaltMaster, GreensaltMinion, args)
    with short_dir() as where:
        stock = measure(where / "s", StockMaster, StockMinion, args)
    rows = [
        (name, _figure(ours[name]), _figure(stock[name]), f"1/{stock[name] / ours[name]:.1f}")
        for name in ours
    ]
    table = _table(rows)
    print(table)
    if args.out:
        args.out.write_text(table)
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


def _figure(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    head = (
        f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python"
        f" {platform.python_version()}; stock Salt {StockMaster.version}; commit {_commit()}\n\n"
        "| figure | greensalt | stock Salt | ratio |\n|---|---|---|---|\n"
    )
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=False, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
