"""How big a machine: what a recorded run says that a fleet needs.

    python -m tools.sizing --minions N --jobs-per-hour J [--return-bytes B] [--keep-hours H]

It takes the figures of docs/performance/scale.json (or --run FILE, for a run on your own machine)
and no others; what it assumes is printed with the answer.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

from tools.bench.page import RUNS
from tools.bench.report import machine_line

BUSY: Final = 0.6  # of a core: beyond that, jobs that come together wait long
OPEN_FILES: Final = 2  # of each minion
ROW_BYTES: Final = 450  # in the store, besides what a job returned
SYSTEM_MIB: Final = 512  # for everything else on the machine


class Fleet(NamedTuple):
    """What is asked for. All minions return every job."""

    minions: int
    jobs_per_hour: float
    return_bytes: int
    keep_hours: float

    @property
    def returns_per_s(self) -> float:
        return self.minions * self.jobs_per_hour / 3600


class Need(NamedTuple):
    """What it takes."""

    cores: int
    busy: float
    memory_mib: float
    disk_gib: float
    open_files: int
    burst_s: float
    stock_cores: float | None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minions", type=int, required=True)
    parser.add_argument("--jobs-per-hour", type=float, required=True, help="to all of them")
    parser.add_argument("--return-bytes", type=int, default=2000, help="of a result (2000)")
    parser.add_argument("--keep-hours", type=float, default=24, help="keep_jobs_seconds (24 h)")
    parser.add_argument("--run", type=Path, default=RUNS / "scale.json", help="a recorded run")
    args = parser.parse_args()
    run = json.loads(args.run.read_text())
    fleet = Fleet(args.minions, args.jobs_per_hour, args.return_bytes, args.keep_hours)
    print(text(fleet, need(fleet, run["figures"]), run["machine"]), end="")
    return 0


def need(fleet: Fleet, figures: dict[str, Any]) -> Need:
    """What a fleet takes, by the figures of a run."""
    ours, stock = figures["greensalt"], figures.get("stock")
    cpu_s = ours["CPU of the master per return, ms"] / 1e3
    busy = fleet.returns_per_s * cpu_s
    rows = fleet.returns_per_s * fleet.keep_hours * 3600
    return Need(
        cores=max(2, math.ceil(busy / BUSY)),
        busy=busy,
        memory_mib=SYSTEM_MIB + fleet.minions * ours["memory per connected minion, KiB"] / 1024,
        disk_gib=rows * (fleet.return_bytes + ROW_BYTES) / 2**30,
        open_files=fleet.minions * OPEN_FILES + 256,
        burst_s=fleet.minions / ours["returns per second"],
        stock_cores=stock
        and fleet.returns_per_s * stock["CPU of the master per return, ms"] / 1e3 / BUSY,
    )


def text(fleet: Fleet, found: Need, machine: dict[str, Any]) -> str:
    """The answer for people."""
    lines = [
        f"{fleet.minions} minions, {fleet.jobs_per_hour:g} jobs an hour to all of them:",
        f"  results of {fleet.return_bytes} bytes, kept for {fleet.keep_hours:g} hours",
        f"  {fleet.returns_per_s:.1f} returns a second keep {found.busy:.2f} of a core busy",
        f"  {found.cores} cores",
        f"  {found.memory_mib:.0f} MiB of memory, the system's included",
        f"  {found.disk_gib:.1f} GiB of disk (keep_jobs_bytes caps it)",
        f"  {found.open_files} open files (LimitNOFILE of the unit)",
        f"  a job to all of them: {found.burst_s:.1f} s until the last return",
    ]
    if found.cores > 2:
        lines.append(
            "  one process has one core for Python: this many returns want several masters"
        )
    if found.stock_cores is not None:
        lines.append(f"  (a stock master would want {found.stock_cores:.0f} cores by the same run)")
    lines += [
        f"Assumed: at most {BUSY:.0%} of a core busy on average; CPU as for test.ping.",
        f"Measured on: {machine_line(machine)}",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
