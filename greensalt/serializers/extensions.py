"""Dates and constants in the newer msgpack codecs: extensions 78 and 79, as in the dialect.

These codecs use msgpack's present form: bytes and text apart, as on the event bus (Spec 1.2).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgpack

from greensalt.serializers.canonical import canonical, settled, text
from greensalt.serializers.codec import Facts
from greensalt.wire.dialect import (
    EXT_CONSTANT,
    EXT_DATETIME,
    Constant,
    read_extension,
    time_text,
)

MSGPACK_FACTS: Final = Facts(
    bytes="native",
    tuples="changed",
    int_keys="native",
    big_ints="changed",
    datetimes="escaped",
    nan="native",
)


def extended(value: Any, extension: Callable[[int, bytes], Any]) -> Any:
    """A value that is no container as it is sent; `extension(code, payload)` makes the codec's."""
    value = canonical(value)
    if isinstance(value, datetime):
        return extension(EXT_DATETIME, time_text(value).encode("ascii"))
    if isinstance(value, Constant):
        return extension(EXT_CONSTANT, msgpack.packb([value.name, value.value]))
    return value


def hooked(value: Any, extension: Callable[[int, bytes], Any]) -> Any:
    """As `extended`, for an encoder that asks about every value it doesn't know."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    return extended(value, extension)


def finished(value: Any) -> Any:
    """A decoded value with text where bytes are UTF-8, and its depth checked."""
    return settled(value, bytes, text)


def read(code: int, payload: bytes | memoryview) -> object:
    """Decode one extension; of an unknown one the payload is kept."""
    return read_extension(code, bytes(payload))
