"""The jobs of late, in memory: who is expected to return, without a look into the store.

Source: docs/protocol.md 8.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Collection
from typing import Any, Final

from greensalt.store.jobs import Job, JobStore

JOBS: Final = 1000
EXPECTED: Final = 500_000  # minions of all these jobs together; some 60 bytes each
UNCACHED: Final = 100
BY_ID: Final = frozenset({"glob", "pcre", "list"})
"""Target types that the id alone decides."""


class RecentJobs:
    """Jobs and the minions they were sent to. What is no longer here is found in the store.

    `uncached` are the jids whose returns are only fired (`nocache`): they are nowhere else.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._jobs: OrderedDict[str, tuple[Job, set[str]]] = OrderedDict()
        self._expected = 0
        self.uncached: deque[str] = deque(maxlen=UNCACHED)

    def expects(self, jid: str, minion_id: str) -> bool:
        """Whether the minion is among those that a job was sent to, as far as is remembered."""
        known = self._jobs.get(jid)
        return known is not None and minion_id in known[1]

    def find(self, jid: str) -> Job | None:
        """A job; its `minions` may be fewer than `expects` knows."""
        known = self._jobs.get(jid)
        if known is not None:
            return known[0]
        job = self._store.job(jid)
        if job is not None:
            self.remember(job)
        return job

    def remember(self, job: Job) -> None:
        """Keep a job. One jid may be published several times, to different minions."""
        known = self._jobs.get(job.jid)
        if known is None:
            self._jobs[job.jid] = (job, set())
        else:
            self._jobs.move_to_end(job.jid)
        self.add(job.jid, job.minions)
        while len(self._jobs) > 1 and (len(self._jobs) > JOBS or self._expected > EXPECTED):
            _, (_, minions) = self._jobs.popitem(last=False)
            self._expected -= len(minions)

    def add(self, jid: str, minions: Collection[str]) -> None:
        """Expect further minions of a job that is remembered."""
        known = self._jobs.get(jid)
        if known is not None:
            before = len(known[1])
            known[1].update(minions)
            self._expected += len(known[1]) - before


def job_of(
    user: str, jid: str, load: dict[str, Any], minions: list[str], missing: list[str]
) -> Job:
    """The job that a publish request, or a minion's own return, asks to be kept."""
    return Job(
        jid=jid,
        fun=load["fun"],
        arg=load.get("arg", []),
        tgt=load.get("tgt", ""),
        tgt_type=str(load.get("tgt_type", "glob")),
        user=user,
        minions=minions,
        missing=missing,
        load={**load, "jid": jid, "user": user},
        started=time.time(),
    )
