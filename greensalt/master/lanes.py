"""Lanes: requests of one kind wait for each other, and never for those of another kind.

Each lane does a number of requests at once, its width, and lets a number wait. What is more is
dropped and counted: its sender asks again. The widths are the priorities: they share out the hub
and the native threads, in the order sign-in, return, publish, pillar and files, runner. A lane
whose work can be done elsewhere has the places there as well.

Source: docs/architecture.md, "Lanes".
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final

from gevent.event import AsyncResult

from greensalt.green.histogram import Histogram

WAITING_BYTES_MOST: Final = 32 << 20  # of the requests that wait in one lane


class Place(Enum):
    """Where a request has its turn."""

    HERE = auto()
    ELSEWHERE = auto()
    NOWHERE = auto()  # dropped


class Lane:
    """`width` requests at once and `waiting_most` that wait.

    Counters: `served`, `dropped`; `queued` is how long requests waited. `reserve_elsewhere` takes
    a place elsewhere when there is one; `narrow` tells that elsewhere is open, when only one
    request at a time is done here: its processor time is the hub's.
    """

    def __init__(
        self, name: str, width: int, waiting_most: int, bytes_most: int = WAITING_BYTES_MOST
    ) -> None:
        self.name = name
        self.width = width
        self.waiting_most = waiting_most
        self.busy = self.served = self.dropped = 0
        self.queued = Histogram()
        self.reserve_elsewhere: Callable[[], bool] = lambda: False
        self.narrow: Callable[[], bool] = lambda: False
        self._bytes_most = bytes_most
        self._bytes = 0
        self._waiting: collections.deque[AsyncResult[Place]] = collections.deque()

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._waiting)

    def enter(self, size: int, *, may_leave: bool = False) -> Place:
        """Wait for the turn of a request of `size` bytes.

        HERE has to be given back with `leave`; ELSEWHERE, only for one that `may_leave`, is a place
        that was reserved there.
        """
        if not self._waiting:
            if may_leave and self.reserve_elsewhere():
                return self._served(Place.ELSEWHERE, 0.0)
            if self._is_free():
                self.busy += 1
                return self._served(Place.HERE, 0.0)
        if len(self._waiting) >= self.waiting_most or self._bytes + size > self._bytes_most:
            self.dropped += 1
            return Place.NOWHERE
        begun = time.monotonic()
        place = self._wait(size)
        if place is Place.ELSEWHERE and not may_leave:
            raise AssertionError(f"{self.name}: all or none of a lane may leave")
        return self._served(place, time.monotonic() - begun)

    def stay(self) -> None:
        """Take a turn here for one that came back from elsewhere undone: beyond the width."""
        self.busy += 1

    def leave(self) -> None:
        """The turn is over: the next one."""
        self.busy -= 1
        self.advance()

    def advance(self) -> None:
        """Let requests go on for which there is a place now."""
        while self._waiting:
            if self.reserve_elsewhere():
                place = Place.ELSEWHERE
            elif self._is_free():
                self.busy += 1
                place = Place.HERE
            else:
                return
            self._waiting.popleft().set(place)

    def figures(self) -> dict[str, Any]:
        """What is to be known of it, as plain data."""
        return {
            "busy": self.busy,
            "waiting": self.waiting,
            "served": self.served,
            "dropped": self.dropped,
            "queued": self.queued.figures(),
        }

    def _wait(self, size: int) -> Place:
        turn: AsyncResult[Place] = AsyncResult()
        self._waiting.append(turn)
        self._bytes += size
        try:
            return turn.get() or Place.NOWHERE
        finally:
            self._bytes -= size

    def _is_free(self) -> bool:
        return self.busy < (1 if self.narrow() else self.width)

    def _served(self, place: Place, queued_s: float) -> Place:
        self.served += 1
        self.queued.add(queued_s)
        return place
