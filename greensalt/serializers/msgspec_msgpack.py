"""msgspec's msgpack, in msgpack's present form."""

from __future__ import annotations

from typing import Any

import msgspec.msgpack

from greensalt.serializers.canonical import kinds_in, rewritten
from greensalt.serializers.extensions import MSGPACK_FACTS, extended, finished, read

TAG = "mspk"
FACTS = MSGPACK_FACTS

_NATIVE = frozenset({type(None), bool, int, float, str, bytes, dict, list, tuple, set, frozenset})

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ext_hook=read)


def dumps(obj: object) -> bytes:
    """What is plain goes straight through; msgspec has forms of its own for dates and others."""
    try:
        if kinds_in(obj) <= _NATIVE:
            return _encoder.encode(obj)
    except (OverflowError, ValueError):  # large integers, file names, cycles
        pass
    return _encoder.encode(rewritten(obj, _leaf, _leaf))


def loads(data: bytes) -> Any:
    return finished(_decoder.decode(data))


def _leaf(value: Any) -> Any:
    return extended(value, msgspec.msgpack.Ext)
