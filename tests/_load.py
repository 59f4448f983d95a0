"""What a test under load watches: the hub, the memory, and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Self

import gevent
import psutil

MIB: Final = 1 << 20


def wait_for(look: Callable[[], object], timeout_s: float = 10) -> None:
    """Let the other greenlets run until `look` says something true."""
    with gevent.Timeout(timeout_s):
        while not look():
            gevent.sleep(0.005)


def rss() -> int:
    """The bytes of memory that this process occupies."""
    return int(psutil.Process().memory_info().rss)


class Lateness:
    """How late the hub was at worst while the block ran, in seconds."""

    def __enter__(self) -> Self:
        self.worst_s = 0.0
        self._greenlet = gevent.spawn(self._run)
        gevent.sleep(0)
        return self

    def _run(self) -> None:
        while True:
            before = time.monotonic()
            gevent.sleep(0.005)
            self.worst_s = max(self.worst_s, time.monotonic() - before - 0.005)

    def __exit__(self, *_: object) -> None:
        gevent.sleep(0.02)
        self._greenlet.kill()
