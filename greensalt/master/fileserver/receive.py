"""Files that minions push to the master (`cp.push`): `<cachedir>/minions/<id>/files/...`.

Off unless `file_recv` is on. A path comes as a list of components; each directory is opened below
the one before without following symlinks, so that a file can't come to lie anywhere else.

Source: docs/protocol.md 6.2, 9.2 (CVE-2024-38824).
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from greensalt.errors import UnsafePath
from greensalt.green import offload
from greensalt.master.sessions import Peer
from greensalt.wire.ids import check_minion_id, safe_join

log = logging.getLogger(__name__)

PATH_MOST_BYTES = 4096
DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


class Receiver:
    """Takes pushed files, each of at most `most_bytes`."""

    def __init__(self, cachedir: Path, *, enabled: bool, most_bytes: int) -> None:
        self._cachedir = cachedir
        self._enabled = enabled
        self._most_bytes = most_bytes

    def take(self, peer: Peer, load: dict[str, Any]) -> bool:
        """`_file_recv`: one piece of a file; False when it is not taken."""
        if not self._enabled:
            log.info("%s pushes a file, but file_recv is off", peer.id)
            return False
        try:
            names = _names(load.get("path"))
            data = _data(load.get("data", ""))
            offset = self._offset(load, len(data))
            offload(write_below, self._directory(peer.id), names, offset, data)
        except (UnsafePath, OSError) as error:
            log.warning("%s pushed a file that is not taken: %s", peer.id, error)
            return False
        return True

    def _directory(self, minion_id: str) -> Path:
        return self._cachedir / "minions" / check_minion_id(minion_id) / "files"

    def _offset(self, load: dict[str, Any], length: int) -> int:
        offset, size = load.get("loc"), load.get("size", 0)
        for number in (offset, size):
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise UnsafePath(f"{str(number)[:80]!r} is not a place in a file")
        assert isinstance(offset, int)  # for the type checker: the loop has made sure
        if max(offset + length, size) > self._most_bytes:
            raise UnsafePath(f"larger than file_recv_max_size, {self._most_bytes} bytes")
        return offset


def write_below(directory: Path, names: list[str], offset: int, data: bytes) -> None:
    """Write into a file below a directory, which is made; a piece at 0 begins the file anew.

    Raises UnsafePath when the piece does not join on to what is there, OSError when a name is a
    symlink or something else that can't be written.
    """
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    parent = os.open(directory, flags)
    try:
        for name in names[:-1]:
            try:
                os.mkdir(name, DIRECTORY_MODE, dir_fd=parent)
            except FileExistsError:
                pass
            child = os.open(name, flags, dir_fd=parent)
            os.close(parent)
            parent = child
        _write(parent, names[-1], offset, data)
    finally:
        os.close(parent)


def _write(parent: int, name: str, offset: int, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(name, flags | (0 if offset else os.O_TRUNC), FILE_MODE, dir_fd=parent)
    try:
        if offset > os.fstat(file).st_size:
            raise UnsafePath(f"the piece at {offset} comes before those in front of it")
        rest = memoryview(data)
        while rest:
            written = os.pwrite(file, rest, offset)
            rest, offset = rest[written:], offset + written
    finally:
        os.close(file)


def _names(path: Any) -> list[str]:
    """The components of a path that stays where it belongs; raises UnsafePath."""
    if not isinstance(path, list) or not path:
        raise UnsafePath("the path is not a list of components")
    texts = [os.fsdecode(part) if isinstance(part, bytes) else part for part in path]
    names = list(safe_join("", *texts).parts)
    try:
        size = len(os.fsencode("/".join(names)))
    except UnicodeEncodeError:
        raise UnsafePath("no file can have this name") from None
    if size > PATH_MOST_BYTES:
        raise UnsafePath(f"a path of {size} bytes")
    return names


def _data(data: Any) -> bytes:
    if isinstance(data, str):  # bytes that happen to be UTF-8 arrive as text
        return data.encode("utf-8", "surrogateescape")
    if not isinstance(data, bytes):
        raise UnsafePath(f"the content is a {type(data).__name__}")
    return data
