"""Tokens: what a client shows instead of its password, for as long as it is good.

A token is 64 hexadecimal digits out of the system's randomness. It is a name for nothing: the
master keeps, under its SHA-256, whom it belongs to, in files that only the master may read. Neither
a listing of them nor their content gives a token away.

Source: docs/protocol.md 9.3 item 5, docs/access.md.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from greensalt.errors import GreensaltError, StoreError
from greensalt.store.files import write_private
from greensalt.store.keyfiles import read_regular

log = logging.getLogger(__name__)

TOKEN: Final = re.compile(r"[0-9a-f]{64}")
TOKENS_MOST: Final = 10_000


class Tokens:
    """The tokens of a master, one file each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def make(self, data: Mapping[str, Any], expire_s: float) -> dict[str, Any]:
        """A new token: `data` with `token`, `start` and `expire` (unix seconds)."""
        if len(self._names()) >= TOKENS_MOST:
            self.remove_expired()
        if len(self._names()) >= TOKENS_MOST:
            raise StoreError(f"there are {TOKENS_MOST} tokens already")
        now = time.time()
        token = secrets.token_hex(32)
        kept = {**data, "start": now, "expire": now + expire_s}
        path = self._path(token)
        try:
            write_private(path, json.dumps(kept).encode())
        except OSError as error:
            raise StoreError(f"{path}: can't be written: {error.strerror}") from error
        return {**kept, "token": token}

    def get(self, token: Any) -> dict[str, Any] | None:
        """What a token stands for; None for one that is none, or no longer (CVE-2021-3144)."""
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            return None
        path = self._path(token)
        data = _read(path)
        if data is None:
            return None
        if data["expire"] <= time.time():
            path.unlink(missing_ok=True)
            return None
        return {**data, "token": token}

    def remove(self, token: str) -> None:
        """Make an end to a token."""
        self._path(token).unlink(missing_ok=True)

    def remove_expired(self) -> int:
        """Remove the files of tokens that are none any more; how many."""
        removed = 0
        for name in self._names():
            path = self._directory / name
            data = _read(path)
            if data is None or data["expire"] <= time.time():
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _names(self) -> list[str]:
        try:
            return [each.name for each in self._directory.iterdir() if TOKEN.fullmatch(each.name)]
        except FileNotFoundError:
            return []

    def _path(self, token: str) -> Path:
        return self._directory / hashlib.sha256(token.encode()).hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        text = read_regular(path)
        data = json.loads(text) if text is not None else None
    except (GreensaltError, ValueError) as error:
        log.warning("a token can't be read: %s", error)
        return None
    if not isinstance(data, dict) or not isinstance(data.get("expire"), int | float):
        return None
    return data if isinstance(data.get("name"), str) else None
