"""`locust -f loadtest/`: publish and return latency of a live master, serializer by serializer.

docs/loadtest.md says how to use it and what the rows mean. Importing this file starts nothing:
`locust --processes` forks after the import.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from locust import User, constant, constant_throughput, events, task
from locust.env import Environment
from locust.exception import StopUser

# Locust puts this folder on the import path, not the one above, which has the packages.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from loadtest import _options, _run, _webtab
from loadtest._steps import Steps


class Operator(User):
    """Somebody who runs jobs on all lanes, and whose minions fire events and sign in."""

    host = "greensalt"

    def on_start(self) -> None:
        run = _run.of(self.environment)
        if not run.lanes:
            self._tell(run.error or "nothing was started")
        self._wait = _waiting(run.settings)
        self._steps = [Steps(self.environment, lane, run.settings, run.links) for lane in run.lanes]
        self._plan = _plan(run.settings, self._steps)
        self._order = random.Random(run.next_user())
        self._left: list[Callable[[], None]] = []

    def on_stop(self) -> None:
        for steps in getattr(self, "_steps", ()):
            steps.close()

    def wait_time(self) -> float:
        return float(self._wait(self))

    @task
    def step(self) -> None:
        if not self._left:
            # Else the users would go on in step, and every lane would always have the same company.
            self._left = self._order.sample(self._plan, len(self._plan))
        self._left.pop()()

    def _tell(self, reason: str) -> None:
        """The web UI shows failures; a log is read by few."""
        self.environment.events.request.fire(
            request_type="run",
            name="start",
            response_time=0,
            response_length=0,
            exception=RuntimeError(reason),
            context={},
        )
        raise StopUser


def _plan(settings: _options.Settings, lanes: list[Steps]) -> list[Callable[[], None]]:
    """What every user does, in an order that is new each time: all lanes live under one load."""
    if settings.model == "storm":
        return [steps.sign_in for steps in lanes]
    plan: list[Callable[[], None]] = []
    for name in settings.payloads:
        plan += [_job(steps, name) for steps in lanes]
    plan += [steps.event for steps in lanes]
    plan += [steps.sign_in for steps in lanes]
    return plan


def _job(steps: Steps, name: str) -> Callable[[], None]:
    return lambda: steps.job(name)


def _waiting(settings: _options.Settings) -> Callable[[Any], float]:
    """The time between two steps of a user: closed models wait, the open one keeps its rate."""
    if settings.model == "rate":
        rate: Callable[[Any], float] = constant_throughput(settings.rate)
        return rate
    pause: Callable[[Any], float] = constant(0 if settings.model == "storm" else settings.pause_s)
    return pause


@events.init_command_line_parser.add_listener
def _arguments(parser: Any) -> None:
    _options.add_arguments(parser)


@events.init.add_listener
def _init(environment: Environment, web_ui: Any, **_: Any) -> None:
    run = _run.begin(environment)
    if web_ui is not None:
        _webtab.install(web_ui, run)


@events.test_start.add_listener
def _started(environment: Environment, **_: Any) -> None:
    _run.of(environment).start()


@events.test_stop.add_listener
def _stopped(environment: Environment, **_: Any) -> None:
    _run.of(environment).stop()


@events.quitting.add_listener
def _quitting(environment: Environment, **_: Any) -> None:
    _run.of(environment).finish()


@events.quit.add_listener
def _quit(**_: Any) -> None:
    _run.quit_all()


@events.report_to_master.add_listener
def _report(data: dict[str, Any], **_: Any) -> None:
    _run.report_all(data)


@events.worker_report.add_listener
def _worker(client_id: str, data: dict[str, Any], **_: Any) -> None:
    _run.hear_all(client_id, data)
