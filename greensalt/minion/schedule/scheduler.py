"""The schedule of a minion: jobs that it begins by itself, from its configuration and its pillar.

Source: docs/schedule.md, docs/protocol.md 7.3.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import gevent
import yaml
from gevent.event import Event

from greensalt.errors import ConfigError, SaltInvocationError
from greensalt.green import Crew, OnCall
from greensalt.minion.schedule.scheduled import ScheduledJob
from greensalt.store.files import write_private

log = logging.getLogger(__name__)

OF_ALL: Final = ("enabled", "splay")  # keys of a schedule that are no jobs
WAIT_MOST_S: Final = 3600.0


class Scheduler:
    """Gives due jobs to `begin(job)`; `running(name)` says how many of a name run now.

    `configured` and `pillar()` are mappings of names to jobs; where both have a name, the
    configuration wins. `clock` gives the local time. Changes are kept in
    `<config_dir>/minion.d/_schedule.conf`.
    """

    def __init__(
        self,
        configured: Mapping[str, Any],
        pillar: Callable[[], Any],  # whatever somebody wrote there
        path: Path,
        begin: Callable[[ScheduledJob], object],
        running: Callable[[str], int],
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._own = dict(configured)
        self._pillar = pillar
        self._path = path
        self._begin = begin
        self._running = running
        self._clock = clock
        self._jobs: dict[str, ScheduledJob] = {}
        self._changed = Event()
        self._looking = OnCall("schedule", self._run)
        self._crew = Crew("schedule")
        self.skipped = 0

    # -- running -----------------------------------------------------------------------------

    def start(self, crew: Crew) -> None:
        """Begin what is due from now on, until the crew is stopped."""
        self._looking.start(crew)
        self._looking.call()

    def _run(self) -> None:
        """Begin what is due, while there is anything to wait for."""
        while True:
            self._changed.clear()
            self._update()
            now, clock = time.monotonic(), self._clock()
            is_on = self._all().get("enabled", True)
            jobs = [job for job in self._jobs.values() if job.enabled and is_on]
            for job in jobs:
                if job.is_due(now, clock):
                    self._begin_due(job, clock)
            waits = [job.wait_s(now, clock) for job in jobs]
            if not waits:
                return
            self._changed.wait(min([WAIT_MOST_S, *waits]))

    def stop(self) -> None:
        self._crew.stop()

    def wake(self) -> None:
        """What is wanted may have changed."""
        self._changed.set()
        self._looking.call()

    def _begin_due(self, job: ScheduledJob, clock: datetime) -> None:
        if hindrance := job.hindrance(clock):
            self.skipped += 1
            log.info("the schedule %s is skipped: %s", job.name, hindrance)
        elif 0 < job.maxrunning <= self._running(job.name):
            self.skipped += 1
            log.info("the schedule %s is skipped: it runs already", job.name)
        elif delay_s := job.splay_s():
            self._crew.spawn(job.name, self._begin_later, job, delay_s)
        else:
            self._begin(job)

    def _begin_later(self, job: ScheduledJob, delay_s: float) -> None:
        gevent.sleep(delay_s)
        if self._jobs.get(job.name) is job:
            self._begin(job)

    def _all(self) -> dict[str, Any]:
        pillar = self._pillar()
        return {**(pillar if isinstance(pillar, Mapping) else {}), **self._own}

    def _update(self) -> None:
        """Take over what was changed; a job that stays as it was keeps its time."""
        wanted = self._all()
        jobs: dict[str, ScheduledJob] = {}
        for name, config in wanted.items():
            if name in OF_ALL:
                continue
            known = self._jobs.get(name)
            if wanted.get("splay") and isinstance(config, Mapping):
                config = {"splay": wanted["splay"], **config}
            if known is not None and known.config == config:
                jobs[name] = known
                continue
            try:
                if not isinstance(config, Mapping):
                    raise ConfigError(f"the schedule {name!r} is not a mapping")
                jobs[name] = ScheduledJob(name, config, time.monotonic())
            except ConfigError as error:
                log.error("%s", error)
        self._jobs = jobs

    # -- what the module and the bus ask for -----------------------------------------------------

    def listed(self, where: str | None = None) -> dict[str, Any]:
        """The jobs as configured; `where` "opts" or "pillar" gives one source."""
        if where == "opts":
            return dict(self._own)
        if where == "pillar":
            pillar = self._pillar()
            return dict(pillar) if isinstance(pillar, Mapping) else {}
        return self._all()

    def put(self, name: str, config: Mapping[str, Any]) -> None:
        """Add or replace a job and keep it; ConfigError for what can't be one."""
        ScheduledJob(name, config, time.monotonic())
        self._own[name] = dict(config)
        self._keep()

    def drop(self, name: str) -> None:
        """Remove a job of the minion's own; those of the pillar can't be."""
        if name not in self._own:
            raise SaltInvocationError(f"Cannot modify job {name}: it is not the minion's own")
        del self._own[name]
        self._keep()

    def switch(self, name: str | None, *, on: bool) -> None:
        """Enable or disable a job, or with None the whole schedule."""
        if name is None:
            self._own["enabled"] = on
        else:
            self._own[name] = {**self._all()[name], "enabled": on}
        self._keep()

    def run_now(self, name: str) -> None:
        """Run a job at once, besides its times."""
        self._begin(ScheduledJob(name, self._all()[name], time.monotonic()))

    def reload(self) -> None:
        """Read the kept changes anew."""
        if self._path.exists():
            read = yaml.safe_load(self._path.read_text())
            self._own = dict((read or {}).get("schedule") or {})
        self.wake()

    def save(self) -> None:
        """Write the minion's own jobs down; raises OSError."""
        text = yaml.safe_dump({"schedule": self._own}, default_flow_style=False)
        write_private(self._path, text.encode())

    def _keep(self) -> None:
        self.save()
        self.wake()
