"""The load shape of `--model ramp`: more and more users, until the master takes no more.

Locust activates every shape class that it finds in a locustfile. This one is abstract and in a
module that locust does not read; `_run` makes one when the option asks for it.
"""

from __future__ import annotations

import logging
import time
from argparse import Namespace
from collections.abc import Callable

from locust import LoadTestShape

from loadtest._knee import Step, knee, sentence
from loadtest._steps import LAST

log = logging.getLogger(__name__)


class Ramp(LoadTestShape):
    """Adds users step by step; ends at the knee, or when all users were there for a step."""

    abstract = True
    use_common_options = True

    def __init__(self, options: Namespace, is_up: Callable[[], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Read at each tick: the web UI writes its form there once the shape is chosen.
        self._options = options
        self._is_up = is_up
        self.steps: list[Step] = []
        self._before = (0, 0.0)

    def tick(self) -> tuple[int, float] | None:
        step_users, step_s = int(self._options.step_users), float(self._options.step_time)
        if not self._is_up():  # the master is starting; another number would end that
            self.start_time = time.perf_counter()
        number = int((time.perf_counter() - self.start_time) // step_s)
        most = int(self._options.num_users or 1)
        if number > len(self.steps):
            self._end_step(min(most, step_users * number), step_s)
            if knee(self.steps) is not None or self.steps[-1].users >= most:
                log.info("%s", sentence(self.steps))
                return None
        users = min(most, step_users * (number + 1))
        return users, float(step_users)

    def _end_step(self, users: int, step_s: float) -> None:
        """Count what came since the last step: jobs, and the sum of their times."""
        assert self.runner is not None
        entries = self.runner.stats.entries.values()
        rows = [entry for entry in entries if entry.name.endswith(LAST)]
        count = sum(entry.num_requests for entry in rows)
        total_ms = sum(entry.total_response_time for entry in rows)
        jobs, spent_ms = count - self._before[0], total_ms - self._before[1]
        self._before = (count, total_ms)
        self.steps.append(Step(users, jobs / step_s, spent_ms / jobs if jobs else 0.0))
        log.info("%d users: %.1f jobs/s", users, self.steps[-1].jobs_per_s)
