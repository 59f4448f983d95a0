"""Many minions in one process: real ones, for tests, demonstrations and load.

Each has an id, keys, outbox, journal and bus of its own; they share what is the same for all.

Source: docs/operations.md, "Many minions in one process".
"""

from __future__ import annotations

import logging
import resource
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import gevent
from gevent.event import AsyncResult, Event

from greensalt.config import MinionConfig
from greensalt.errors import ConfigError, SignInRefused
from greensalt.green import offload
from greensalt.green.watchdog import Watchdog
from greensalt.minion.daemon import Minion
from greensalt.minion.shared import Shared
from greensalt.store.keyfiles import own_key
from greensalt.transport.sockets import new_context

log = logging.getLogger(__name__)

COUNT_MOST = 9999  # four digits
SOCKETS_EACH = 8  # REQ, SUB, its monitor (2), PUB, PULL; some are there twice while one is replaced
FILES_EACH = 16  # a socket has a descriptor, and its connections have more
FILES_BESIDE = 200
STARTING_MOST = 20  # minions that sign in at once; one that waits for acceptance holds up nobody
NEXT_S = 0.2


def members(config: MinionConfig, count: int) -> list[MinionConfig]:
    """The configuration of each: `<id>-0001` and so on, with directories of its own."""
    if not 0 < count <= COUNT_MOST:
        raise ConfigError(f"--count {count}: from 1 to {COUNT_MOST} minions fit in one process")
    ids = [f"{config.id}-{number:04}" for number in range(1, count + 1)]
    return [
        config.replace(
            id=each,
            pki_dir=config.pki_dir / "fleet" / each,
            cachedir=config.cachedir / "fleet" / each,
        )
        for each in ids
    ]


def allow_files(count: int) -> None:
    """Raise the limit of open files to what `count` minions need; ConfigError if it can't be."""
    needed = count * FILES_EACH + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"{count} minions need {needed} open files, the limit of this process is {hard}:"
            " raise it (ulimit -Hn, LimitNOFILE=) or run fewer"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Fleet:
    """Starts minions side by side and ends them together."""

    def __init__(self, minions: Sequence[Minion]) -> None:
        self.minions = list(minions)
        self._ended: AsyncResult[tuple[int, str]] = AsyncResult()
        self._left = len(self.minions)
        self._starting = 0
        self._changed = Event()
        self._code = 0
        self.ready = 0

    def start(self, announce: Callable[[str], object]) -> None:
        """Start all; `announce` gets one line once the last of them is ready."""
        for minion in self.minions:
            self._starting += 1
            gevent.spawn(self._start_one, minion, announce)
            minion.when_ended(partial(self._one_ended, minion))
            while self._starting >= STARTING_MOST:
                self._changed.clear()
                if not self._changed.wait(NEXT_S):
                    break

    def _start_one(self, minion: Minion, announce: Callable[[str], object]) -> None:
        try:
            minion.start()
            self.ready += 1
            if self.ready == len(self.minions):
                first, last = self.minions[0].id, self.minions[-1].id
                announce(f"greensalt minions {first} to {last} are ready: {self.ready} of them")
        except SignInRefused:
            pass  # `wait` of the minion says so
        except Exception as error:
            log.exception("the minion %s can't start", minion.id)
            minion.end(1, f"{type(error).__name__}: {error}")
        finally:
            self._starting -= 1
            self._changed.set()

    def _one_ended(self, minion: Minion) -> None:
        """One that ends leaves the others alone; the last one ends the fleet."""
        code, reason = minion.wait()
        if reason:
            log.critical("the minion %s ends: %s", minion.id, reason)
        self._code = self._code or code
        self._left -= 1
        if not self._left:
            self._ended.set((self._code, "no minion is left" if self._code else ""))

    def wait(self) -> tuple[int, str]:
        """Wait until all have ended; (exit code of the first that failed, reason)."""
        ended = self._ended.get()
        assert ended is not None
        return ended

    def stop(self) -> None:
        """End all; safe to be called from a signal handler."""
        for minion in self.minions:
            minion.stop()

    def close(self) -> None:
        """Close all, side by side."""
        gevent.joinall([gevent.spawn(minion.close) for minion in self.minions])


def run(
    config: MinionConfig, count: int, shared_key: Path | None, announce: Callable[[str], object]
) -> int:
    """Run `count` minions until SIGTERM or SIGINT; returns the exit code.

    With `shared_key`, a directory, all have the key pair in it, which is made if there is none.
    """
    configs = members(config, count)
    allow_files(count)
    watchdog = Watchdog()
    watchdog.start()
    key = offload(own_key, shared_key, "minion") if shared_key is not None else None
    context = new_context(max_sockets=count * SOCKETS_EACH + 100)
    shared = Shared(config, key)
    fleet = Fleet([Minion(each, context, shared) for each in configs])
    for signum in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(signum, fleet.stop)
    starting = gevent.spawn(fleet.start, announce)
    code, reason = fleet.wait()
    starting.kill()
    fleet.close()
    watchdog.stop()
    offload(context.destroy, 0)
    if reason:
        log.critical("the minions end: %s", reason)
    return code
