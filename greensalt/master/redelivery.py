"""The jobs of the last minute, for minions that were away when they were published.

A minion asks with `_missed_jobs` each time its subscription stands (again), and names the jobs that
it has. It gets those that were published to it in the meantime and that it has not returned for.
A job that was published in slices, as a batch is, is one job: each of its minions has its own time.

Source: Spec 12.5.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from gevent.lock import BoundedSemaphore

from greensalt.errors import MalformedMessage
from greensalt.master.sessions import Peer
from greensalt.store.jobs import Job, JobStore

KEPT_MOST = 1000  # jobs
ANSWER_MOST = 100  # jobs in one answer; the minion asks again after them


class Sent(NamedTuple):
    """A job as it was published, the last time."""

    at: float
    """Seconds since 1970."""
    minions: dict[str, float]
    """When it was published to each."""
    publish: dict[str, Any]


class Redelivery:
    """Keeps what was published in the last `window_s` seconds; 0 keeps nothing.

    After a restart it begins with what the store has; `publish_of` makes the publish of a stored
    job. `redelivered` counts the jobs that were handed out once more.
    """

    def __init__(
        self, window_s: float, store: JobStore, publish_of: Callable[[Job], dict[str, Any]]
    ) -> None:
        self._window_s = window_s
        self._store = store
        self._publish_of = publish_of
        self._sent: OrderedDict[str, Sent] = OrderedDict()
        self._reading = BoundedSemaphore(1)
        self._is_read = False
        self.redelivered = 0

    def note(self, publish: dict[str, Any], minions: Collection[str]) -> None:
        """Remember a job that goes out now."""
        if not self._window_s:
            return
        now, jid = time.time(), publish["jid"]
        before = self._sent.pop(jid, None)
        times = before.minions if before else {}
        times.update(dict.fromkeys(minions, now))
        self._sent[jid] = Sent(now, times, publish)
        oldest = now - self._window_s
        while len(self._sent) > KEPT_MOST or next(iter(self._sent.values())).at < oldest:
            self._sent.popitem(last=False)

    def missed(self, peer: Peer, load: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The command `_missed_jobs`: the publishes, the oldest first."""
        window, seen = load.get("window"), load.get("seen")
        if not isinstance(window, int | float) or not isinstance(seen, list):
            raise MalformedMessage(f"{peer.id}: no question for missed jobs")
        self._read_store()
        since = time.time() - min(window, self._window_s)
        known = {jid for jid in seen if isinstance(jid, str)}
        answer: list[dict[str, Any]] = []
        for jid, sent in sorted(self._sent.items()):
            if sent.minions.get(peer.id, 0.0) < since or jid in known:
                continue
            if peer.id in self._store.returned(jid):
                continue
            answer.append(_for(peer.id, sent.publish))
            if len(answer) == ANSWER_MOST:
                break
        self.redelivered += len(answer)
        return answer

    def _read_store(self) -> None:
        """Once: take up what was published before this master started."""
        with self._reading:
            if self._is_read or not self._window_s:
                return
            since = time.time() - self._window_s
            for summary in reversed(self._store.list_jobs(since=since, limit=KEPT_MOST)):
                job = self._store.job(summary.jid)
                if job is None or job.jid in self._sent or job.load.get("cmd") == "_return":
                    continue  # the last: a job of the minion's own
                times = dict.fromkeys(job.minions, job.started)
                self._sent[job.jid] = Sent(job.started, times, self._publish_of(job))
            self._is_read = True


def _for(minion_id: str, publish: dict[str, Any]) -> dict[str, Any]:
    """The publish; to a minion of another slice than its list names, as one to that minion."""
    tgt = publish["tgt"]
    named = tgt.split(",") if isinstance(tgt, str) else tgt
    if publish["tgt_type"] != "list" or minion_id in named:
        return publish
    return {**publish, "tgt": [minion_id]}
