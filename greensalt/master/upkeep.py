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
from greensalt.errors import GreensaltError
from greensalt.green import offload
from greensalt.master.publishkey import PublishKey
from greensalt.store.jobs import JobStore
from greensalt.transport.bus import EventPublisher
from greensalt.wire import tags

log = logging.getLogger(__name__)

LOOK_S = 1.0
ROTATION_FILE = ".dfn"  # written by the key tool, under Salt's name for it


class Upkeep:
    """One greenlet that looks every second for a wanted rotation, and prunes each loop_interval.

    What can't be done, because the disk is full or files can't be read, is tried again: `troubles`
    counts that. `known` are the ids whose keys were accepted at the last look.
    """

    def __init__(
        self,
        config: MasterConfig,
        store: JobStore,
        bus: EventPublisher,
        publish_key: PublishKey,
        accepted: Callable[[], Collection[str]],
        cached: Callable[[], Collection[str]],
        forget: Callable[[str], None],
        ping_all: Callable[[], None],
        remove_tokens: Callable[[], int],
    ) -> None:
        self._config = config
        self._store = store
        self._bus = bus
        self._publish_key = publish_key
        self._accepted = accepted
        self._cached = cached
        self._forget = forget
        self._ping_all = ping_all
        self._remove_tokens = remove_tokens
        self.known: frozenset[str] = frozenset()
        self.rotations = self.troubles = 0
        self._followed: frozenset[str] | None = None
        self._told: dict[str, str] = {}

    def run(self) -> None:
        """Until killed."""
        self.known = frozenset(self._accepted())
        pruned = time.monotonic()
        while True:
            gevent.sleep(LOOK_S)
            self._try("keys could not be followed", self._follow_keys)
            self._try("the publish key could not be rotated", self._rotate_if_wanted)
            if time.monotonic() - pruned >= self._config.loop_interval:
                pruned = time.monotonic()
                self._try("old jobs could not be removed", self._prune)
                self._try("old tokens could not be removed", self._prune_tokens)

    def _try(self, trouble: str, step: Callable[[], None]) -> None:
        """Do a step; what keeps it from being done is told when it changes."""
        try:
            step()
        except (GreensaltError, OSError) as error:
            self.troubles += 1
            if self._told.get(trouble) != str(error):
                self._told[trouble] = str(error)
                log.error("%s: %s", trouble, error)
        else:
            self._told.pop(trouble, None)

    def _follow_keys(self) -> None:
        """Tell the bus which keys were accepted or removed, and drop what belonged to the latter.

        The key tool works on files: this is how the running master learns of it.
        """
        now = frozenset(self._accepted())  # the same object as long as the keys are
        if now is self._followed:
            return
        for minion_id in sorted(now - self.known):
            self._fire_key("accepted", minion_id)
        self.known |= now
        # One that came and went between two looks has left its data all the same.
        for minion_id in sorted(self.known.union(self._cached()) - now):
            self._forget(minion_id)
            self._fire_key("delete", minion_id)
            self.known -= {minion_id}
        self._followed = now

    def _fire_key(self, act: str, minion_id: str) -> None:
        self._bus.fire(tags.KEY, {"result": True, "act": act, "id": minion_id})

    def _rotate_if_wanted(self) -> None:
        """One rotation, however many keys were deleted or rejected since the last look."""
        wanted = Path(self._config.cachedir) / ROTATION_FILE
        taken = wanted.with_name(f"{ROTATION_FILE}.taken")  # outlives a kill in the middle
        if os.path.lexists(wanted):
            wanted.replace(taken)
        if not os.path.lexists(taken):
            return
        if not self._config.rotate_aes_key:
            taken.unlink()
            return
        self._publish_key.rotate()  # on the hub: no publish is between its serial and its key
        taken.unlink()
        self.rotations += 1
        event: dict[str, Any] = {"rotate_aes_key": True}
        self._bus.fire(tags.KEY_ROTATION, event)
        if self._config.ping_on_rotate:
            self._ping_all()

    def _prune(self) -> None:
        removed = self._store.prune(self._config.keep_jobs_seconds, self._config.keep_jobs_bytes)
        if removed:
            log.info("%d old jobs were removed", removed)

    def _prune_tokens(self) -> None:
        removed = offload(self._remove_tokens)
        if removed:
            log.info("%d expired tokens were removed", removed)
