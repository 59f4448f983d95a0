"""Who works on a job, at a master that does not say it: the client asks with `saltutil.find_job`.

Source: docs/protocol.md 8.4.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Final

from greensalt.client.link import Page, Published

FIND_JOB: Final = "saltutil.find_job"
LONGEST_CHECK_S: Final = 60.0


class _Question:
    """One `saltutil.find_job`: who has not answered, until when they may, and what was read."""

    __slots__ = ("cursor", "jid", "silent", "until")

    def __init__(self, jid: str, silent: set[str], until: float) -> None:
        self.jid = jid
        self.silent = silent
        self.until = until
        self.cursor = 0


class FindJobs:
    """The questions about one job. Who still runs it is asked again, later each time.

    `find_job` publishes a question, `follow` reads its returns.
    """

    def __init__(
        self,
        jid: str,
        find_job: Callable[[str, list[str]], Published],
        follow: Callable[[str, int], Page],
        *,
        timeout_s: float,
        gather_s: float,
    ) -> None:
        self._jid = jid
        self._find_job = find_job
        self._follow = follow
        self._timeout_s = timeout_s
        self._gather_s = gather_s
        self._open: list[_Question] = []
        self._times: dict[str, int] = {}
        self._due: dict[str, float] = {}

    def states(self, minions: Collection[str]) -> dict[str, str]:
        """What has become known of these minions since the last call, in the words of `Liveness`.

        Asks those whose time it is. Raises what `find_job` and `follow` raise.
        """
        states: dict[str, str] = {}
        for question in self._open:
            states.update(self._answers(question))
        self._open = [question for question in self._open if question.silent]
        now = time.monotonic()
        due = sorted(each for each in minions if self._due.get(each, 0.0) <= now)
        if due:
            published = self._find_job(self._jid, due)
            self._due.update(dict.fromkeys(due, float("inf")))
            asked = set(due) & set(published.minions) if published.jid else set()
            self._open.append(_Question(published.jid, asked, now + self._gather_s))
            states.update(dict.fromkeys(set(due) - asked, "silent"))
        return states

    def _answers(self, question: _Question) -> dict[str, str]:
        states = {}
        more = bool(question.silent)
        while more:
            page = self._follow(question.jid, question.cursor)
            question.cursor, more = page.cursor, page.more
            for answer in page.results:
                question.silent.discard(answer.id)
                is_running = isinstance(answer.ret, dict) and bool(answer.ret)
                states[answer.id] = "running" if is_running else "idle"
                if is_running:
                    self._due[answer.id] = time.monotonic() + self._next_s(answer.id)
        if time.monotonic() >= question.until:
            states.update(dict.fromkeys(question.silent, "silent"))
            question.silent.clear()
        return states

    def _next_s(self, minion_id: str) -> float:
        """The time until a minion that still runs the job is asked again."""
        times = self._times[minion_id] = self._times.get(minion_id, 0) + 1
        doubled = self._timeout_s * float(1 << min(times, 16))
        return max(self._timeout_s, min(LONGEST_CHECK_S, doubled))
