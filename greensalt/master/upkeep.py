"""What the master does by itself: rotation when asked for, the end of old jobs.

Source: docs/protocol.md 4.7, 8.2.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import gevent

from greensalt.config import MasterConfig
from greensalt.errors import StoreError
from greensalt.master.publishkey import PublishKey
from greensalt.store.jobs import JobStore
from greensalt.transport.bus import EventPublisher
from greensalt.wire import tags

log = logging.getLogger(__name__)

LOOK_S = 1.0
ROTATION_FILE = ".dfn"  # written by the key tool, under Salt's name for it


class Upkeep:
    """One greenlet that looks every second for a wanted rotation, and prunes each loop_interval."""

    def __init__(
        self,
        config: MasterConfig,
        store: JobStore,
        bus: EventPublisher,
        publish_key: PublishKey,
        accepted: Callable[[], Collection[str]],
        forget: Callable[[str], None],
        ping_all: Callable[[], None],
    ) -> None:
        self._config = config
        self._store = store
        self._bus = bus
        self._publish_key = publish_key
        self._accepted = accepted
        self._forget = forget
        self._ping_all = ping_all
        self._known: frozenset[str] = frozenset()
        self.rotations = 0

    def run(self) -> None:
        """Until killed."""
        self._known = frozenset(self._accepted())
        pruned = time.monotonic()
        while True:
            gevent.sleep(LOOK_S)
            self._follow_keys()
            self._rotate_if_wanted()
            if time.monotonic() - pruned >= self._config.loop_interval:
                pruned = time.monotonic()
                self._prune()

    def _follow_keys(self) -> None:
        """Tell the bus which keys were accepted or removed, and drop what belonged to the latter.

        The key tool works on files: this is how the running master learns of it.
        """
        now = frozenset(self._accepted())
        for minion_id in sorted(now - self._known):
            self._fire_key("accepted", minion_id)
        for minion_id in sorted(self._known - now):
            self._forget(minion_id)
            self._fire_key("delete", minion_id)
        self._known = now

    def _fire_key(self, act: str, minion_id: str) -> None:
        self._bus.fire(tags.KEY, {"result": True, "act": act, "id": minion_id})

    def _rotate_if_wanted(self) -> None:
        """One rotation, however many keys were deleted or rejected since the last look."""
        path = Path(self._config.cachedir) / ROTATION_FILE
        if not os.path.lexists(path):
            return
        path.unlink(missing_ok=True)
        if not self._config.rotate_aes_key:
            return
        self._publish_key.rotate()  # on the hub: no publish is between its serial and its key
        self.rotations += 1
        event: dict[str, Any] = {"rotate_aes_key": True}
        self._bus.fire(tags.KEY_ROTATION, event)
        if self._config.ping_on_rotate:
            self._ping_all()

    def _prune(self) -> None:
        try:
            removed = self._store.prune(
                self._config.keep_jobs_seconds, self._config.keep_jobs_bytes
            )
        except StoreError as error:
            log.error("old jobs could not be removed: %s", error)
            return
        if removed:
            log.info("%d old jobs were removed", removed)
