"""One batch at work: a greenlet that publishes slices of one job as minions become free.

Source: docs/protocol.md 12.6.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Any, Final

import gevent
from gevent.event import Event

from greensalt.errors import StoreError
from greensalt.master.batch.state import COMPLETE, HALTED, OVER, RUNNING, BatchState
from greensalt.master.jobs import Jobs
from greensalt.master.liveness import RUNNING as AT_WORK, Liveness
from greensalt.master.presence import Presence
from greensalt.store.batches import BatchStore
from greensalt.store.jobs import JobStore, Return, returns_of
from greensalt.target.batchsize import batch_size
from greensalt.transport.bus import EventPublisher
from greensalt.wire import tags

log = logging.getLogger(__name__)

STEP_S: Final = 1.0
NAMES_MOST: Final = 100
"""Minions that a list of a status names; of the others it has the number."""
GRACE_S: Final = 1.0
"""For the return of a minion that does not run the job: it may be on its way."""


class BatchParts:
    """What the batches of a master share."""

    def __init__(
        self,
        jobs: Jobs,
        store: JobStore,
        bus: EventPublisher,
        presence: Presence,
        liveness: Liveness,
        batches: BatchStore,
    ) -> None:
        self.jobs = jobs
        self.store = store
        self.bus = bus
        self.presence = presence
        self.liveness = liveness
        self.batches = batches


class BatchRun:
    """Leads one batch until it is over. Everything it needs after a restart is in the store."""

    def __init__(self, state: BatchState, parts: BatchParts) -> None:
        self.state = state
        self._parts = parts
        self._wake = Event()
        self._prefix = tags.job_ret(state.jid, "")
        self._read_job()

    def _read_job(self) -> None:
        """Whom the job was sent to, as the store has it."""
        job = self._parts.store.job(self.state.jid)
        self.sent: list[str] = list(job.minions) if job else []
        self.steps: list[list[str]] = [self.sent[:]] if self.sent else []
        self.returned: set[str] = set()
        self.halting = False
        self._cursor = 0
        self._freed: deque[float] = deque()
        deadline = time.monotonic() + self.state.timeout_s
        self._deadlines = dict.fromkeys(self.sent, deadline)
        self._grace: dict[str, float] = {}

    @property
    def busy(self) -> set[str]:
        """Those that work."""
        return set(self.sent) - self.returned - set(self.state.silent)

    @property
    def queue(self) -> list[str]:
        """Those whose turn comes."""
        gone = {*self.sent, *self.state.down}
        return [each for each in self.state.up or [] if each not in gone]

    def wake(self) -> None:
        """Look at the state again."""
        self._wake.set()

    def save(self) -> None:
        """Keep the state; raises StoreError."""
        is_open = self.state.state == RUNNING
        self._parts.batches.put(self.state.jid, self.state.kept(), is_open=is_open)

    def fire(self, kind: str) -> None:
        """Tell the bus: salt/batch/<jid>/<kind>."""
        self._parts.bus.fire(tags.tag("batch", self.state.jid, kind), self.status())

    def status(self, *, names: bool = False) -> dict[str, Any]:
        """How it stands, for people and clients; with all `names`, or at most NAMES_MOST a list."""
        state, most = self.state, None if names else NAMES_MOST
        lists = {
            "minions": state.up or [],
            "down": state.down,
            "waiting": self.queue,
            "running": sorted(self.busy),
            "silent": sorted(state.silent),
        }
        return {
            "jid": state.jid,
            "state": state.state,
            "fun": state.load["fun"],
            "user": state.user,
            "size": state.size,
            "known": state.up is not None,
            **{key: ids[:most] for key, ids in lists.items()},
            "steps": _last(self.steps, most),
            "returned": len(self.returned),
            "counts": {
                **{key: len(ids) for key, ids in lists.items()},
                "steps": len(self.steps),
                "sent": len(self.sent),
                "returned": len(self.returned),
            },
        }

    def deliver_again(self) -> None:
        """After a restart: those that work may have been away just then, and ask for the job."""
        self._parts.jobs.outstanding(self.state.user, self._load(sorted(self.busy)))

    def run(self) -> None:
        """Until the batch is over."""
        remove = self._parts.bus.listen(
            lambda tag: tag.startswith(self._prefix), lambda *_: self._wake.set()
        )
        try:
            while self.state.state not in OVER:
                self._wake.clear()
                try:
                    self._step()
                except StoreError as error:
                    log.warning("batch %s waits: %s", self.state.jid, error)
                    gevent.sleep(STEP_S)
                    self._read_job()
                    continue
                if self.state.state not in OVER:
                    self._wake.wait(self._pause_s())
        finally:
            remove()

    def _step(self) -> None:
        if self.state.up is None:
            self._find()
        before = self.busy
        self._take_returns()
        self._judge_silent()
        now = time.monotonic()
        self._freed.extend(now + self.state.wait_s for _ in before - self.busy)
        while self._freed and self._freed[0] <= now:
            self._freed.popleft()
        if before != self.busy:
            self.fire("progress")
        if self.state.state in OVER:
            return
        if self.halting:
            if not self.busy:
                self._end(HALTED)
        elif self.queue:
            self._begin()
        elif not self.busy:
            self._end(COMPLETE)

    def _end(self, state: str) -> None:
        self.state.state, self.state.forgiven = state, self._cursor
        self.save()
        self.fire(state)

    def _pause_s(self) -> float:
        if not self._freed:
            return STEP_S
        return max(0.0, min(STEP_S, self._freed[0] - time.monotonic()))

    # -- who ---------------------------------------------------------------------------------

    def _find(self) -> None:
        """Tell those that are there from those that are not; asks only who never spoke."""
        presence, wanted = self._parts.presence, self.state.load["tgt"]
        up, unknown = set(presence.connected()), presence.unknown()
        if silent := sorted(unknown.intersection(wanted)):
            up |= self._ping(silent)
        self.state.down += [each for each in wanted if each not in up]
        self.state.up = [each for each in wanted if each in up]
        self.save()
        self.fire("new")

    def _ping(self, minions: list[str]) -> set[str]:
        load = {"fun": "test.ping", "arg": [], "tgt": minions, "tgt_type": "list", "kwargs": {}}
        jobs = self._parts.jobs
        asked = jobs.publish_for(self.state.user, load)
        wait_s = self._parts.liveness.interval_s
        return {each.id for each in jobs.await_returns(asked.jid, asked.minions, wait_s)}

    def _begin(self) -> None:
        queue, slots = self.queue, batch_size(self.state.size, len(self.state.up or []))
        free = slots - len(self.busy) - len(self._freed)
        if free <= 0:
            return
        state, step = self.state, queue[:free]
        published = self._parts.jobs.publish_for(state.user, self._load(step))
        got = set(published.minions) & set(step)
        self.sent += [each for each in step if each in got]
        self.steps.append([each for each in step if each in got])
        self._deadlines.update(dict.fromkeys(got, time.monotonic() + state.timeout_s))
        if lost := [each for each in step if each not in got]:  # a key that was deleted
            state.down += lost
            self.save()
        self.fire("progress")

    def _load(self, minions: list[str]) -> dict[str, Any]:
        return {**self.state.load, "tgt": minions, "tgt_type": "list", "jid": self.state.jid}

    # -- what became of them -------------------------------------------------------------------

    def _take_returns(self) -> None:
        for each in returns_of(self._parts.store, self.state.jid, self._cursor):
            self._cursor = each.seq
            self.returned.add(each.id)
            if self.state.failhard and each.seq > self.state.forgiven and _failed(each):
                self.halting = True

    def _judge_silent(self) -> None:
        """Give up who is overdue and is not there, or says that it does not run the job."""
        now = time.monotonic()
        overdue = {each for each in self.busy if self._deadlines.get(each, 0.0) <= now}
        if not overdue:
            return
        given_up = []
        states = self._parts.liveness.known(self.state.jid, lambda: overdue).minions
        for minion_id, state in states.items():
            if state == AT_WORK:
                self._grace.pop(minion_id, None)
            elif minion_id not in overdue:
                continue
            elif now - self._grace.setdefault(minion_id, now) >= GRACE_S:
                given_up.append(minion_id)
        if given_up:
            self.state.silent += given_up
            self.save()


def _last(steps: list[list[str]], most: int | None) -> list[list[str]]:
    """The last steps, with at most so many minions; of one that has more, the first ones."""
    if most is None:
        return steps
    kept: list[list[str]] = []
    for step in reversed(steps):
        if kept and len(step) > most:
            break
        kept.append(step[:most])
        most -= len(kept[-1])
    return kept[::-1]


def _failed(ret: Return) -> bool:
    codes = ret.retcode.values() if isinstance(ret.retcode, dict) else [ret.retcode]
    fine = ret.success.values() if isinstance(ret.success, dict) else [ret.success]
    return any(codes) or not all(fine)
