"""Native threads for functions that may block, and the way back to the hub.

Modules get a pool of their own: a user's function that hangs for an hour must not take the threads
that keys, names and files of the daemon itself need.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

import gevent
from gevent.threadpool import ThreadPool

from greensalt.green import HubCalls

MOST_THREADS = 64
"""Functions that may block at once; further ones wait for a thread. An unused one costs nothing."""

P = ParamSpec("P")
T = TypeVar("T")


class _Errand:
    """What one native thread does for one greenlet, and what it has asked the hub for."""

    def __init__(self) -> None:
        self._cancelled = False
        self._helpers: set[gevent.Greenlet[..., Any]] = set()

    def start(self, done: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        """Run fn in a greenlet of the hub; called on the hub."""
        if self._cancelled:
            done.set_exception(gevent.GreenletExit("the job has been ended"))
            return
        helper = gevent.spawn(_settle, done, fn, args, kwargs)
        self._helpers.add(helper)
        helper.rawlink(self._helpers.discard)

    def cancel(self) -> None:
        """End what runs on the hub, and let nothing more begin; called on the hub."""
        self._cancelled = True
        for helper in list(self._helpers):
            helper.kill(block=False)


class Home:
    """The hub that a daemon lives on, and native threads beside it. Make it on that hub.

    `run(fn, ...)` runs fn on the hub wherever it is called from; `aside(fn, ...)` in a native
    thread. Both wait for the result, and what fn raises is raised to the caller. `begin(fn, ...)`
    lets fn run on the hub meanwhile; what it gives back waits for the result when it is called.

    A native thread can't be interrupted. When the greenlet that waits for one is killed, whatever
    the thread has going on the hub (a command, a request) is killed with it, and the thread gets
    GreenletExit for this and for each further call.
    """

    def __init__(self, most_threads: int = MOST_THREADS) -> None:
        self._thread = threading.get_ident()
        self._hub = HubCalls()
        self._most_threads = most_threads
        self._pool: ThreadPool | None = None
        self._local = threading.local()

    def is_here(self) -> bool:
        """Whether the caller is on the hub's own thread."""
        return threading.get_ident() == self._thread

    def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self.is_here():
            return fn(*args, **kwargs)
        return self.begin(fn, *args, **kwargs)()

    def begin(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        done: Future[T] = Future()
        if self.is_here():
            helper = gevent.spawn(_settle, done, fn, args, kwargs)

            def wait() -> T:
                helper.join()
                return done.result()

            return wait
        # A thread that somebody else started has no errand: nothing ends it early.
        errand = getattr(self._local, "errand", None) or _Errand()
        self._hub.call(errand.start, done, fn, args, kwargs)
        return done.result

    def aside(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if not self.is_here():
            return fn(*args, **kwargs)
        if self._pool is None:
            self._pool = ThreadPool(self._most_threads)
        # The outcome travels as a value: gevent's pool would print a traceback besides raising it.
        done: Future[T] = Future()
        errand = _Errand()
        try:
            self._pool.apply(self._go, (errand, done, fn, args, kwargs))
        except BaseException:
            errand.cancel()
            raise
        return done.result()

    def _go(
        self, errand: _Errand, done: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any
    ) -> None:
        """Run fn in this native thread."""
        self._local.errand = errand
        try:
            _settle(done, fn, args, kwargs)
        finally:
            self._local.errand = None


def _settle(done: Future[T], fn: Callable[..., T], args: Any, kwargs: Any) -> None:
    try:
        done.set_result(fn(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001  # handed on to whoever waits
        done.set_exception(error)
