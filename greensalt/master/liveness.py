"""Which minions run a job: asked by the master, once for all who want to know.

`saltutil.find_job` goes to the outstanding minions that are connected (or have not spoken since
the master's start), at most once in an interval for one job, however many watch it. Who says that
it runs the job is asked again after twice the time, each time, as long as it stays connected.
Nobody is asked while nobody looks.

Source: docs/protocol.md 12.7.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from itertools import count
from typing import Final, NamedTuple

import gevent
from gevent.event import Event

from greensalt.errors import StoreError, TargetError
from greensalt.green import Crew
from greensalt.master.jobs import Jobs
from greensalt.master.presence import Presence

log = logging.getLogger(__name__)

FIND_JOB: Final = "saltutil.find_job"
RUNNING: Final = "running"
IDLE: Final = "idle"
"""It says that it does not run the job."""
SILENT: Final = "silent"
"""It is connected and did not answer in time."""
GONE: Final = "gone"
"""It is not connected."""

JOBS_MOST: Final = 1000
"""Jobs whose answers are kept; the one that was looked at longest ago goes first."""
KEEP_S: Final = 60.0
"""For so long after the last look."""
LONGEST_S: Final = 60.0
"""Between two questions to a minion that runs the job; also the most that an answer may take."""
AWAY_S: Final = 5.0
"""After which a minion that was asked or at work, and whose connection ended, is gone."""
LOOK_S: Final = 1.0

Outstanding = Callable[[], Collection[str]]


class Answer(NamedTuple):
    """The states of minions, and the number of the last change: `after` of the next look."""

    number: int
    minions: Mapping[str, str]


class _Known(NamedTuple):
    state: str
    number: int
    at: float
    pause_s: float
    """Between the question and the next one."""
    due: float
    """When that is."""


class _Watched:
    """A job that somebody watches. `known` is in the order of its numbers."""

    def __init__(self) -> None:
        self.known: dict[str, _Known] = {}
        self.asked: set[str] = set()
        self.away: dict[str, float] = {}  # since when
        self.is_open = False
        self.begun = float("-inf")
        self.looked_at = time.monotonic()
        self.changed = Event()

    def is_due(self, minion_id: str) -> bool:
        """Whether to ask a minion; what it was before, other than at work, is forgotten then."""
        known = self.known.get(minion_id)
        if known is None:
            return True
        if known.state != RUNNING:
            del self.known[minion_id]
            return True
        return time.monotonic() >= known.due

    def told_after(self, number: int, oldest: float, there: Collection[str]) -> Answer:
        """What has changed since, without what may be otherwise by now."""
        states, last = {}, number
        for minion_id in reversed(self.known):
            known = self.known[minion_id]
            if known.number <= number:
                break
            if known.state == GONE:
                is_old = minion_id in there
            else:
                is_old = known.state != RUNNING and known.at < oldest
            if not is_old:
                states[minion_id], last = known.state, max(last, known.number)
        return Answer(last, states)


class Liveness:
    """The answers of minions by job. `user` is whose name the questions carry.

    `interval_s` is between two questions for one job, and the time for an answer.
    """

    def __init__(self, jobs: Jobs, presence: Presence, user: str, interval_s: float) -> None:
        self._jobs = jobs
        self._presence = presence
        self._user = user
        self.interval_s = max(1.0, interval_s)
        self._watched: OrderedDict[str, _Watched] = OrderedDict()
        self._numbers = count(time.time_ns() // 1000)  # above those of the process before
        self._crew = Crew("liveness")
        self._forgetting = False

    def __len__(self) -> int:
        return len(self._watched)

    def stop(self) -> None:
        """Ask no more."""
        self._crew.stop()

    def known(
        self, jid: str, outstanding: Outstanding, after: int = 0, gather_s: float = 0.0
    ) -> Answer:
        """What has become known of a job's minions after a number; does not wait.

        When it is time those of `outstanding` are asked, and have `gather_s` for their answer, if
        that is more than the interval.
        """
        watched, there, now = self._watch(jid), self._there(), time.monotonic()
        self._note_gone(watched, there)
        if now >= watched.begun + self.interval_s and not watched.is_open:
            watched.begun, watched.is_open = now, True
            wait_s = max(self.interval_s, min(gather_s, LONGEST_S))
            self._crew.spawn(f"find {jid}", self._ask, jid, watched, outstanding, wait_s)
        return watched.told_after(after, now - self.interval_s - LOOK_S, there)

    def running(self, jid: str, minions: Collection[str], gather_s: float) -> set[str]:
        """Those of these minions that run a job; waits for what they say, `gather_s` at most."""
        wanted, until = set(minions), time.monotonic() + gather_s
        while True:
            states = self.known(jid, lambda: wanted, gather_s=gather_s).minions
            left_s = until - time.monotonic()
            if wanted <= states.keys() or left_s <= 0:
                return {each for each in wanted if states.get(each) == RUNNING}
            changed = self._watch(jid).changed
            changed.clear()
            changed.wait(min(left_s, LOOK_S))

    # -- one job -----------------------------------------------------------------------------

    def _watch(self, jid: str) -> _Watched:
        if not self._forgetting:
            self._forgetting = True
            self._crew.spawn("forget", self._forget_unwatched)
        watched = self._watched.setdefault(jid, _Watched())
        watched.looked_at = time.monotonic()
        self._watched.move_to_end(jid)
        while len(self._watched) > JOBS_MOST:
            self._watched.popitem(last=False)
        return watched

    def _forget_unwatched(self) -> None:
        while self._watched:
            gevent.sleep(KEEP_S / 4)
            before = time.monotonic() - KEEP_S
            while self._watched and next(iter(self._watched.values())).looked_at < before:
                self._watched.popitem(last=False)
        self._forgetting = False

    def _there(self) -> frozenset[str]:
        return self._presence.connected() | self._presence.unknown()

    def _note_gone(self, watched: _Watched, there: Collection[str]) -> None:
        """Not at once: a connection breaks for a moment, and a restart ends in a return."""
        running = {each for each, known in watched.known.items() if known.state == RUNNING}
        away, now = (running | watched.asked).difference(there), time.monotonic()
        for minion_id in watched.away.keys() - away:
            del watched.away[minion_id]
            if minion_id in running:  # it is back, perhaps as another process
                watched.known[minion_id] = watched.known[minion_id]._replace(due=0.0)
        for minion_id in away:
            if now - watched.away.setdefault(minion_id, now) >= AWAY_S:
                self._tell(watched, minion_id, GONE)

    def _tell(self, watched: _Watched, minion_id: str, state: str) -> None:
        watched.asked.discard(minion_id)
        before = watched.known.pop(minion_id, None)
        pause_s = 0.0
        if state == RUNNING:
            pause_s = self.interval_s
            if before is not None and before.state == RUNNING:
                pause_s = min(LONGEST_S, 2 * before.pause_s)
        number, due = next(self._numbers), watched.begun + pause_s
        watched.known[minion_id] = _Known(state, number, time.monotonic(), pause_s, due)
        watched.changed.set()

    def _ask(self, jid: str, watched: _Watched, outstanding: Outstanding, wait_s: float) -> None:
        try:
            wanted = set(outstanding())
            if not wanted:  # the job is over
                self._watched.pop(jid, None)
                return
            for minion_id in watched.known.keys() - wanted:
                del watched.known[minion_id]
            there = self._there()
            for minion_id in wanted - there:
                known = watched.known.get(minion_id)
                if known is None or known.state in (IDLE, SILENT):
                    self._tell(watched, minion_id, GONE)
            due = {each for each in wanted & there if watched.is_due(each)}
            if due:
                self._take_answers(jid, watched, due, wait_s)
        except (StoreError, TargetError) as error:
            log.warning("who runs job %s is not known: %s", jid, error)
        finally:
            watched.asked.clear()
            watched.is_open = False

    def _take_answers(self, jid: str, watched: _Watched, due: set[str], wait_s: float) -> None:
        minions = sorted(due)
        load = {"fun": FIND_JOB, "arg": [jid], "tgt": minions, "tgt_type": "list", "kwargs": {}}
        asked = self._jobs.publish_for(self._user, load)
        watched.asked = due & set(asked.minions)
        for minion_id in due - watched.asked:  # its key was deleted just now
            self._tell(watched, minion_id, GONE)
        if asked.jid:
            for row in self._jobs.await_returns(asked.jid, asked.minions, wait_s):
                is_running = isinstance(row.ret, dict) and bool(row.ret)
                self._tell(watched, row.id, RUNNING if is_running else IDLE)
        for minion_id in sorted(watched.asked):
            self._tell(watched, minion_id, SILENT)
