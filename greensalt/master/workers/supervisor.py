"""Starts the `worker_processes` of a master, and starts again those that end.

They get the configuration of their master through their standard input, so that a file that was
changed since can't make them different; and the end of that input is the end of their master.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Final

import gevent

from greensalt.config import MasterConfig
from greensalt.green import Backoff, Crew
from greensalt.green.attached import Attached

log = logging.getLogger(__name__)

FIRST_S, MOST_S = 0.5, 30.0  # before a process is started again
LIVED_S: Final = 60.0  # after which a death is not taken for one at the start
GRACE_S: Final = 1.0  # to end in


class Supervisor:
    """`pids` are those that run, by number; `deaths` counts those that ended unasked."""

    def __init__(self, config: MasterConfig) -> None:
        self._count = config.worker_processes
        self._argv = [sys.executable, "-m", "greensalt", "worker", "--attached"]
        self._told = {"config_dir": str(config.config_dir), "options": config.options()}
        self._crew = Crew("worker processes")
        self._children: dict[int, Attached] = {}
        self.deaths = 0

    @property
    def pids(self) -> dict[int, int]:
        """Process ids by number, from 1."""
        return {number: child.pid for number, child in self._children.items()}

    def start(self) -> None:
        """Start them; they attach when they are ready."""
        for number in range(1, self._count + 1):
            self._crew.spawn(f"process {number}", self._attend, number)

    def stop(self) -> None:
        """End them all."""
        self._crew.stop()
        gevent.joinall([gevent.spawn(child.end, GRACE_S) for child in self._children.values()])
        self._children.clear()

    def _attend(self, number: int) -> None:
        backoff = Backoff(FIRST_S, MOST_S)
        while True:
            begun = time.monotonic()
            how = self._run(number)
            self.deaths += 1
            if time.monotonic() - begun > LIVED_S:
                backoff.reset()
            wait_s = backoff.next_s()
            log.error("worker process %d %s; it is started again in %.1f s", number, how, wait_s)
            gevent.sleep(wait_s)

    def _run(self, number: int) -> str:
        """Run a process to its end; how it ended."""
        try:
            told = json.dumps({**self._told, "number": number}, default=str).encode()
            child = self._children[number] = Attached(self._argv, told + b"\n")
        except OSError as error:
            return f"can't be started: {error}"
        log.info("worker process %d has pid %d", number, child.pid)
        code = child.wait()
        del self._children[number]
        child.end(0)
        return f"(pid {child.pid}) ended with exit code {code}"
