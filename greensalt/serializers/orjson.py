"""orjson: JSON in Rust."""

from __future__ import annotations

from typing import Any

import orjson

from greensalt.serializers.canonical import all_finite
from greensalt.serializers.escapes import (
    JSON_FACTS,
    NUL_IN_JSON,
    escaped,
    escaped_value,
    unescaped,
)

TAG = "orjs"
FACTS = JSON_FACTS
OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def dumps(obj: object) -> bytes:
    """Most values go straight through; those that need it are rewritten first."""
    escapes = 0

    def other(value: Any) -> Any:
        nonlocal escapes
        if isinstance(value, (tuple, set, frozenset)):
            return list(value)
        known = escaped_value(value)
        if isinstance(known, str):
            escapes += known.count("\0")
        return known

    try:
        packed = orjson.dumps(obj, default=other, option=OPTIONS)
    except orjson.JSONEncodeError:  # keys that are no text, large integers, file names, cycles
        return orjson.dumps(escaped(obj))
    # Text that begins with NUL would be taken for an escape, and null may have been NaN.
    if packed.count(NUL_IN_JSON) != escapes or (b"null" in packed and not all_finite(obj)):
        return orjson.dumps(escaped(obj))
    return packed


def loads(data: bytes) -> Any:
    return unescaped(orjson.loads(data), data)
