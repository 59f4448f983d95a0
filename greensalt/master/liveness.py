"""Which minions run a job: asked by the master, once for all who want to know.

`saltutil.find_job` goes to the outstanding minions that are connected (or have not spoken since
the master's start), at most once in `interval_s` for one job, however many watch it.

Source: docs/protocol.md 12.6.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from greensalt.errors import StoreError, TargetError
from greensalt.green import Crew
from greensalt.master.jobs import Jobs
from greensalt.master.presence import Presence

log = logging.getLogger(__name__)

FIND_JOB: Final = "saltutil.find_job"
JOBS_MOST: Final = 1000
"""Jobs whose answers are kept; the one that was asked for longest ago goes first."""


class Known(NamedTuple):
    """Whether a minion runs a job, and since when that is known (seconds since 1970)."""

    running: bool
    at: float


class _Round:
    def __init__(self) -> None:
        self.begun = float("-inf")
        self.is_open = False
        self.known: dict[str, Known] = {}


class Liveness:
    """The answers of minions by job. `user` is whose name the questions carry."""

    def __init__(self, jobs: Jobs, presence: Presence, user: str, interval_s: float) -> None:
        self._jobs = jobs
        self._presence = presence
        self._user = user
        self.interval_s = max(1.0, interval_s)
        self._rounds: OrderedDict[str, _Round] = OrderedDict()
        self._crew = Crew("liveness")

    def stop(self) -> None:
        """Ask no more."""
        self._crew.stop()

    def known(self, jid: str, outstanding: Collection[str]) -> Mapping[str, Known]:
        """What is known of these minions; a question is begun when it is time. Does not wait."""
        current = self._rounds.setdefault(jid, _Round())
        self._rounds.move_to_end(jid)
        while len(self._rounds) > JOBS_MOST:
            self._rounds.popitem(last=False)
        due = time.monotonic() - current.begun >= self.interval_s
        if outstanding and due and not current.is_open:
            current.begun, current.is_open = time.monotonic(), True
            self._crew.spawn(f"find {jid}", self._ask, jid, current, set(outstanding))
        return {each: current.known[each] for each in outstanding if each in current.known}

    def _ask(self, jid: str, current: _Round, outstanding: set[str]) -> None:
        try:
            there = outstanding & (self._presence.connected() | self._presence.unknown())
            running = self._answers(jid, sorted(there)) if there else set()
            now = time.time()
            current.known.update({each: Known(each in running, now) for each in outstanding})
        except (StoreError, TargetError) as error:
            log.warning("who runs job %s is not known: %s", jid, error)
        finally:
            current.is_open = False

    def _answers(self, jid: str, minions: list[str]) -> set[str]:
        load = {"fun": FIND_JOB, "arg": [jid], "tgt": minions, "tgt_type": "list", "kwargs": {}}
        asked = self._jobs.publish_for(self._user, load)
        if not asked.jid:
            return set()
        returns = self._jobs.await_returns(asked.jid, asked.minions, self.interval_s)
        return {each.id for each in returns if isinstance(each.ret, dict) and each.ret}
