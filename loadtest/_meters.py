"""CPU and memory during a run: the generator's own, the fleet's, the master's, the machine's.

Of a daemon all its processes count. The verdict names what was so busy that the figures are no
longer the master's alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import gevent
import psutil

from loadtest._site import Watched

log = logging.getLogger(__name__)

PERIOD_S: Final = 1.0
GENERATOR: Final = "locust"
BUSY_PERCENT: Final = 70.0
"""Of one core; a gevent process above it makes its own greenlets wait."""
MACHINE_PERCENT: Final = 95.0


class Usage(NamedTuple):
    """What a process, with its children, used: per cent of one core, MiB of memory (PSS)."""

    name: str
    cpu_percent: float
    cpu_most_percent: float
    memory_mib: float
    memory_most_mib: float


class Meter:
    """One process tree, looked at again and again."""

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self._root = psutil.Process(pid)
        self._began = self._moment = time.monotonic()
        self._first_s = self._last_s = self._cpu_s()
        self._most_percent = 0.0
        self._memory_mib = self._most_mib = self._pss_mib()

    def look(self) -> None:
        """Take a sample; a process that has ended keeps what it had."""
        try:
            cpu_s, memory_mib = self._cpu_s(), self._pss_mib()
        except psutil.Error:
            return
        now = time.monotonic()
        if now > self._moment:
            percent = (cpu_s - self._last_s) / (now - self._moment) * 100
            self._most_percent = max(self._most_percent, percent)
        self._moment, self._last_s, self._memory_mib = now, cpu_s, memory_mib
        self._most_mib = max(self._most_mib, memory_mib)

    def usage(self) -> Usage:
        took_s = max(self._moment - self._began, 1e-3)
        return Usage(
            name=self.name,
            cpu_percent=round((self._last_s - self._first_s) / took_s * 100, 1),
            cpu_most_percent=round(self._most_percent, 1),
            memory_mib=round(self._memory_mib, 1),
            memory_most_mib=round(self._most_mib, 1),
        )

    def _tree(self) -> list[psutil.Process]:
        if self.name.startswith(GENERATOR):  # its children are the masters and the fleets
            return [self._root]
        return [self._root, *self._root.children(recursive=True)]

    def _cpu_s(self) -> float:
        times = [process.cpu_times() for process in self._tree()]
        return float(sum(each.user + each.system for each in times))

    def _pss_mib(self) -> float:
        """Proportional set size: what is shared is divided among those who share it."""
        return float(sum(each.memory_full_info().pss for each in self._tree()) / (1 << 20))


class Meters:
    """Everything of a run that uses CPU; also told by workers in other processes."""

    def __init__(self, own_pid: int, watched: Sequence[Watched]) -> None:
        self.own = Meter(GENERATOR, own_pid)
        self._meters = [self.own, *(Meter(each.name, each.pid) for each in watched)]
        self._workers: dict[str, Usage] = {}
        self._machine = [psutil.cpu_percent()][:0]
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        self._greenlet.kill()

    def of_worker(self, name: str, usage: Sequence[Any]) -> None:
        """A worker of a distributed run tells its own usage."""
        self._workers[name] = Usage(*usage)._replace(name=f"{GENERATOR} worker {name}")

    def usages(self) -> list[Usage]:
        return [*(meter.usage() for meter in self._meters), *self._workers.values()]

    @property
    def machine_percent(self) -> float:
        """Of all cores, on average."""
        return round(sum(self._machine) / len(self._machine), 1) if self._machine else 0.0

    def verdict(self) -> list[str]:
        """Sentences about what was too busy; none when the figures are the master's."""
        said = [
            f"{each.name} used {each.cpu_percent:.0f} % of a core: the generator was the"
            " bottleneck, the times include its own waiting"
            for each in self.usages()
            if _generates(each.name) and each.cpu_percent > BUSY_PERCENT
        ]
        if self.machine_percent > MACHINE_PERCENT:
            said.append(
                f"the machine was {self.machine_percent:.0f} % busy: the times include waiting for"
                " a core, for which the generator and the fleet compete with the master"
            )
        return said

    def _run(self) -> None:
        while True:
            gevent.sleep(PERIOD_S)
            self._machine.append(psutil.cpu_percent())
            for meter in self._meters:
                meter.look()


def _generates(name: str) -> bool:
    return name.startswith(GENERATOR) or name.endswith("fleet")
