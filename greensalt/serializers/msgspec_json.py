"""msgspec's JSON."""

from __future__ import annotations

from typing import Any

import msgspec.json

from greensalt.serializers.escapes import JSON_FACTS, escaped, unescaped

TAG = "mspj"
FACTS = JSON_FACTS

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def dumps(obj: object) -> bytes:
    # Always rewritten first: by itself it makes text of bytes, integer keys and dates.
    return _encoder.encode(escaped(obj))


def loads(data: bytes) -> Any:
    return unescaped(_decoder.decode(data), data)
