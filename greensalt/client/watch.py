"""Following one job until every expected minion has returned or is known not to.

The truth is the master's job store, read by cursor; the event bus only says when to look, and once
a second it is looked anyway. Minions that stay silent are asked with `saltutil.find_job`, each
time after twice the time. Source: docs/protocol.md 8.4, 12.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

import gevent

from greensalt.client.link import Page, Published, Result
from greensalt.errors import GreensaltError, RequestTimeout, StoreError, TransportError
from greensalt.wire import tags

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
FIRST_BLIND_POLL_S: Final = 0.05
"""Between the first two looks when there is no event bus; doubled until it is POLL_S."""
IDLE_GRACE_S: Final = 1.0
"""For the return of a minion that says it does not run the job: it may be on its way."""
LONGEST_CHECK_S: Final = 60.0
LOST_S: Final = 60.0
"""How long a master may be away in the middle of a job."""


class Bus(Protocol):
    """What is needed of transport.bus.BusClient."""

    def subscribe(self, prefix: str) -> None: ...
    def next(self, timeout_s: float | None) -> tuple[str, dict[str, object]] | None: ...
    def close(self) -> None: ...


class _Check:
    """A `saltutil.find_job` under way: whom it asks and who has not answered."""

    __slots__ = ("cursor", "jid", "silent", "until")

    def __init__(self, jid: str, silent: set[str], until: float) -> None:
        self.jid = jid
        self.silent = silent
        self.until = until
        self.cursor = 0


class JobWatch:
    """One published job. Iterate over it for the results, each as soon as the master has it.

    A job that no minion matches has no `jid`, the reason in `error`, and ends at once.
    `minions` are the expected ones, `missing` those the master knows no key of. After the end
    `silent` holds the minions that did not return. `on_running` is called with the id of a minion
    that says it still works on the job. Without `find_job` silent minions are not asked.
    """

    def __init__(
        self,
        published: Published,
        follow: Callable[[str, int], Page],
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
        self._checked: dict[str, int] = {}
        self._idle: set[str] = set()
        self._check: _Check | None = None
        self._cursor = 0
        # Events of a job that was published after the subscription tell of its first return.
        self._due = bool(published.jid) and (look_first or bus is None)
        self._check_due = False
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
        return self._deadlines.keys() | (self._check.silent if self._check else set())

    @property
    def done(self) -> bool:
        return not self._deadlines and self._check is None and not self._due

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
        if self._check is not None and self._check_due:
            self._take_answers(self._check)
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
        moments = [self._look_at, *self._deadlines.values()]
        if self._check is not None:
            moments.append(self._check.until)
        if most_s is not None:
            moments.append(now + most_s)
        wait_s = max(0.0, min(moments) - now)
        if self._bus is None:
            gevent.sleep(wait_s)
        else:
            event = self._bus.next(wait_s)
            while event is not None:  # all that have arrived are answered by one look
                self._note(event[0])
                event = self._bus.next(0)
        if time.monotonic() >= self._look_at:
            self._due = self._check_due = True

    def _note(self, tag: str) -> None:
        if tag.startswith(f"{tags.job(self.jid)}/ret/"):
            self._due = True
        elif self._check is not None and tag.startswith(f"{tags.job(self._check.jid)}/ret/"):
            self._check_due = True

    def _schedule_look(self) -> None:
        if self._bus is not None:
            pause_s = POLL_S
        else:
            pause_s = self._blind_poll_s
            self._blind_poll_s = min(POLL_S, 2 * pause_s)
        self._look_at = time.monotonic() + pause_s

    # -- looking -----------------------------------------------------------------------------

    def _look(self) -> list[Result]:
        """Read the next page of the store."""
        page = self._read(self.jid, self._cursor)
        if page is None:
            return []
        self._due = page.more
        if page.results:
            self._blind_poll_s = FIRST_BLIND_POLL_S
        self._schedule_look()
        self._cursor = page.cursor
        for result in page.results:
            self._forget(result.id)
            self.minions.add(result.id)
            self.returned.add(result.id)
        self.expect(page.minions)
        return page.results

    def _read(self, jid: str, cursor: int) -> Page | None:
        """A page, or None while the master is away; its absence stops everybody's clock."""
        try:
            page = self._follow(jid, cursor)
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
            log.warning("%s; waiting for the master to come back", error)
        elif now - self._lost_since > LOST_S:
            raise TransportError(
                f"the master has been away for {LOST_S:g} s while job {self.jid} was running"
            ) from error

    def _back_after(self, away_s: float) -> None:
        self._lost_since = None
        self._due = self._check_due = True
        for minion_id in self._deadlines:
            self._deadlines[minion_id] += away_s
        if self._check is not None:
            self._check.until += away_s

    def _forget(self, minion_id: str) -> None:
        self._deadlines.pop(minion_id, None)
        if self._check is not None:
            self._check.silent.discard(minion_id)

    # -- silent minions ----------------------------------------------------------------------

    def _judge(self) -> None:
        """End the check whose time is over, and begin one for those whose deadline passed."""
        now = time.monotonic()
        if self._check is not None and (not self._check.silent or self._check.until <= now):
            self._check = None  # who has not answered is given up
        overdue = [each for each, deadline in self._deadlines.items() if deadline <= now]
        if self._find_job is None:
            self._idle.update(overdue)
        for minion_id in overdue:
            if minion_id in self._idle:
                del self._deadlines[minion_id]
        overdue = [each for each in overdue if each not in self._idle]
        if overdue and self._check is None and self._find_job is not None:
            self._begin_check(overdue, self._find_job)

    def _begin_check(
        self, overdue: list[str], find_job: Callable[[str, list[str]], Published]
    ) -> None:
        try:
            published = find_job(self.jid, overdue)
        except RequestTimeout:
            self._lost_since = time.monotonic()
            self._due = True
            return
        for minion_id in overdue:
            del self._deadlines[minion_id]
            self._checked[minion_id] = self._checked.get(minion_id, 0) + 1
        if not published.jid:
            return
        if self._bus is not None:
            self._bus.subscribe(f"{tags.job(published.jid)}/")
        self._check = _Check(
            published.jid, set(overdue) & set(published.minions), time.monotonic() + self._gather_s
        )
        self._check_due = True

    def _take_answers(self, check: _Check) -> None:
        page = self._read(check.jid, check.cursor)
        if page is None:
            return
        self._check_due = page.more
        self._schedule_look()
        check.cursor = page.cursor
        for answer in page.results:
            if answer.id not in check.silent:
                continue
            check.silent.discard(answer.id)
            now = time.monotonic()
            if isinstance(answer.ret, dict) and answer.ret:
                self._deadlines[answer.id] = now + self._next_check_s(answer.id)
                if self.on_running is not None:
                    self.on_running(answer.id)
            else:
                self._idle.add(answer.id)
                self._deadlines[answer.id] = now + IDLE_GRACE_S

    def _next_check_s(self, minion_id: str) -> float:
        """The time until a minion that still runs the job is asked again."""
        doubled = self._timeout_s * float(1 << min(self._checked[minion_id], 16))
        return max(self._timeout_s, min(LONGEST_CHECK_S, doubled))
