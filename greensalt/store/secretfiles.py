"""Secrets in the master's cache directory: users' keys and minions' session keys, all 0600."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from greensalt.errors import StoreError
from greensalt.store.files import write_private
from greensalt.store.keyfiles import read_regular
from greensalt.wire.ids import check_minion_id

KEY_CHARS: Final = 76  # 56 bytes in base64


def user_key(cachedir: Path, user: str) -> str:
    """The key that proves a local user to the master, made now if there is none."""
    key = read_user_key(cachedir, user)
    return key if key is not None else _make(_user_path(cachedir, user))


def read_user_key(cachedir: Path, user: str) -> str | None:
    """The key of a local user; None if there is none or its file was damaged.

    StoreError, naming the file, where this user may not read it.
    """
    return _read(_user_path(cachedir, user))


class SessionKeys:
    """Session keys by minion id, one file each, so that they survive the master's restart."""

    def __init__(self, cachedir: Path) -> None:
        self.directory = cachedir / "sessions"

    def get(self, minion_id: str) -> tuple[str, float] | None:
        """The key string of a minion and its age in seconds; None if there is none."""
        path = str(self._path(minion_id))
        key = _read(path)
        if key is None:
            return None
        try:
            return key, max(0.0, time.time() - os.stat(path).st_mtime)  # noqa: PTH116
        except FileNotFoundError:
            return None

    def create(self, minion_id: str) -> str:
        """A new key for a minion, in place of the old one."""
        return _make(self._path(minion_id))

    def forget(self, minion_id: str) -> None:
        """Delete a minion's key, if it has one."""
        path = self._path(minion_id)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: can't be deleted: {error.strerror}") from error

    def _path(self, minion_id: str) -> Path:
        return self.directory / check_minion_id(minion_id)


def _user_path(cachedir: Path, user: str) -> Path:
    # DOMAIN\user is one name; Salt writes it with an underscore.
    name = user.replace("\\", "_")
    if not name or "/" in name or "\0" in name:
        raise StoreError(f"{user!r} is no user name")
    return cachedir / f".{name}_key"


def _read(path: Path | str) -> str | None:
    text = read_regular(path)
    return text if text is not None and len(text) == KEY_CHARS and text.isascii() else None


def _make(path: Path) -> str:
    from greensalt.crypto.crypticle import generate_key_string

    key = generate_key_string()
    try:
        write_private(path, key.encode())
    except OSError as error:
        raise StoreError(f"{os.fspath(path)}: can't be written: {error.strerror}") from error
    return key
