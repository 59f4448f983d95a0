"""A cluster that is killed again and again while it works; then its books are compared.

Each job leaves a line in a file, the moment its function has begun and once more when it ends. When
all is quiet, what the lines say and what the master's store holds must agree: a job that began has
exactly one return, began once, and a return that says success has its second line.

By hand, for longer than a test may take: `python -m tests._killing 1000 [SEED]`.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from greensalt.client import LocalClient
from greensalt.errors import GreensaltError
from tests._daemons import READY_S, GreensaltMaster, GreensaltMinion, short_dir

MODULE = '''
import os
import time


def leave(file, pause_s, *, context):
    """Write a line, wait, write another one."""
    _write(file, f"{context.jid} {context.id} begun\\n")
    time.sleep(pause_s)
    _write(file, f"{context.jid} {context.id} done\\n")
    return "done"


def _write(file, line):
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, line.encode())
    os.close(handle)
'''


@dataclass
class Books:
    """What was found at the end, as sentences; all empty when nothing was lost or done twice.

    `undelivered` is what never began though the master had taken it: (jid, minion id).
    """

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    undelivered: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class Battle:
    """A master, minions, and jobs between kills. `random` decides everything, from one seed."""

    def __init__(self, where: Path, master: GreensaltMaster, minions: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.master = master
        self.file = where / "effects"
        self.file.touch()
        modules = where / "modules"
        modules.mkdir()
        (modules / "effect.py").write_text(MODULE)
        self.minions = [
            GreensaltMinion(
                where,
                f"m{number}",
                master.ret_port,
                module_dirs=[str(modules)],
                return_retry_timer=1,
                return_retry_timer_max=2,
                auth_timeout=2,
                random_reauth_delay=0,
            )
            for number in range(minions)
        ]
        self.jobs: list[str] = []
        self.kills: Counter[str] = Counter()

    def fight(self, jobs: int) -> None:
        """Publish that many jobs; after every few somebody is killed, and started again."""
        while len(self.jobs) < jobs:
            for _ in range(self.random.randrange(1, 8)):
                self._publish()
                time.sleep(self.random.choice((0, 0, 0.02)))
            time.sleep(self.random.uniform(0, 0.12))
            self._kill_one()

    def _publish(self) -> None:
        pause_s = self.random.choice((0, 0, 0, 0.05, 0.3))
        try:
            with LocalClient(self.master.dir) as client:
                jid = client.cmd_async("*", "effect.leave", [str(self.file), pause_s])
        except GreensaltError:
            return  # the master is away; whether it took the job nobody knows
        if jid:
            self.jobs.append(jid)

    def _kill_one(self) -> None:
        victim: Any = self.random.choice((self.master, *self.minions))
        self.kills[victim.name] += 1
        victim.kill()
        victim.start(wait=victim is self.master or self.random.random() < 0.5)

    def settle(self) -> Books:
        """Wait until all are up and nothing is under way, and compare."""
        for minion in self.minions:
            minion.wait_ready()
        deadline = time.monotonic() + READY_S
        while True:
            books = self._compare()
            if not (books.lost or books.undelivered) or time.monotonic() > deadline:
                return books
            time.sleep(0.5)

    def _compare(self) -> Books:
        jids = {line.split()[0] for line in self.file.read_text().splitlines()} | set(self.jobs)
        with LocalClient(self.master.dir) as client:
            returns = {
                f"{jid} {name}": row
                for jid in sorted(jids)
                for name, row in client.get_cache_returns(jid).items()
            }
        lines = Counter(self.file.read_text().splitlines())  # after the returns that tell of them
        begun = Counter({line[: -len(" begun")]: n for line, n in lines.items() if "begun" in line})
        done = {line[: -len(" done")] for line in lines if "done" in line}
        books = Books()
        books.lost = [each for each in begun if each not in returns]
        books.twice = [each for each, times in begun.items() if times > 1]
        for each, row in returns.items():
            succeeded = row["ret"] == "done"
            books.counts["done" if succeeded else "failed"] += 1
            if succeeded and each not in done:
                books.untrue.append(f"{each}: {row['ret']!r}")
        wanted = {f"{jid} {minion.id}" for jid in self.jobs for minion in self.minions}
        books.undelivered = sorted(wanted - set(begun) - set(returns))
        books.counts["begun"] = len(begun)
        return books


@contextmanager
def battle(minions: int, seed: int) -> Iterator[Battle]:
    with ExitStack() as stack:
        where = stack.enter_context(short_dir())
        master = stack.enter_context(GreensaltMaster(where, auto_accept=True))
        made = Battle(where, master, minions, seed)
        for minion in made.minions:
            stack.callback(minion.stop)
            minion.start(wait=False)
        for minion in made.minions:
            minion.wait_ready()
        yield made


def main() -> int:
    jobs = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 30)
    with battle(3, seed) as fight:
        fight.fight(jobs)
        books = fight.settle()
        sys.stdout.write(
            f"seed {seed}, {len(fight.jobs)} jobs, kills {dict(fight.kills)}\n{books}\n"
        )
        return bool(books.lost or books.twice or books.untrue or books.undelivered)


if __name__ == "__main__":
    sys.exit(main())
