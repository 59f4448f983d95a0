"""ormsgpack: msgpack in Rust, in msgpack's present form."""

from __future__ import annotations

from typing import Any

import ormsgpack

from greensalt.serializers.canonical import rewritten
from greensalt.serializers.extensions import MSGPACK_FACTS, extended, finished, hooked, read

TAG = "ormp"
FACTS = MSGPACK_FACTS
READ_OPTIONS = ormsgpack.OPT_NON_STR_KEYS
OPTIONS = (
    ormsgpack.OPT_NON_STR_KEYS
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
)


def dumps(obj: object) -> bytes:
    """Most values go straight through; those that need it are rewritten first."""
    try:
        return ormsgpack.packb(obj, default=_other, option=OPTIONS)
    except ormsgpack.MsgpackEncodeError:  # large integers, file names, cycles
        return ormsgpack.packb(rewritten(obj, _leaf, _leaf), option=OPTIONS)


def loads(data: bytes) -> Any:
    return finished(ormsgpack.unpackb(data, ext_hook=read, option=READ_OPTIONS))


def _other(value: Any) -> Any:
    return hooked(value, ormsgpack.Ext)


def _leaf(value: Any) -> Any:
    return extended(value, ormsgpack.Ext)
