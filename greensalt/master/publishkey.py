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
        self._reserve(self.key_string, self.serial)

    def _reserve(self, key_string: str, serial: int) -> None:
        """Write down what may be used from now on; only then it may be."""
        stored = {"key": key_string, "serial": serial + BLOCK}
        try:
            write_private(self._path, json.dumps(stored).encode())
        except OSError as error:
            raise StoreError(f"{self._path} can't be written: {error.strerror}") from error
        self._reserved = serial + BLOCK

    def next_serial(self) -> int:
        """A serial greater than all before. Writes a file once in a thousand calls.

        Raises StoreError when it can't.
        """
        if self.serial >= self._reserved:
            self._reserve(self.key_string, self.serial)
        self.serial += 1
        return self.serial

    def rotate(self) -> None:
        """A new key, serials from 1: what minions with the old key read ends here.

        Raises StoreError, and leaves the old key, when the new one can't be written.
        """
        fresh = generate_key_string()
        self._reserve(fresh, 0)
        self.key_string, self.serial = fresh, 0
        self.crypticle = Crypticle(self.key_string)
        log.info("the publish key was rotated")
