"""Greenlets with owners, and the way off the hub.

Every greenlet of a daemon belongs to a `Crew`: its death is logged and counted, and where the
daemon can't live without it, the crew says so to whoever waits on `failed`. Work that would block
the hub (RSA, file trees, DNS) goes through `offload` to the hub's native threads.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal, ParamSpec, TypeVar

import gevent
from gevent.event import AsyncResult

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Fatal = Literal["nothing", "death", "end"]  # what of a greenlet its owner can't live with


class Crew:
    """The greenlets of one owner, started in order and stopped in reverse.

    `failed` is set to the reason as soon as a vital greenlet ends, by error or by return: a daemon
    waits on it. `deaths` counts every greenlet that died of an exception.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.failed: AsyncResult[str] = AsyncResult()
        self.deaths = 0
        self._members: list[gevent.Greenlet[..., Any]] = []
        self.stopping = False

    def spawn(
        self, name: str, fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> gevent.Greenlet[..., Any]:
        """Start a greenlet whose death by an exception is logged and counted."""
        return self._start(name, "nothing", fn, args, kwargs)

    def spawn_vital(
        self, name: str, fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> gevent.Greenlet[..., Any]:
        """Start a greenlet that the daemon can't live without."""
        return self._start(name, "end", fn, args, kwargs)

    def spawn_errand(
        self, name: str, fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> gevent.Greenlet[..., Any]:
        """Start a vital greenlet that may return once its work is done."""
        return self._start(name, "death", fn, args, kwargs)

    def _start(
        self, name: str, fatal: Fatal, fn: Callable[..., object], args: Any, kwargs: Any
    ) -> gevent.Greenlet[..., Any]:
        greenlet = gevent.Greenlet(self._run, name, fatal, fn, args, kwargs)
        greenlet.name = f"{self.name}/{name}"
        self._members.append(greenlet)
        greenlet.rawlink(self._ended)
        greenlet.start()
        return greenlet

    def _run(self, name: str, fatal: Fatal, fn: Callable[..., object], args: Any, kw: Any) -> None:
        reason = f"{self.name}/{name} ended"
        try:
            fn(*args, **kw)
            if fatal != "end":
                return
        except gevent.GreenletExit:
            if self.stopping:
                return
            reason = f"{self.name}/{name} was killed"
        except Exception as error:
            self.deaths += 1
            reason = f"{self.name}/{name} died: {type(error).__name__}: {error}"
            log.exception("%s", reason)
        if fatal != "nothing" and not self.stopping and not self.failed.ready():
            self.failed.set(reason)

    def _ended(self, greenlet: gevent.Greenlet[..., Any]) -> None:
        if greenlet in self._members:
            self._members.remove(greenlet)

    def __len__(self) -> int:
        return len(self._members)

    def stop(self, timeout_s: float = 1.0) -> None:
        """Kill the members, the last one started first, and wait until they are gone.

        Those that don't die in time are told and left behind.
        """
        self.stopping = True
        members = list(reversed(self._members))
        with within(timeout_s):
            gevent.killall(members)
        for member in members:
            if not member.dead:
                log.error("%s does not end", member.name)
        self._members = [member for member in self._members if not member.dead]


class OnCall:
    """Has `work()` done in a vital greenlet whenever it is called; in between there is none.

    One that waits takes some 9 KiB, and a process may have a thousand minions. A call before
    `start` is kept for then; one while `work` runs has it run once more.
    """

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self._name = name
        self._work = work
        self._crew: Crew | None = None
        self._wanted = self.running = False

    def start(self, crew: Crew) -> None:
        """Work from now on, as one of this crew, until it is stopped."""
        self._crew = crew
        self._begin()

    def call(self) -> None:
        """There is work to do."""
        self._wanted = True
        self._begin()

    def _begin(self) -> None:
        crew = self._crew
        if self._wanted and not self.running and crew is not None and not crew.stopping:
            self.running = True
            crew.spawn_errand(self._name, self._run)

    def _run(self) -> None:
        try:
            while self._wanted:
                self._wanted = False
                self._work()
        finally:
            self.running = False


def offload(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a native thread of the hub's pool and wait for its result.

    Only the calling greenlet waits. What the function raises is raised here.
    """
    # The exception travels as a value: gevent's pool would print its traceback besides raising it.
    result, error = gevent.get_hub().threadpool.apply(_caught, (fn, args, kwargs))
    if error is not None:
        try:
            raise error
        finally:
            # The error knows this frame, and the frame must not know the error: the two would keep
            # what was passed in, megabytes perhaps, until the garbage collector comes by.
            del error
    return result  # type: ignore[no-any-return]  # the pool forgets the type of fn's result


def have_threads(number: int) -> None:
    """Let `offload` run so many functions at once, and ten more."""
    gevent.get_hub().threadpool.maxsize = 10 + number


def _caught(fn: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, BaseException | None]:
    try:
        return fn(*args, **kwargs), None
    except Exception as error:  # noqa: BLE001  # raised again by `offload`
        return None, error


def within(timeout_s: float | None) -> AbstractContextManager[object, bool]:
    """A block that is left without an error after `timeout_s` seconds (None: never)."""
    # gevent knows False as "silently", and then swallows its own timeout; its stubs don't.
    return gevent.Timeout(timeout_s, False)  # type: ignore[arg-type,return-value]


class HubCalls:
    """A way into the hub for native threads: `call(fn, *args)` runs fn there soon, in order.

    Must be made in the hub's own thread. fn must not block.
    """

    def __init__(self) -> None:
        self._loop = gevent.get_hub().loop

    def call(self, fn: Callable[..., object], *args: Any) -> None:
        self._loop.run_callback_threadsafe(fn, *args)


class Backoff:
    """Waiting times that double from `first_s` to `most_s`, each drawn from its upper half."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self.first_s = first_s
        self.most_s = most_s
        self._next_s = first_s

    def next_s(self) -> float:
        """The seconds to wait before the next try."""
        wait_s = self._next_s
        self._next_s = min(self.most_s, self._next_s * 2)
        return wait_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin anew, after a success."""
        self._next_s = self.first_s
