"""What a real minion costs in one process with others: `greensalt minion --count N`.

    python -m tools.bench.minions [--few N] [--many N]

Two fleets, one after the other, each with a master of its own: their difference is what the minions
take, without what the process takes by itself. Each minion has its own keys, has run jobs, and is
idle then.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests._daemons import GreensaltMinion, short_dir
from tools.bench import processes
from tools.bench.masters import KINDS, settle
from tools.bench.report import write
from tools.bench.swarm import Keys

ID = "web"
READY_S = 300.0
JOBS = 3
SETTLE_S = 5.0
IDLE_S = 10.0


class Cost(NamedTuple):
    """What a fleet takes, idle."""

    memory_mib: float
    cpu: float  # of a core
    files: int


class Fleet(GreensaltMinion):
    """`greensalt minion --count N`, whose keys are there before it starts."""

    def __init__(self, where: Path, ret_port: int, count: int) -> None:
        self.count = count
        super().__init__(where, ID, ret_port)
        keys = Keys()
        for number in range(1, count + 1):
            directory = self.root / f"etc/salt/pki/minion/fleet/{ID}-{number:04}"
            directory.mkdir(parents=True)
            private = directory / "minion.pem"
            private.write_text(keys.of(directory.name).to_pem())
            private.chmod(0o400)

    def argv(self) -> list[str]:
        return [*super().argv()[:-1], "info", "--count", str(self.count)]

    def wait_ready(self) -> None:
        self.child.wait_for(f"are ready: {self.count} of them", READY_S)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=200, help="minions of the small fleet (200)")
    parser.add_argument("--many", type=int, default=1000, help="minions of the large one (1000)")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    args = parser.parse_args()
    settle()
    few, many = measure(args.few), measure(args.many)
    between = args.many - args.few
    figures = {
        "memory per minion, KiB": (many.memory_mib - few.memory_mib) / between * 1024,
        f"memory of {args.many} in all, MiB": many.memory_mib,
        "open files per minion": (many.files - few.files) / between,
        f"{args.many} idle, % of a core": many.cpu * 100,
    }
    title = f"{args.many} minions in one process"
    write(title, {"greensalt": figures}, args.out)
    return 0


def measure(count: int) -> Cost:
    """A fleet of `count` that has run jobs."""
    with (
        short_dir() as where,
        KINDS["greensalt"](where, auto_accept=True) as master,
        Fleet(where, master.ret_port, count) as fleet,
    ):
        for _ in range(JOBS):
            answered = master.ask("*", "test.ping", options=("-t", "60"))
            assert len(answered) == count, f"{len(answered)} of {count} answered"
        time.sleep(SETTLE_S)
        pid = fleet.child.pid
        before = processes.cpu_s(pid)
        time.sleep(IDLE_S)
        cpu = (processes.cpu_s(pid) - before) / IDLE_S
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return Cost(processes.memory_mib(pid), cpu, files)


if __name__ == "__main__":
    sys.exit(main())
