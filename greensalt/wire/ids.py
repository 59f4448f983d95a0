"""Names that come from peers: minion ids and paths, and what is derived from an id.

Spec 9.1. Everything here is arithmetic on text; whoever opens a file resolves symlinks as well.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

from greensalt.errors import InvalidMinionId, UnsafePath, UnsupportedAlgorithm

MAX_ID_BYTES: Final = 253
"""The length of a full domain name; leaves room for a suffix in a file name of 255 bytes."""

KNOWN_IDS: Final = 20_000

HASH_TYPES: Final = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512"})

BROADCAST_TOPIC: Final = "broadcast"
"""Topic of a filtered publish that every minion has to look at."""

_FORBIDDEN: Final = frozenset("/\\*?[]")


def check_minion_id(value: object) -> str:
    """Return a minion id unchanged, or raise InvalidMinionId saying which rule it breaks.

    An id is a literal file name: no separators, no glob characters, no leading dot, nothing
    unprintable, at most 253 bytes.
    """
    if not isinstance(value, str):
        raise InvalidMinionId(f"minion id is not text but {type(value).__name__}")
    return _checked(value)


@lru_cache(maxsize=KNOWN_IDS)  # several times in each request; what is refused is not kept
def _checked(value: str) -> str:
    if not value:
        raise InvalidMinionId("minion id is empty")
    # Printable first: later messages quote the id, and encoding a lone surrogate would raise.
    if not value.isprintable():
        raise InvalidMinionId(f"minion id has unprintable characters: {value[:80]!a}")
    if len(value.encode()) > MAX_ID_BYTES:
        raise InvalidMinionId(f"minion id is longer than {MAX_ID_BYTES} bytes: {value[:80]!r}...")
    if value.startswith("."):
        raise InvalidMinionId(f"minion id starts with a dot: {value!r}")
    if not _FORBIDDEN.isdisjoint(value):
        raise InvalidMinionId(f"minion id has one of the characters / \\ * ? [ ]: {value!r}")
    return value


def safe_join(root: Path | str, *parts: str) -> Path:
    """Join path parts from a peer below a root; raises UnsafePath when they could leave it.

    Refuses absolute parts, ``..``, NUL, and a path that names the root itself. Symlinks below the
    root are the caller's to resolve: this touches no file.
    """
    names: list[str] = []
    for part in parts:
        if not isinstance(part, str):
            raise UnsafePath(f"path component is not text but {type(part).__name__}")
        if part.startswith("/"):
            raise UnsafePath(f"path is absolute: {part[:200]!a}")
        if "\0" in part:
            raise UnsafePath(f"path contains a null byte: {part[:200]!a}")
        names += [name for name in part.split("/") if name not in ("", ".")]
    if ".." in names:
        raise UnsafePath(f"path leaves its directory: {'/'.join(names)[:200]!a}")
    if not names:
        raise UnsafePath("path is empty")
    return Path(root, *names)


def minion_bus_hash(minion_id: str, hash_type: str = "sha256") -> str:
    """Return the 10 hex digits that name a minion's event bus sockets (Spec 7.1).

    Raises UnsupportedAlgorithm for an unknown hash_type.
    """
    return hex_digest(minion_id.encode(), hash_type)[:10]


def publish_topic(minion_id: str) -> str:
    """Return the topic of publishes for this minion alone: 40 hex digits (Spec 5.1)."""
    return hex_digest(minion_id.encode(), "sha1")


def hex_digest(data: bytes, hash_type: str) -> str:
    """Hash with one of Salt's hash types; raises UnsupportedAlgorithm for others."""
    if hash_type not in HASH_TYPES:
        raise UnsupportedAlgorithm(
            f"hash type {hash_type!r} is not one of {', '.join(sorted(HASH_TYPES))}"
        )
    return hashlib.new(hash_type, data, usedforsecurity=False).hexdigest()
