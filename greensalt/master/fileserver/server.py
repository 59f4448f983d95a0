"""The file commands of a minion, in the shapes of the wire.

Files are touched in native threads only, and at most READERS of them at once, so that a slow disk
or a large file holds up neither the hub nor the threads that sign-ins need. A chunk is also
compressed and encrypted there.

Source: docs/protocol.md 6.2.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from gevent.lock import BoundedSemaphore

from greensalt.config import MasterConfig
from greensalt.crypto.crypticle import Crypticle
from greensalt.errors import ConfigError, MalformedMessage, UnsafePath
from greensalt.green import offload
from greensalt.master.fileserver.backend import Backend, Found, Listing
from greensalt.master.fileserver.content import (
    COMPRESSION_LEVELS,
    Hashes,
    compressed,
    identity,
    read_chunk,
)
from greensalt.master.fileserver.roots import Roots, ignore
from greensalt.master.reqserver import seal
from greensalt.master.sessions import Peer

log = logging.getLogger(__name__)

READERS = 4
SMALL_BYTES = 8192

T = TypeVar("T")


class FileServer:
    """Serves the files of its backends; of two that have a file, the first one wins."""

    def __init__(self, backends: Sequence[Backend], hash_type: str, buffer_bytes: int) -> None:
        self.backends = tuple(backends)
        self._buffer_bytes = buffer_bytes
        self._readers = BoundedSemaphore(READERS)
        self._listings: dict[str, _Shared] = {}
        self.hashes = Hashes(hash_type)
        self._hashing: WeakValueDictionary[object, BoundedSemaphore] = WeakValueDictionary()

    # -- what there is -----------------------------------------------------------------------

    def envs(self) -> list[str]:
        """The names of all environments, sorted."""
        return sorted({env for backend in self.backends for env in backend.envs()})

    def paths(self, env: str, prefix: str = "") -> list[str]:
        """The paths of the files of an environment that begin with a prefix."""
        return self._paths({"saltenv": env, "prefix": prefix}, lambda listing: listing.files)

    def find(self, env: str, path: str) -> Found | None:
        """A file of an environment, if it may be served."""
        return self._read(self._find, {"saltenv": env, "path": f"|{path}"})[0]

    def file_envs(self, _peer: Peer, _load: dict[str, Any]) -> list[str]:
        """`_file_envs`: the names of the environments."""
        return self.envs()

    def file_list(self, _peer: Peer, load: dict[str, Any]) -> list[str]:
        """`_file_list`: the paths of the files, symlinks included."""
        return self._paths(load, lambda listing: listing.files)

    def file_list_emptydirs(self, _peer: Peer, load: dict[str, Any]) -> list[str]:
        """`_file_list_emptydirs`: the directories without anything in them."""
        return self._paths(load, lambda listing: listing.empty_dirs)

    def dir_list(self, _peer: Peer, load: dict[str, Any]) -> list[str]:
        """`_dir_list`: the directories."""
        return self._paths(load, lambda listing: listing.dirs)

    def symlink_list(self, _peer: Peer, load: dict[str, Any]) -> dict[str, str]:
        """`_symlink_list`: {path: text of the link}."""
        return self.links(_env(load), _prefix(load))

    def entries(self, part: str, saltenv: str, prefix: str = "") -> list[str]:
        """The "files", "dirs" or "empty_dirs" of an environment, for the master's own people."""
        asked = {"saltenv": str(saltenv), "prefix": str(prefix)}
        return list(self._paths(asked, lambda listing: getattr(listing, part)))

    def links(self, saltenv: str, prefix: str = "") -> dict[str, str]:
        """The symlinks of an environment, likewise."""
        found: dict[str, str] = {}
        for listing in self._listing({"saltenv": str(saltenv)}):
            for path, text in listing.links.items():
                if path.startswith(str(prefix)):
                    found.setdefault(path, text)
        return found

    def hash_of(self, load: dict[str, Any]) -> dict[str, str] | str:
        """{hsum, hash_type} of a file, likewise; an empty string when it is not there."""
        answer: dict[str, str] | str = self._hash_and_stat(load)[0]
        return answer

    def chunk(self, load: dict[str, Any], offset: int) -> dict[str, Any]:
        """{data, dest} of a file from an offset on, for the machine's own use."""
        return self._read(self._chunk, load, offset, 0)

    def forget_listings(self, saltenv: str | None = None) -> list[str]:
        """Forget what is known of an environment or of all: the names of those."""
        known = [env for env in sorted(self._listings) if saltenv in (None, env)]
        for env in known:
            del self._listings[env]
        return known

    def _paths(self, load: dict[str, Any], part: Callable[[Listing], Sequence[str]]) -> list[str]:
        prefix = _prefix(load)
        parts = [part(listing) for listing in self._listing(load)]
        if len(parts) == 1:
            return [path for path in parts[0] if path.startswith(prefix)]
        return sorted({path for paths in parts for path in paths if path.startswith(prefix)})

    def _listing(self, load: dict[str, Any]) -> list[Listing]:
        env = _env(load)
        if env not in self.envs():
            return []
        shared = self._listings.setdefault(env, _Shared(lambda: self._look_at(env)))
        return shared.current()

    def _look_at(self, env: str) -> list[Listing]:
        return self._read(lambda: [backend.listing(env) for backend in self.backends])

    # -- one file ----------------------------------------------------------------------------

    def file_find(self, _peer: Peer, load: dict[str, Any]) -> dict[str, Any]:
        """`_file_find`: where a file is and its ten numbers of os.stat."""
        found, back = self._read(self._find, load)
        if found is None:
            return {"path": "", "rel": ""}
        return {"path": found.path, "rel": found.rel, "back": back, "stat": _numbers(found)}

    def file_hash(self, _peer: Peer, load: dict[str, Any]) -> dict[str, str] | str:
        """`_file_hash`: {hsum, hash_type}; an empty string for a file that is not there."""
        return self.hash_of(load)

    def file_hash_and_stat(self, _peer: Peer, load: dict[str, Any]) -> list[Any]:
        """`_file_hash_and_stat`: both in a list of two; ["", None] for a file that is not there."""
        return self._hash_and_stat(load)

    def _hash_and_stat(self, load: dict[str, Any]) -> list[Any]:
        found, _ = self._read(self._find, load)
        if found is None:
            return ["", None]
        try:
            digest = self._hash(found)
        except OSError as error:
            log.warning("can't hash %s: %s", found.real, error)
            return ["", None]
        return [{"hsum": digest, "hash_type": self.hashes.hash_type}, _numbers(found)]

    def _hash(self, found: Found) -> str:
        """The hash, computed once however many minions ask for it."""
        known = self.hashes.known(found)
        if known is not None:
            return known
        key = identity(found.stat)
        turn = self._hashing.get(key)
        if turn is None:
            turn = self._hashing[key] = BoundedSemaphore(1)
        with turn:
            return self._read(self.hashes.compute, found)

    def serve_file(self, peer: Peer, load: dict[str, Any]) -> bytes:
        """`_serve_file`: {data, dest} from `loc` on, sealed for the peer.

        `data` is empty at the end of the file, `dest` as well when there is no file.
        """
        offset, level = load.get("loc"), load.get("gzip")
        if not isinstance(offset, int) or isinstance(offset, bool) or offset < 0:
            raise MalformedMessage(f"{peer.id}: `loc` of a file is {str(offset)[:80]!r}")
        if level and level not in COMPRESSION_LEVELS:
            raise MalformedMessage(f"{peer.id}: there is no gzip level {str(level)[:80]!r}")
        chunk = self._read(self._serve, peer, load, offset, level or 0)
        return chunk if isinstance(chunk, bytes) else seal(peer.crypticle, peer.nonce, chunk)

    def _serve(
        self, peer: Peer, load: dict[str, Any], offset: int, level: int
    ) -> bytes | dict[str, Any]:
        """The sealed reply; of a small piece, which the hub seals faster, the reply itself."""
        chunk = self._chunk(load, offset, level)
        if len(chunk["data"]) <= SMALL_BYTES:
            return chunk
        # A box of its own: the peer's belongs to the hub's thread.
        return seal(Crypticle(peer.crypticle.key_string), peer.nonce, chunk)

    def _chunk(self, load: dict[str, Any], offset: int, level: int) -> dict[str, Any]:
        found, _ = self._find(load)
        if found is None:
            return {"data": "", "dest": ""}
        try:
            data = read_chunk(found.real, offset, self._buffer_bytes)
        except OSError as error:
            log.warning("can't serve %s: %s", found.real, error)
            return {"data": "", "dest": ""}
        if level and data:
            return {"data": compressed(data, level), "dest": found.rel, "gzip": level}
        return {"data": data, "dest": found.rel}

    def _find(self, load: dict[str, Any]) -> tuple[Found | None, str]:
        """The file that a request means, and its backend. Blocks."""
        path, env = _path_and_env(load)
        try:
            for backend in self.backends:
                found = backend.find(env, path) if env in backend.envs() else None
                if found is not None:
                    return found, backend.name
        except UnsafePath as error:
            log.warning("%s asks for a file that can't be: %s", load.get("id"), error)
        return None, ""

    def _read(self, fn: Callable[..., T], *args: Any) -> T:
        with self._readers:
            return offload(fn, *args)


