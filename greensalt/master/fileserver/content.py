"""What is in a served file: its hash and its chunks. Blocks; for native threads."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import time
from collections import OrderedDict
from contextlib import suppress

from greensalt.master.fileserver.backend import Found
from greensalt.master.fileserver.index import SETTLED_NS

HASHES_MOST = 50_000
COMPRESSION_LEVELS = range(1, 10)

Identity = tuple[int, int, int, int, int]


class Hashes:
    """The hashes of files, remembered by what a stat says of them."""

    def __init__(self, hash_type: str) -> None:
        self.hash_type = hash_type
        self.computed = 0
        self._known: OrderedDict[Identity, str] = OrderedDict()

    def known(self, found: Found) -> str | None:
        """The hash, if the file is as it was when that was computed."""
        return self._known.get(identity(found.stat))

    def compute(self, found: Found) -> str:
        """Read the file; raises OSError when it can't be read."""
        known = self.known(found)
        if known is not None:
            return known
        begun_ns = time.time_ns()
        descriptor = open_regular(found.real)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            before = os.fstat(descriptor)
            digest = hashlib.file_digest(file, self.hash_type).hexdigest()
            after = os.fstat(descriptor)
        self.computed += 1
        settled = max(after.st_mtime_ns, after.st_ctime_ns) < begun_ns - SETTLED_NS
        if settled and identity(before) == identity(after):
            self._keep(identity(after), digest)
        return digest

    def _keep(self, key: Identity, digest: str) -> None:
        self._known[key] = digest
        with suppress(KeyError):  # another thread may have been quicker
            while len(self._known) > HASHES_MOST:
                self._known.popitem(last=False)


def identity(status: os.stat_result) -> Identity:
    """What changes whenever the content of a file does."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def open_regular(real: str) -> int:
    """A descriptor of a regular file, never of what took its place; raises OSError."""
    # A FIFO would make the open wait for a writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(real, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(f"{real} is not a regular file")
    return descriptor


def read_chunk(real: str, offset: int, most: int) -> bytes:
    """At most `most` bytes from `offset`; empty at the end. Raises OSError."""
    descriptor = open_regular(real)
    try:
        # Never more than there is: the whole of what is asked for would be allocated first.
        left = min(most, os.fstat(descriptor).st_size - offset)
        pieces = []
        while left > 0 and (piece := os.pread(descriptor, left, offset)):
            pieces.append(piece)
            offset += len(piece)
            left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    finally:
        os.close(descriptor)


def compressed(data: bytes, level: int) -> bytes:
    """A gzip stream, the same for the same data."""
    return gzip.compress(data, level, mtime=0)
