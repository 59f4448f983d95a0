"""The minion's side of the master's file server: find, fetch, keep and push files. Blocks.

Fetched files are kept in `<cachedir>/files/<environment>/<path>`, as Salt does. Their place follows
from what was asked for, never from what the master answers, and can't lie elsewhere
(CVE-2021-21996). A file has its name once it is whole and has the hash that the master told.

Source: docs/protocol.md 6.2.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from greensalt.errors import CommandExecutionError, MalformedMessage, UnsafePath
from greensalt.wire.ids import HASH_TYPES, safe_join

SCHEME = "salt://"
TRIES = 3  # of a file that changes while it is fetched

Request = Callable[[dict[str, Any]], Any]
Begin = Callable[[dict[str, Any]], Callable[[], Any]]


class Source(NamedTuple):
    """A file of the master: its path and its environment."""

    path: str
    env: str

    @property
    def load(self) -> dict[str, Any]:
        # What the master would take for the start of a query is escaped.
        path = f"|{self.path}" if "?" in self.path or self.path.startswith("|") else self.path
        return {"path": path, "saltenv": self.env}


def parse_url(url: str, env: str) -> Source:
    """The file that `salt://path?saltenv=x` means; the scheme may be left out.

    A `|` in front of the path takes everything behind it literally.
    """
    path = url.removeprefix(SCHEME)
    if path.startswith("|"):
        return Source(path[1:], env)
    path, _, query = path.partition("?")
    for word in query.split("&"):
        name, _, value = word.partition("=")
        if name == "saltenv" and value:
            env = value
    return Source(path, env)


class FileClient:
    """Asks the master for files. `request` sends an encrypted request and returns the result.

    `begin` sends one and goes on; what it returns gives the result. With it the master works on the
    next chunk of a large file while this side opens and writes one.
    """

    def __init__(
        self, request: Request, cachedir: Path, chunk_bytes: int, begin: Begin | None = None
    ) -> None:
        self._request = request
        self._begin = begin
        self._cachedir = cachedir
        self._chunk_bytes = chunk_bytes

    def envs(self) -> list[str]:
        """The environments that the master has."""
        return _texts(self._request({"cmd": "_file_envs"}))

    def listing(self, command: str, env: str, prefix: str = "") -> Any:
        """What one of the listing commands (`_file_list`, ...) says."""
        return self._request({"cmd": command, "saltenv": env, "prefix": prefix})

    def hash(self, source: Source) -> dict[str, str]:
        """{hsum, hash_type} of a file; empty when the master has none."""
        answer = self._request({"cmd": "_file_hash", **source.load})
        if not isinstance(answer, dict) or not answer.get("hsum"):
            return {}
        return {name: str(answer.get(name)) for name in ("hsum", "hash_type")}

    def cached_path(self, source: Source) -> Path:
        """Where a file is kept; raises CommandExecutionError for names that could lie elsewhere."""
        try:
            return safe_join(safe_join(self._cachedir / "files", source.env), source.path)
        except UnsafePath as error:
            raise CommandExecutionError(f"there can't be such a file: {error}") from error

    def cache(self, source: Source) -> Path | None:
        """Have the file in the cache as it is on the master; None when the master has none."""
        place = self.cached_path(source)
        wanted = self.hash(source)
        if not wanted:
            return None
        if not place.is_file() or hash_of(place, wanted["hash_type"]) != wanted["hsum"]:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._fetch(source, place, wanted, 0):
                return None
        return place

    def get(self, source: Source, dest: Path, compression: int = 0) -> bool:
        """Put the file where it is wanted, through a symlink if there is one; False if none is."""
        wanted = self.hash(source)
        return bool(wanted) and self._fetch(
            source, Path(os.path.realpath(dest)), wanted, compression
        )

    def _fetch(self, source: Source, dest: Path, wanted: dict[str, str], level: int) -> bool:
        for _ in range(TRIES):
            part = dest.with_name(f".{dest.name[:200]}.{secrets.token_hex(8)}")
            try:
                with part.open("xb") as file:
                    is_there = self._download(source, file, level)
                if not is_there:
                    return False
                if hash_of(part, wanted["hash_type"]) == wanted["hsum"]:
                    with suppress(FileNotFoundError):
                        shutil.copymode(dest, part)
                    part.replace(dest)
                    return True
            finally:
                part.unlink(missing_ok=True)
            wanted = self.hash(source)
            if not wanted:
                return False
        raise CommandExecutionError(f"{SCHEME}{source.path} changes while it is fetched")

    def _download(self, source: Source, file: IO[bytes], level: int) -> bool:
        """Write all chunks; False when the master has no such file."""
        load = {"cmd": "_serve_file", **source.load, **({"gzip": level} if level else {})}
        ahead: dict[int, Callable[[], Any]] = {}  # what was asked for early, by offset
        while True:
            at = file.tell()
            coming = ahead.pop(at, None)
            reply = coming() if coming else self._request({**load, "loc": at})
            if not isinstance(reply, dict) or "data" not in reply:
                raise CommandExecutionError(f"the master can't serve {SCHEME}{source.path}")
            data = as_bytes(reply["data"])
            if not data:
                return bool(reply.get("dest"))
            data = gzip.decompress(data) if reply.get("gzip") else data
            if self._begin and len(data) >= self._chunk_bytes:
                # The file most likely goes on in chunks of this size.
                for place in (at + len(data), at + 2 * len(data)):
                    if place not in ahead:
                        ahead[place] = self._begin({**load, "loc": place})
            file.write(data)

    def push(self, file: Path, names: list[str]) -> bool:
        """Send a file to the master; False when it refuses."""
        load = {"cmd": "_file_recv", "path": names, "size": file.stat().st_size}
        with file.open("rb") as source:
            while True:
                piece = {"loc": source.tell(), "data": source.read(self._chunk_bytes)}
                if not piece["data"] and piece["loc"]:
                    return True
                if not self._request({**load, **piece}):
                    return False
                if not piece["data"]:
                    return True


def hash_of(place: Path, hash_type: str) -> str:
    """The hash of a file of this machine; raises CommandExecutionError for an unknown type."""
    if hash_type not in HASH_TYPES:
        raise CommandExecutionError(f"the master uses the unknown hash type {hash_type!r}")
    with place.open("rb") as file:
        return hashlib.file_digest(file, hash_type).hexdigest()


def local_path(url: str) -> Path | None:
    """The path of a source on this machine itself; None if it is one of the master.

    Raises CommandExecutionError for what can't be fetched.
    """
    if url.startswith(SCHEME):
        return None
    scheme, _, rest = url.rpartition("://")
    if scheme not in ("", "file"):
        raise CommandExecutionError(f"can't fetch {url}: only salt:// and paths on the minion")
    return Path(rest)


def as_bytes(data: Any) -> bytes:
    """Content as it was: bytes that happen to be UTF-8 arrive as text."""
    if isinstance(data, str):
        return data.encode("utf-8", "surrogateescape")
    if not isinstance(data, bytes):
        raise MalformedMessage(f"the content of a file is a {type(data).__name__}")
    return data


def _texts(names: Any) -> list[str]:
    return [str(name) for name in names] if isinstance(names, list) else []
