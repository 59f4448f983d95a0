"""The AES key of the publish port and its serial, which outlive a restart of the master.

A minion accepts a publish only when its serial is greater than the last one under the same key.
Serials are reserved on disk in blocks before they are used, so that a restart, however abrupt,
goes on above every serial that was ever sent.

Source: docs/protocol.md 3.2, 4.7.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from greensalt.crypto.crypticle import Crypticle, generate_key_string
from greensalt.errors import StoreError
from greensalt.store.files import write_private

log = logging.getLogger(__name__)

BLOCK = 1000


class PublishKey:
    """`key_string` and its `crypticle`; `next_serial` and `rotate` write `path` (0600)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reserved = 0
        self.serial = 0
        self.key_string = ""
        self._load()
        self.crypticle = Crypticle(self.key_string)

    def _load(self) -> None:
        try:
            stored = json.loads(self._path.read_text())
            self.key_string, self.serial = str(stored["key"]), int(stored["serial"])
        except FileNotFoundError:
            self.key_string = generate_key_string()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self._path} can't be read ({error}); remove it to begin with a new publish key"
            ) from error
        self._reserve()

    def _reserve(self) -> None:
        self._reserved = self.serial + BLOCK
        stored = {"key": self.key_string, "serial": self._reserved}
        write_private(self._path, json.dumps(stored).encode())

    def next_serial(self) -> int:
        """A serial greater than all before. Writes a file once in a thousand calls."""
        if self.serial >= self._reserved:
            self._reserve()
        self.serial += 1
        return self.serial

    def rotate(self) -> None:
        """A new key, serials from 1: what minions with the old key read ends here."""
        self.key_string, self.serial = generate_key_string(), 0
        self._reserve()
        self.crypticle = Crypticle(self.key_string)
        log.info("the publish key was rotated")
