"""CBOR (RFC 8949), with all its tags but two of our own refused.

A tag can make the reader build patterns, huge numbers, shared or cyclic objects: nothing of that
has a place in a message.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NoReturn

import cbor2

from greensalt.serializers.canonical import canonical, rewritten, settled, text
from greensalt.serializers.codec import Facts
from greensalt.wire.dialect import MAX_DEPTH, Constant, read_time, time_text

TAG = "cbor"
FACTS = Facts(
    bytes="native",
    tuples="changed",
    int_keys="native",
    big_ints="changed",
    datetimes="escaped",
    nan="native",
)

TIME_TAG: Final = 20078  # unassigned; the numbers recall extensions 78 and 79
CONSTANT_TAG: Final = 20079

KNOWN_TAGS: Final = (
    *range(6),
    *range(21, 39),
    52,
    54,
    100,
    *range(256, 262),
    1004,
    43000,
    55799,
)
"""All that cbor2 has a meaning for, and some of their neighbours."""


def dumps(obj: object) -> bytes:
    # Always rewritten first: it has tags for sets, large integers and dates.
    return cbor2.dumps(rewritten(obj, _leaf, canonical))


def loads(data: bytes) -> Any:
    value = cbor2.loads(
        data, tag_hook=_read_tag, semantic_decoders=_REFUSED_TAGS, max_depth=MAX_DEPTH
    )
    return settled(value, bytes, text)


def _leaf(value: Any) -> Any:
    value = canonical(value)
    if isinstance(value, datetime):
        return cbor2.CBORTag(TIME_TAG, time_text(value))
    if isinstance(value, Constant):
        return cbor2.CBORTag(CONSTANT_TAG, [value.name, value.value])
    return value


def _read_tag(tag: cbor2.CBORTag, _immutable: bool) -> object:
    match tag.tag, tag.value:
        case int(number), str(time) if number == TIME_TAG:
            return read_time(time.encode())
        case int(number), [str(name), str() | int() | float() | None as value] if (
            number == CONSTANT_TAG
        ):
            return Constant(name, value)
    raise ValueError(f"tag {tag.tag} has no place in a message")


def _refuse(value: object, _immutable: bool) -> NoReturn:
    raise ValueError(f"a tagged {type(value).__name__} has no place in a message")


_REFUSED_TAGS: Final = dict.fromkeys(KNOWN_TAGS, _refuse)
