"""Following one job until every expected minion has returned or is known not to.

The truth is the master's job store, read by cursor; the event bus only says when to look, and once
a second it is looked anyway. Of minions that stay silent the master says, to all who watch the job,
whether they work on it. Source: docs/protocol.md 8.4, 12.1, 12.7.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol

import gevent

from greensalt.client.findjob import FindJobs
from greensalt.client.link import Ask, Page, Published, Result
from greensalt.errors import GreensaltError, RequestTimeout, StoreError, TransportError
from greensalt.wire import tags

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
FIRST_BLIND_POLL_S: Final = 0.05
"""Between the first two looks when no event says when; doubled until it is POLL_S."""
GRACE_S: Final = 1.0
"""For the return of a minion that does not run the job (any longer): it may be on its way."""
BELIEVED_S: Final = 180.0
"""How long a minion works on without another word of it: the master has one each minute."""
LOST_S: Final = 60.0
"""How long a master may be away in the middle of a job."""


class Bus(Protocol):
    """What is needed of transport.bus.BusClient."""

    def next(self, timeout_s: float | None) -> tuple[str, dict[str, object]] | None: ...
    def close(self) -> None: ...


class Follow(Protocol):
    """What is needed of MasterLink.follow."""

    def __call__(self, jid: str, after: int, ask: Ask | None = None) -> Page: ...


class JobWatch:
    """One published job. Iterate over it for the results, each as soon as the master has it.

    A job that no minion matches has no `jid`, the reason in `error`, and ends at once.
    `minions` are the expected ones, `missing` those the master knows no key of. After the end
    `silent` holds the minions that did not return. `on_running` is called with the id of a minion
    that says it still works on the job. `find_job` asks minions at a master that does not say who
    works; without it nobody is asked.
    """

    def __init__(
        self,
        published: Published,
        follow: Follow,
        find_job: Callable[[str, list[str]], Published] | None,
        bus: Bus | None,
        *,
        timeout_s: float,
        gather_s: float,
        look_first: bool = False,
    ) -> None:
        self.jid = published.jid
        self.error = published.error
        self.missing = list(published.missing)
        self.minions: set[str] = set()
        self.returned: set[str] = set()
        self.on_running: Callable[[str], object] | None = None
        self._follow = follow
        self._find_job = find_job
        self._bus = bus
        self._timeout_s = timeout_s
        self._gather_s = gather_s
        self._deadlines: dict[str, float] = {}
        self._asked: dict[str, float] = {}  # who is overdue, and when they are given up
        self._heard = 0  # the number of what the master said of them
        self._finds: FindJobs | None = None
        self._cursor = 0
        # Events of a job that was published after the subscription tell of its first return.
        self._due = bool(published.jid) and (look_first or bus is None)
        self._look_at = time.monotonic() + POLL_S
        self._blind_poll_s = FIRST_BLIND_POLL_S
        self._lost_since: float | None = None
        self.expect(published.minions)

    # -- for callers -------------------------------------------------------------------------

    @property
    def silent(self) -> set[str]:
        """The expected minions that have not returned."""
        return self.minions - self.returned

    @property
    def waiting(self) -> set[str]:
        """The silent minions that may still return in time."""
        return self._deadlines.keys() | self._asked.keys()

    @property
    def done(self) -> bool:
        return not self._deadlines and not self._asked and not self._due

    def expect(self, minions: Iterable[str]) -> None:
        """Wait for these minions too; their time begins now."""
        deadline = time.monotonic() + self._timeout_s
        for minion_id in minions:
            if minion_id not in self.minions:
                self.minions.add(minion_id)
                self._deadlines[minion_id] = deadline

    def __iter__(self) -> Iterator[Result]:
        try:
            while not self.done:
                yield from self.step()
        finally:
            self.close()

    def step(self, most_s: float | None = None) -> list[Result]:
        """Wait for the next results, at most `most_s` seconds; often there are none yet.

        Raises TransportError when the master stays away for a minute.
        """
        if not self._due:
            self._wait(most_s)
        results = self._look() if self._due else []
        if self._lost_since is None:
            self._judge()
        return results

    def close(self) -> None:
        """Let go of the event bus."""
        if self._bus is not None:
            self._bus.close()
            self._bus = None

    # -- waiting -----------------------------------------------------------------------------

    def _wait(self, most_s: float | None) -> None:
        """Sleep until an event of this job, the next deadline or the next look is due."""
        now = time.monotonic()
        look_at = min([self._look_at, *self._asked.values()])
        wait_s = max(0.0, min([look_at, *self._deadlines.values()]) - now)
        if most_s is not None:
            wait_s = min(wait_s, most_s)
        if self._bus is None:
            gevent.sleep(wait_s)
        else:
            event = self._bus.next(wait_s)
            while event is not None:  # all that have arrived are answered by one look
                self._note(event[0])
                event = self._bus.next(0)
        if time.monotonic() >= look_at:
            self._due = True

    def _note(self, tag: str) -> None:
        if tag.startswith(f"{tags.job(self.jid)}/ret/"):
            self._due = True

    def _schedule_look(self) -> None:
        if self._bus is not None and not self._asked:
            pause_s = POLL_S
        else:
            pause_s = self._blind_poll_s
            self._blind_poll_s = min(POLL_S, 2 * pause_s)
        self._look_at = time.monotonic() + pause_s

    # -- looking -----------------------------------------------------------------------------

    def _look(self) -> list[Result]:
        """Read the next page of the store, and what is known of those that are overdue."""
        page = self._read()
        if page is None:
            return []
        self._due = page.more
        if page.results and self._bus is None:
            self._blind_poll_s = FIRST_BLIND_POLL_S
        self._schedule_look()
        self._cursor = page.cursor
        for result in page.results:
            self._deadlines.pop(result.id, None)
            self._asked.pop(result.id, None)
            self.minions.add(result.id)
            self.returned.add(result.id)
        self.expect(page.minions)
        if page.liveness is not None:
            self._heard = page.liveness.number
            self._take_states(page.liveness.minions)
        return page.results

    def _read(self) -> Page | None:
        """A page, or None while the master is away; its absence stops everybody's clock."""
        ask = Ask(self._heard, self._gather_s) if self._asked else None
        try:
            page = self._follow(self.jid, self._cursor, ask)
            if ask is not None and page.liveness is None and self._find_job is not None:
                self._take_states(self._find(self._find_job))
        except RequestTimeout as error:
            self._lost(error)
            return None
        except StoreError as error:  # a full disk, say: the store works again when the disk does
            self._lost(error)
            gevent.sleep(POLL_S)
            return None
        if self._lost_since is not None:
            self._back_after(time.monotonic() - self._lost_since)
        return page

    def _lost(self, error: GreensaltError) -> None:
        now = time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
            self._finds = None  # answers to its questions may be lost
            log.warning("%s; waiting for the master to come back", error)
        elif now - self._lost_since > LOST_S:
            raise TransportError(
                f"the master has been away for {LOST_S:g} s while job {self.jid} was running"
            ) from error

    def _back_after(self, away_s: float) -> None:
        self._lost_since = None
        self._due = True
        for moments in (self._deadlines, self._asked):
            for minion_id in moments:
                moments[minion_id] += away_s

    # -- silent minions ----------------------------------------------------------------------

    def _judge(self) -> None:
        """Ask about those whose deadline passed, and give up those whose time is over."""
        now = time.monotonic()
        overdue = [each for each, deadline in self._deadlines.items() if deadline <= now]
        for minion_id in [each for each, until in self._asked.items() if until <= now]:
            del self._asked[minion_id]
        for minion_id in overdue:
            del self._deadlines[minion_id]
            if self._find_job is not None:
                self._asked[minion_id] = now + self._gather_s
        if overdue and self._asked:
            self._heard = 0  # what was said before their time counts now
            self._blind_poll_s = FIRST_BLIND_POLL_S
            self._due = True

    def _take_states(self, states: Mapping[str, str]) -> None:
        now = time.monotonic()
        for minion_id in states.keys() & self._asked.keys():
            if states[minion_id] == "running":
                self._asked[minion_id] = now + BELIEVED_S
                if self.on_running is not None:
                    self.on_running(minion_id)
            else:
                pause_s = 0.0 if states[minion_id] == "silent" else GRACE_S
                self._asked[minion_id] = min(self._asked[minion_id], now + pause_s)

    def _find(self, find_job: Callable[[str, list[str]], Published]) -> dict[str, str]:
        """Ask the minions from here, for a master that does not."""
        if self._finds is None:
            self._finds = FindJobs(
                self.jid,
                find_job,
                self._follow,
                timeout_s=self._timeout_s,
                gather_s=self._gather_s,
            )
        return self._finds.states(self._asked)
