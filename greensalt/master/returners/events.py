"""The events of the master's bus, on their way to returners: into the outbox, and no farther.

Listening costs the bus a pattern and a copy. A greenlet writes what came in, many events at a time;
what it can't keep up with, or what the store refuses for too long, is dropped, counted and told.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from fnmatch import translate
from itertools import islice
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from greensalt.config import MasterConfig
from greensalt.errors import StoreError, Unstorable
from greensalt.green import Crew
from greensalt.store.database import Database
from greensalt.store.eventbox import FILE, TABLES, BusEvent, EventBox
from greensalt.transport.bus import EventPublisher
from greensalt.wire import tags
from greensalt.wire.dialect import pack_bin

log = logging.getLogger(__name__)

MOST: Final = 20_000
MOST_BYTES: Final = 32 << 20
"""Of events that are not written yet."""
WRITE_MOST: Final = 1000
GATHER_S: Final = 0.05
TELL_S: Final = 1.0
LOCKED_S: Final = 1.0
"""That a commit waits for a lock of somebody else's."""


class EventRecorder:
    """Writes the events that returners are to get into their outbox, `box`."""

    def __init__(self, config: MasterConfig, bus: EventPublisher) -> None:
        self._bus = bus
        self._wanted = (
            _one_of(config.event_return_whitelist) if config.event_return_whitelist else None
        )
        self._unwanted = _one_of(config.event_return_blacklist)
        path = Path(config.cachedir) / FILE
        self._database = Database(path, "normal", LOCKED_S, TABLES)
        self.box = EventBox(self._database, config.keep_events_bytes)
        self._names = config.event_return
        self._waiting: deque[BusEvent] = deque()
        self._bytes = 0
        self._dropped = 0  # since the last write
        self._told_at = -TELL_S
        self._trouble = ""
        self._wake = Event()
        self._writing = BoundedSemaphore(1)
        self._crew = Crew("events for returners")
        self._deaf: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Record from now on; raises StoreError."""
        for name, waiting in self.box.open(self._names).items():
            log.warning("%d events waited for the returner %s, which is gone", waiting, name)
        self._deaf = self._bus.listen(self._is_wanted, self._take)
        self._crew.spawn_vital("recorder", self._record)

    @property
    def failed(self) -> tuple[Any, ...]:
        """Those that are set to the reason when it can't go on."""
        return self._crew.failed, self._database.dead

    def stop(self) -> None:
        """Write what is left; it is sent after the next start."""
        self._deaf()
        with self._writing:  # or what is being written would be written twice
            self._crew.stop()
        while self._waiting and self._write():
            pass
        if self._waiting:
            log.error("%d events for returners could not be kept", len(self._waiting))
        self._database.close()

    # -- in the greenlet that fires ----------------------------------------------------------

    def _is_wanted(self, tag: str) -> bool:
        if tag.startswith(tags.SYNC_PREFIX):
            return False
        if self._wanted is not None and not self._wanted.match(tag):
            return False
        return not self._unwanted.match(tag)

    def _take(self, tag: str, data: dict[str, Any]) -> None:
        event = BusEvent(tag, time.time(), pack_bin(data))
        if len(self._waiting) >= MOST or self._bytes + event.size > MOST_BYTES:
            self._drop(tag, 1, "they come faster than they can be kept")
            return
        self._waiting.append(event)
        self._bytes += event.size
        self._wake.set()

    def _drop(self, tag: str, count: int, why: str) -> None:
        self._dropped += count
        now = time.monotonic()
        if now - self._told_at >= TELL_S:
            self._told_at = now
            log.error(
                "%d events for returners are dropped, %s among them: %s", self._dropped, tag, why
            )

    # -- the recorder ------------------------------------------------------------------------

    def _record(self) -> None:
        while True:
            self._wake.wait()
            gevent.sleep(GATHER_S)
            self._wake.clear()
            while self._waiting:
                with self._writing:
                    is_written = self._write()
                if not is_written:
                    gevent.sleep(TELL_S)

    def _write(self) -> bool:
        """Put the first events into the outbox; False when the store does not take them now."""
        events = list(islice(self._waiting, WRITE_MOST))
        dropped = self._dropped
        try:
            self.box.add(events, dropped)
        except Unstorable as error:
            dropped = 0
            self._drop(events[0].tag, len(events), str(error))
        except StoreError as error:
            if str(error) != self._trouble:
                log.error("events for returners wait for the store: %s", error)
            self._trouble = str(error)
            return False
        self._trouble = ""
        self._dropped -= dropped
        for event in events:
            self._waiting.popleft()
            self._bytes -= event.size
        return True


def _one_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """What matches tags as Salt does: shell patterns, `*` across slashes; none match nothing."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")
