"""Values with structure, as the bytes that a column keeps."""

from __future__ import annotations

from typing import Any, Final

from greensalt.errors import MalformedMessage, StoreError, Unstorable
from greensalt.wire.dialect import pack_bin, unpack_bin

MAX_VALUE_BYTES: Final = 256 << 20
"""The largest value, packed; SQLite's own limit is 1 GB."""


def pack(value: object, max_bytes: int = MAX_VALUE_BYTES) -> bytes:
    """Pack a value; raises Unstorable if that can't be done or gives too much."""
    try:
        packed = pack_bin(value)
    except MalformedMessage as error:
        raise Unstorable(f"can't be kept: {error}") from error
    if len(packed) > max_bytes:
        raise Unstorable(f"can't be kept: {len(packed)} bytes, the most is {max_bytes}")
    return packed


def unpack(packed: bytes) -> Any:
    """Unpack a value; raises StoreError."""
    try:
        return unpack_bin(packed)
    except MalformedMessage as error:
        raise StoreError(f"a row of the store can't be read: {error}") from error
