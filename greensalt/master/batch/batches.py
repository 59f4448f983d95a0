"""The batches of a master: begun by clients, stopped and resumed by anybody who may.

Source: docs/protocol.md 12.6; docs/batch.md.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from gevent import Greenlet

from greensalt.errors import (
    AuthenticationError,
    AuthorizationError,
    CommandExecutionError,
    SaltInvocationError,
    StoreError,
    TargetError,
)
from greensalt.green import Crew
from greensalt.master.batch.run import BatchParts, BatchRun
from greensalt.master.batch.state import COMPLETE, RUNNING, STOPPED, BatchState, asked_state
from greensalt.master.jobs import error_reply

OPEN_MOST: Final = 200
"""Batches that run at once; more are refused."""
KEPT_MOST: Final = 1000
LEAVE_S: Final = 10.0
"""How long who resumes a batch waits for the end of who led it: it may be writing."""


class Batches:
    """All batches by jid, the oldest first."""

    def __init__(self, parts: BatchParts, timeout_s: float) -> None:
        self._parts = parts
        self._timeout_s = timeout_s
        self._runs: OrderedDict[str, BatchRun] = OrderedDict()
        self._working: dict[str, Greenlet[..., None]] = {}
        self._crew = Crew("batches")

    def start(self) -> None:
        """Go on with what ran when the master ended."""
        self._parts.batches.open()
        for jid, kept in self._parts.batches.all().items():
            run = self._runs[jid] = BatchRun(BatchState(**kept), self._parts)
            if run.state.state == RUNNING:
                run.fire("recover")
                run.deliver_again()
                self._work(run)

    def stop_all(self) -> None:
        """The master ends; what runs goes on with its next start."""
        self._crew.stop()

    def begin(self, load: dict[str, Any]) -> dict[str, Any]:
        """The clear command `batch`: {enc, load: status} or {error: {name, message}}."""
        try:
            caller, expectation = self._parts.jobs.check(load)
            jid = str(load.get("jid") or self._parts.jobs.next_jid())
            if jid in self._runs:  # the same request once more
                run = self._runs[jid]
                if run.state.user != caller.name:
                    raise AuthorizationError(f"job {jid} belongs to {run.state.user}")
                return _reply(run)
            if len(self._working) >= OPEN_MOST:
                raise CommandExecutionError(f"{OPEN_MOST} batches run already")
            minions = sorted(expectation.minions)
            if not minions:
                raise TargetError(f"Master could not resolve minions for target {load.get('tgt')}")
            state = asked_state(jid, caller.name, load, len(minions), self._timeout_s)
            state.load["tgt"] = minions
            state.down = sorted(expectation.missing)
            run = BatchRun(state, self._parts)
            self._runs[jid] = run
            run.save()
        except (
            AuthenticationError,
            AuthorizationError,
            SaltInvocationError,
            CommandExecutionError,
            StoreError,
            TargetError,
        ) as error:
            return error_reply(error)
        self._work(run)
        self._forget()
        return _reply(run)

    def status(self, jid: str) -> dict[str, Any] | None:
        """How a batch stands, with some names; None if the job is none."""
        run = self._runs.get(jid)
        return run.status() if run else None

    def names(self, jid: str) -> dict[str, Any] | None:
        """As `status`, with all names."""
        run = self._runs.get(jid)
        return run.status(names=True) if run else None

    def stop(self, jid: str) -> dict[str, Any]:
        """Let nobody else begin; those that work go on. Raises CommandExecutionError."""
        run = self._find(jid)
        if run.state.state != RUNNING:
            raise CommandExecutionError(f"batch {jid} is {run.state.state}")
        run.state.state = STOPPED
        run.save()
        run.fire("stop")
        run.wake()
        return run.status()

    def resume(self, jid: str) -> dict[str, Any]:
        """Go on with those whose turn has not come. Raises CommandExecutionError."""
        run = self._find(jid)
        leader = self._working.get(jid)
        if leader and run.state.state != RUNNING:
            leader.join(LEAVE_S)
            run = self._find(jid)
        if run.state.state in (RUNNING, COMPLETE) or jid in self._working:
            raise CommandExecutionError(f"batch {jid} is {run.state.state}, there is no more to do")
        again = self._runs[jid] = BatchRun(run.state, self._parts)
        again.state.state = RUNNING
        again.save()
        again.fire("recover")
        self._work(again)
        return again.status()

    def all(self) -> dict[str, dict[str, Any]]:
        """The status of every batch that is remembered, without names."""
        return {jid: _without_names(run.status()) for jid, run in self._runs.items()}

    def _find(self, jid: str) -> BatchRun:
        run = self._runs.get(jid)
        if run is None:
            raise CommandExecutionError(f"there is no batch {jid}")
        return run

    def _work(self, run: BatchRun) -> None:
        self._working[run.state.jid] = self._crew.spawn(run.state.jid, self._lead, run)

    def _lead(self, run: BatchRun) -> None:
        try:
            run.run()
        finally:
            self._working.pop(run.state.jid, None)

    def _forget(self) -> None:
        for jid in list(self._runs)[: max(0, len(self._runs) - KEPT_MOST)]:
            if jid not in self._working:
                del self._runs[jid]


def _without_names(status: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in status.items() if not isinstance(value, list)}


def _reply(run: BatchRun) -> dict[str, Any]:
    return {"enc": "clear", "load": run.status()}
