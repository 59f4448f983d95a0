"""Native threads for functions that may block, and the way back to the hub.

Modules get a pool of their own: a user's function that hangs for an hour must not take the threads
that keys, names and files of the minion itself need.
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


class Home:
    """The hub that a minion lives on, and native threads beside it. Make it on that hub.

    `run(fn, ...)` runs fn on the hub wherever it is called from; `aside(fn, ...)` in a native
    thread. Both wait for the result, and what fn raises is raised to the caller.
    """

    def __init__(self, most_threads: int = MOST_THREADS) -> None:
        self._thread = threading.get_ident()
        self._hub = HubCalls()
        self._most_threads = most_threads
        self._pool: ThreadPool | None = None

    def is_here(self) -> bool:
        """Whether the caller is on the hub's own thread."""
        return threading.get_ident() == self._thread

    def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self.is_here():
            return fn(*args, **kwargs)
        done: Future[T] = Future()
        self._hub.call(gevent.spawn, _settle, done, fn, args, kwargs)
        return done.result()

    def aside(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if not self.is_here():
            return fn(*args, **kwargs)
        if self._pool is None:
            self._pool = ThreadPool(self._most_threads)
        # The outcome travels as a value: gevent's pool would print a traceback besides raising it.
        done: Future[T] = Future()
        self._pool.apply(_settle, (done, fn, args, kwargs))
        return done.result()


def _settle(done: Future[T], fn: Callable[..., T], args: Any, kwargs: Any) -> None:
    try:
        done.set_result(fn(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001  # handed on to whoever waits
        done.set_exception(error)
