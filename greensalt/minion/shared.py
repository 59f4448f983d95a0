"""What the minions of one process have in common, so that each costs little by itself."""

from __future__ import annotations

import time
from typing import Any

from gevent.lock import BoundedSemaphore

from greensalt.config import MinionConfig
from greensalt.crypto.keypair import PrivateKey
from greensalt.functions.loader import Loader
from greensalt.functions.threads import Home
from greensalt.green import offload
from greensalt.minion.grains import core_grains

START_FRESH_S = 60.0  # how old the grains may be that a minion starts with


class Shared:
    """Modules, native threads, the grains of the machine and, if given, one key for all."""

    def __init__(self, config: MinionConfig, key: PrivateKey | None = None) -> None:
        self.loader = Loader(
            config.function_dirs,
            disabled=config.disable_modules,
            allowed=config.whitelist_modules,
        )
        self.home = Home()
        self.key = key
        self._one = BoundedSemaphore(1)
        self._grains: dict[str, Any] = {}
        self._read_at = -START_FRESH_S
        self._started: set[str] = set()

    def grains(self, config: MinionConfig) -> dict[str, Any]:
        """The grains of one minion: those of the machine, with its own id.

        A minion that starts may get what another has computed; one that wants them anew gets what
        was computed after it asked, once for all that ask at the same time.
        """
        asked = time.monotonic()
        oldest = asked if config.id in self._started else asked - START_FRESH_S
        self._started.add(config.id)
        with self._one:
            if self._read_at <= oldest:
                self._read_at = time.monotonic()
                self._grains = offload(core_grains, config)
            return {**self._grains, "id": config.id}
