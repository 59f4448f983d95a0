"""What a test under load watches: the hub, the memory, and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import gevent
import psutil

from greensalt.cli.children import Child

MIB: Final = 1 << 20


def wait_for(look: Callable[[], object], timeout_s: float = 60) -> None:
    """Let the other greenlets run until `look` says something true."""
    with gevent.Timeout(timeout_s):
        while not look():
            gevent.sleep(0.005)


def rss() -> int:
    """The bytes of memory that this process occupies."""
    return int(psutil.Process().memory_info().rss)


class Turns:
    """The turns of the hub while the block ran, in seconds of this process's CPU.

    CPU, since a neighbour on the machine makes a turn longer but not costlier: `longest_s` is the
    costliest turn, `total_s` all of them. What a native thread spends counts as well.
    """

    def __enter__(self) -> Self:
        self.longest_s = self.total_s = 0.0
        self._begun = time.process_time()
        self._greenlet = gevent.spawn(self._run)
        gevent.sleep(0)
        return self

    def _run(self) -> None:
        while True:
            before = time.process_time()
            gevent.sleep(0.005)
            self.longest_s = max(self.longest_s, time.process_time() - before)

    def __exit__(self, *_: object) -> None:
        gevent.sleep(0.02)
        self._greenlet.kill()
        self.total_s = time.process_time() - self._begun


def cpu_of(work: Callable[[], object]) -> float:
    """The seconds of CPU that `work` takes."""
    before = time.process_time()
    work()
    return time.process_time() - before


def queued_s(pid: int) -> float:
    """The seconds that the main thread of a process was ready to run and had no CPU so far."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9


def end_s(child: Child) -> float:
    """The seconds that a daemon takes to end on SIGTERM, less those that it had no CPU for."""
    pid, begun = child.pid, time.monotonic()
    before = queued = queued_s(pid)
    child.terminate()
    with gevent.Timeout(60):
        while child.alive:
            with suppress(OSError):  # it has just ended
                queued = queued_s(pid)
            gevent.sleep(0.01)
    return time.monotonic() - begun - (queued - before)


def loop_turns() -> int:
    """How many times the hub's loop has looked for events; one that spins looks without end."""
    return int(gevent.get_hub().loop.iteration)
