r"""What JSON can't say, said in JSON: strings that begin with NUL are not text.

Spec 12.4. `\0`, a letter, a colon, the value: `b` bytes (base64), `d` a date, `f` a float, `i` an
integer, `v` true, false or null, `c` a constant, `s` a text that begins with NUL itself. As values
and as keys alike; integers, finite floats, true, false and null only as keys.

JSON writes NUL always as six characters, so a search of the packed bytes tells whether there is
anything to unescape.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any, Final

from greensalt.serializers.canonical import canonical, rewritten, settled, text
from greensalt.serializers.codec import Facts
from greensalt.wire.dialect import MAX_DEPTH, Constant, read_time, time_text

NUL_IN_JSON: Final = b"\\u0000"

JSON_FACTS: Final = Facts(
    bytes="escaped",
    tuples="changed",
    int_keys="escaped",
    big_ints="changed",
    datetimes="escaped",
    nan="escaped",
)
"""Of every codec whose format is JSON."""

_WORDS: Final = {"true": True, "false": False, "null": None}


def escaped(obj: object) -> Any:
    """A copy of a value of which any JSON writer makes what `unescaped` reads back."""
    return rewritten(obj, escaped_value, escaped_key)


def escaped_value(value: Any) -> Any:
    """A value that is no container, as JSON can hold it."""
    value = canonical(value)
    kind = type(value)
    if kind is str:
        return value if not value or value[0] != "\0" else "\0s:" + value
    if kind is float:
        return f"\0f:{value!r}" if value - value else value
    if kind is bytes:
        return "\0b:" + base64.b64encode(value).decode("ascii")
    if kind is datetime:
        return "\0d:" + time_text(value)
    if kind is Constant:
        return "\0c:" + json.dumps([value.name, escaped_value(value.value)])
    return value


def escaped_key(key: Any) -> str:
    """A key as a string."""
    value = escaped_value(key)
    match value:
        case str():
            return value
        case bool() | None:
            return f"\0v:{json.dumps(value)}"
        case int():
            return f"\0i:{value}"
    return f"\0f:{value!r}"


def unescaped(value: Any, packed: bytes) -> Any:
    """A decoded JSON value with all escapes in `packed` undone, and its depth checked."""
    count = packed.count(NUL_IN_JSON)
    if not count and packed.count(b"[") + packed.count(b"{") <= MAX_DEPTH:
        return value
    return settled(value, str if count else None, _unescape, count)


def _unescape(value: str) -> Any:
    if not value or value[0] != "\0":
        return value
    mark, payload = value[1:3], value[3:]
    match mark:
        case "s:":
            return payload
        case "b:":
            return text(base64.b64decode(payload, validate=True))
        case "i:":
            return int(payload)
        case "f:":
            return float(payload)
        case "v:" if payload in _WORDS:
            return _WORDS[payload]
        case "d:":
            return read_time(payload.encode())
        case "c:":
            match json.loads(payload):
                case [str(name), str() | int() | float() | None as inner]:
                    return Constant(name, _unescape(inner) if isinstance(inner, str) else inner)
    raise ValueError(f"an escape that means nothing: {value!r:.40}")
