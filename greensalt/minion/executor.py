"""Jobs of a minion: each in a greenlet of its own, capped, findable and killable.

While a job runs, `<cachedir>/proc/<jid>` holds its load and the pid, as Salt's tools expect it;
`saltutil.running` and `find_job` answer from what runs here. What is still there at the next start
was cut off: it is never run again, and a return that says so takes the place of its result.

Source: docs/protocol.md 5.3, 8.4.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import gevent

from greensalt.errors import GreensaltError, ProtocolError
from greensalt.green import Crew, within
from greensalt.store.files import write_private
from greensalt.wire.dialect import pack_bin, unpack_bin

log = logging.getLogger(__name__)

PROC_FIELDS = ("jid", "fun", "arg", "tgt", "tgt_type", "ret", "user")

Execute = Callable[[dict[str, Any]], dict[str, Any]]


class Job:
    """A job that waits or runs here."""

    __slots__ = ("greenlet", "load", "started")

    def __init__(self, load: dict[str, Any]) -> None:
        self.load = load
        self.greenlet: gevent.Greenlet[..., Any] | None = None
        self.started: float | None = None

    def describe(self) -> dict[str, Any]:
        """What `saltutil.find_job` tells of a job."""
        known = {key: self.load[key] for key in PROC_FIELDS if key in self.load}
        return {**known, "pid": os.getpid()}


class Executor:
    """Runs job loads through `execute` and hands each return load to `deliver`.

    `most` is the number of jobs that run at once (below 1: no limit); more wait in order. A job
    that is killed returns nothing, as in Salt; `cut_off(load)` makes the return of one that ends
    with the minion. `begins(jid)` is told before the first line of a job runs.
    """

    def __init__(
        self,
        proc_dir: Path,
        execute: Execute,
        deliver: Callable[[dict[str, Any]], object],
        most: int,
        *,
        cut_off: Execute,
        begins: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._proc_dir = proc_dir
        self._execute = execute
        self._deliver = deliver
        self._most = most
        self._cut_off = cut_off
        self._begins = begins
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._running = 0
        self._crew = Crew("jobs")
        self.done = 0

    def open(self) -> None:
        """Make the proc directory."""
        self._proc_dir.mkdir(mode=0o700, parents=True, exist_ok=True)

    def settle(self, returned: Collection[str]) -> None:
        """Return for jobs that a killed run had begun, unless they are among `returned`.

        The return is delivered before the mark of the job goes, so that another kill loses none.
        """
        for proc in sorted(self._proc_dir.iterdir()):
            if (load := _read_proc(proc)) is not None:
                if "schedule" not in load:
                    self._begins(load["jid"])
                if load["jid"] not in returned:
                    log.warning("job %s (%s) was cut off", load["jid"], load["fun"])
                    self._deliver(self._cut_off(load))
            proc.unlink(missing_ok=True)

    def submit(self, load: dict[str, Any]) -> None:
        """Take a job in; it begins at once unless `most` are running."""
        job = Job(load)
        self._jobs[load["jid"]] = job
        self._waiting.append(job)
        self._begin()

    def _begin(self) -> None:
        while self._waiting and (self._most < 1 or self._running < self._most):
            job = self._waiting.popleft()
            self._running += 1
            job.greenlet = self._crew.spawn(f"job {job.load['jid']}", self._run, job)
            # Not in `_run`, which never begins when the job is killed before its first turn.
            job.greenlet.rawlink(partial(self._ended, job))

    def _run(self, job: Job) -> None:
        jid = job.load["jid"]
        job.started = time.time()
        proc = self._proc_dir / jid
        try:
            self._write_proc(proc, job)
            if "schedule" not in job.load:  # a job of the minion's own comes by no wire
                self._begins(jid)
            result = self._execute(job.load)
            self._deliver(result)
            self.done += 1
        finally:
            proc.unlink(missing_ok=True)

    def _ended(self, job: Job, _greenlet: object) -> None:
        jid = job.load["jid"]
        if self._jobs.get(jid) is job:
            del self._jobs[jid]
        self._running -= 1
        self._begin()

    def _write_proc(self, proc: Path, job: Job) -> None:
        try:
            write_private(proc, pack_bin({**job.load, "pid": os.getpid()}))
        except (OSError, GreensaltError) as error:
            log.error("%s can't be written: %s", proc, error)

    def count(self, schedule: str) -> int:
        """How many jobs of a schedule wait or run."""
        return sum(job.load.get("schedule") == schedule for job in self._jobs.values())

    # -- what modules see of the jobs (context.JobRegistry) -----------------------------------

    def running(self) -> list[dict[str, Any]]:
        """All jobs that wait or run, each as `describe` gives it."""
        return [job.describe() for job in self._jobs.values()]

    def find(self, jid: str) -> dict[str, Any]:
        """The job as a dictionary, {} when it does not run here."""
        job = self._jobs.get(jid)
        return job.describe() if job is not None else {}

    def signal(self, jid: str, signum: int) -> str:
        """Send a signal to a job: those that end a process end its greenlet and its commands."""
        job = self._jobs.get(jid)
        if job is None:
            return ""
        pid = os.getpid()
        if signum in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP):
            self._end(job)
            return f"Signal {int(signum)} sent to job {jid} at pid {pid}"
        return f"Signal {int(signum)} can't be sent to job {jid}: it is a greenlet of pid {pid}"

    def _end(self, job: Job) -> None:
        if job in self._waiting:
            self._waiting.remove(job)
            del self._jobs[job.load["jid"]]
        elif job.greenlet is not None:
            job.greenlet.kill(block=False)

    def stop(self, grace_s: float) -> None:
        """Give running jobs `grace_s` seconds, then end them and return that they were cut off.

        Those that have not begun are dropped: the master may deliver them again.
        """
        for job in self._waiting:
            self._jobs.pop(job.load["jid"], None)
        self._waiting.clear()
        with within(grace_s):
            while self._running:
                gevent.sleep(0.01)
        running = [job.load for job in self._jobs.values() if job.started is not None]
        for load in running:  # before they end: their marks go with them
            self._deliver(self._cut_off(load))
        self._crew.stop()


def _read_proc(proc: Path) -> dict[str, Any] | None:
    """The load of a job that was begun; None for what is no such mark."""
    try:
        load = unpack_bin(proc.read_bytes())
    except (OSError, ProtocolError) as error:
        log.error("%s can't be read: %s", proc, error)
        return None
    if not isinstance(load, dict) or load.get("jid") != proc.name or "fun" not in load:
        return None
    return load