class _Shared:
    """The result of a look that all who asked before it began can share."""

    def __init__(self, look: Callable[[], list[Listing]]) -> None:
        self._look = look
        self._turn = BoundedSemaphore(1)
        self._begun = -1.0
        self._seen: list[Listing] = []

    def current(self) -> list[Listing]:
        """What is there now, or was at a moment after this was called."""
        asked = time.monotonic()
        with self._turn:
            if self._begun < asked:
                begun = time.monotonic()
                self._seen = self._look()
                self._begun = begun
            return self._seen


def file_server(config: MasterConfig) -> FileServer:
    """The file server that the options describe; raises ConfigError."""
    ignored = ignore(config.file_ignore_regex, config.file_ignore_glob)
    backends: list[Backend] = []
    for name in config.fileserver_backend:
        if name != Roots.name:
            raise ConfigError(f"fileserver_backend: {name!r} is not supported; there is: roots")
        backends.append(
            Roots(
                config.file_roots,
                follow_links=config.fileserver_followsymlinks,
                ignore_links=config.fileserver_ignoresymlinks,
                ignored=ignored,
            )
        )
    return FileServer(backends, config.hash_type, config.file_buffer_size)


def _path_and_env(load: dict[str, Any]) -> tuple[str, str]:
    """The path and the environment; `path?saltenv=x` names one, a leading `|` takes that away."""
    path = _text(load.get("path", ""))
    if path.startswith("|"):
        return path[1:], _env(load)
    path, _, query = path.partition("?")
    for word in query.split("&"):
        name, _, value = word.partition("=")
        if name == "saltenv":
            return path, value
    return path, _env(load)


def _env(load: dict[str, Any]) -> str:
    return _text(load.get("saltenv", ""))


def _prefix(load: dict[str, Any]) -> str:
    return _text(load.get("prefix") or "").strip("/")


def _text(value: Any) -> str:
    """A name as the file system has it: what is not UTF-8 comes as bytes."""
    if isinstance(value, bytes):
        return os.fsdecode(value)
    if not isinstance(value, str | int | float):
        raise MalformedMessage(f"a path or environment is a {type(value).__name__}")
    return str(value)


def _numbers(found: Found) -> list[int]:
    return [int(number) for number in tuple(found.stat)[:10]]
