"""The life of a run: what is started before it, watched during it, reported and ended after it.

Locust has three kinds of processes: the only one, the master of a distributed run, its workers. The
first two own the Site. It comes up before the users start: without the web UI once at the
beginning, with it for each run, with the options from the form. It goes down when the run stops,
and at the latest when the process ends.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
from argparse import Namespace
from typing import Any, Final

from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from greensalt.errors import GreensaltError
from loadtest import _masters, _rounding
from loadtest._knee import sentence
from loadtest._meters import Meter, Meters
from loadtest._options import Settings, settings
from loadtest._report import Report
from loadtest._shapes import Ramp
from loadtest._shares import Share
from loadtest._site import Lane, Site, from_text, to_text
from loadtest._steps import Links

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG: Final = 1
SHARES_S: Final = 120.0


class Run:
    """One per process of locust; `of(environment)` is the one that belongs to an environment."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.is_worker = isinstance(environment.runner, WorkerRunner)
        self.settings: Settings = settings(self._options)
        self.lanes: list[Lane] = []
        self.links = Links()
        self.error = ""
        self.is_starting = False
        self.report: Report | None = None
        self._users = 0
        self._site: Site | None = None
        self.shares: list[Share] = []
        self._meters: Meters | None = None
        self._meter: Meter | None = None
        self._is_fresh = False

    @property
    def _options(self) -> Namespace:
        options = self.environment.parsed_options
        assert isinstance(options, Namespace)
        return options

    @property
    def usages(self) -> Meters | None:
        return self._meters

    # -- the events of locust ----------------------------------------------------------------

    def init(self) -> None:
        """Before anything starts. Raises GreensaltError when there is no web UI to tell it."""
        _rounding.install()
        if self.is_worker:
            if self._options.processes:
                _die_with_parent()
            return
        self.choose(self.settings.model)
        if self._options.headless:
            self._bring_up()
            self._is_fresh = True

    def choose(self, model: str | None) -> None:
        """Give locust the load shape that a model wants, or none."""
        environment = self.environment
        environment.shape_class = None
        if model == "ramp":
            ramp = Ramp(self._options, lambda: not self.is_starting)
            ramp.runner = environment.runner
            environment.shape_class = ramp

    def start(self) -> None:
        """The users are about to start, here or in the workers."""
        self.error = ""
        try:
            self.settings = settings(self._options)
            if self.is_worker:
                self.lanes = from_text(self._options.site)
            elif not self._is_fresh:
                self._bring_up()
        except GreensaltError as error:
            log.error("the run can't start: %s", error)
            self.error = str(error)
        finally:  # also when somebody stops the run while it starts
            self._is_fresh = self.is_starting = False
        if self.environment.shape_class is not None:
            self.environment.shape_class.reset_time()
        if self.is_worker:
            self._meter = Meter("locust worker", os.getpid())
        elif self._site is not None:
            self._meters = Meters(os.getpid(), self._site.watched)

    def stop(self) -> None:
        """The users have stopped; the workers' own may go on for a moment, and need the site."""
        self.is_starting = False
        self.links.close()
        if isinstance(self.environment.runner, MasterRunner):
            if not self._options.headless:
                self.finish()
        else:
            self.finish()
            self._take_down()

    def finish(self) -> None:
        """Write down what the run has shown; once. Comes after the last report of the workers."""
        if self._meters is None:
            return
        self._meters.stop()
        shape = self.environment.shape_class
        knee = sentence(shape.steps) if isinstance(shape, Ramp) else ""
        self.report = Report.of(
            self.environment, self.settings, self.lanes, self._meters, self.shares, knee
        )
        self._meters = None
        for line in self.report.lines():
            log.info("%s", line)
        if self.settings.record:
            self.report.write(self.settings.record)

    def quit(self) -> None:
        """The process ends."""
        self.finish()
        self._take_down()

    # -- distributed runs --------------------------------------------------------------------

    def tell_master(self, data: dict[str, Any]) -> None:
        """In a worker: add its own use of the CPU to its report."""
        if self._meter is not None:
            self._meter.look()
            data["greensalt"] = list(self._meter.usage())

    def hear_worker(self, name: str, data: dict[str, Any]) -> None:
        usage = data.get("greensalt")
        if usage is not None and self._meters is not None:
            self._meters.of_worker(name.rpartition("_")[2][:6], usage)

    def next_user(self) -> int:
        """A number for a user that no other user of the run has."""
        self._users += 1
        index = getattr(self.environment.runner, "worker_index", 0)
        return self._users + 100_000 * max(0, index)

    # -- the site ----------------------------------------------------------------------------

    def _bring_up(self) -> None:
        self._take_down()
        self.shares = _measured_shares(self.settings)
        self._site = Site(self.settings)
        self._site.up()
        self.lanes = self._site.lanes
        self._options.site = to_text(self.lanes)
        self.environment.host = self.settings.target

    def _take_down(self) -> None:
        if self._site is not None:
            self._site.down()
        self._site, self.lanes = None, []


_runs: dict[int, Run] = {}
"""Locust's events bring the environment and nothing else."""


def begin(environment: Environment) -> Run:
    """Make the run of an environment; says what is wrong with the options and ends the process."""
    try:
        run = _runs[id(environment)] = Run(environment)
        run.init()
    except GreensaltError as error:
        log.error("the load test can't start: %s", error)
        sys.exit(1)
    return run


def of(environment: Environment) -> Run:
    return _runs[id(environment)]


def quit_all() -> None:
    for run in _runs.values():
        run.quit()


def report_all(data: dict[str, Any]) -> None:
    for run in _runs.values():
        run.tell_master(data)


def hear_all(name: str, data: dict[str, Any]) -> None:
    for run in _runs.values():
        run.hear_worker(name, data)


def _measured_shares(chosen: Settings) -> list[Share]:
    """What the parts of a return take, measured in a process of its own; takes about a second."""
    with _masters.scratch() as where:
        config, output = where / "shares.json", where / "shares.out"
        wanted = {"codecs": chosen.codecs, "payloads": chosen.payloads}
        config.write_text(json.dumps({**wanted, "where": str(where), "output": str(output)}))
        child = _masters.python_child("shares", "loadtest._shares", config, where / "log")
        child.start()
        try:
            if child.wait(SHARES_S) != 0:
                log.warning("the parts of a return could not be measured:\n%s", child.tail())
                return []
        finally:
            child.kill()
        return [Share(*each) for each in json.loads(output.read_text())]


def _die_with_parent() -> None:
    """A worker that `--processes` forked ends when its parent is killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
