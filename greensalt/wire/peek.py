"""What can be told of a request or an event without building what is in it.

A message of a few megabytes can hold millions of objects, and to build them takes seconds. Whoever
sends that much has to say first who he is: these are the fields that tell it. What lies between
them is skipped, at 3 ns an object.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgpack

from greensalt.errors import MalformedMessage

MAX_FIELDS: Final = 64
_LONGEST_TEXT: Final = 255
_MOST_COUNTED: Final = 0x7FFF
_STAMP_KEY: Final = b"\xa6_stamp"
_BROKEN: Final = (ValueError, TypeError, OverflowError, IndexError, msgpack.OutOfData)


class Peek(NamedTuple):
    """The fields of a request that say who asks; None for one that is absent or no short text.

    `is_flat` means that the envelope itself holds no containers besides a clear load: to read an
    encrypted request costs then no more than its packet.
    """

    enc: str | None
    id: str | None
    key: str | None
    is_flat: bool
    token: str | None = None


def peek_request(body: bytes) -> Peek:
    """Look at a request of any size; raises MalformedMessage when it is none."""
    reader = msgpack.Unpacker(raw=True, max_buffer_size=max(1, len(body)), strict_map_key=False)
    reader.feed(body)
    found: dict[str, str | None] = {}
    is_flat = True
    try:
        for _ in range(_fields(reader)):
            name = _text(reader, body)
            if name == "load" and _is_map(body[reader.tell()]):
                for _ in range(_fields(reader)):
                    inner = _text(reader, body)
                    found[f"load/{inner}"] = _text(reader, body)
                continue
            is_flat = is_flat and not _is_container(body[reader.tell()])
            if name is None:
                reader.skip()
            else:
                found[name] = _text(reader, body)
    except _BROKEN as error:
        raise MalformedMessage(f"not a request: {error}") from error
    return Peek(
        found.get("enc"), found.get("id"), found.get("load/key"), is_flat, found.get("load/token")
    )


class EventPeek:
    """Looks at packed event data without building them. Its reader is used again and again."""

    def __init__(self) -> None:
        self._reader = _event_reader()

    def is_stamped(self, body: bytes) -> bool:
        """Whether this is one whole map whose last key is `_stamp`.

        Whatever greensalt fires is; of others, True is proof, and False means: read it.
        """
        first = body[:1]
        fields, start = (first[0] & 0x0F, 1) if b"\x80" < first <= b"\x8f" else (0, 0)
        if first == b"\xde":
            fields, start = int.from_bytes(body[1:3], "big"), 3
        if not fields or fields > _MOST_COUNTED:
            return False
        try:
            return self._is_last_key(body, start, 2 * fields - 2)
        except _BROKEN:
            self._reader = _event_reader()
            return False

    def _is_last_key(self, body: bytes, start: int, before: int) -> bool:
        reader, began = self._reader, self._reader.tell()
        # As one array, all objects before the last key are skipped at once.
        reader.feed(b"\xdc" + before.to_bytes(2, "big") + body[start:])
        reader.skip()
        at = reader.tell() - began - 3 + start
        reader.skip()
        reader.skip()
        whole = reader.tell() - began - 3 + start == len(body)
        if not whole:
            self._reader = _event_reader()  # or the rest would be read as the next event's
        return whole and body.startswith(_STAMP_KEY, at)


def _event_reader() -> msgpack.Unpacker:
    return msgpack.Unpacker(raw=True, strict_map_key=False)


def _fields(reader: msgpack.Unpacker) -> int:
    count: int = reader.read_map_header()
    if count > MAX_FIELDS:
        raise ValueError(f"{count} fields")
    return count


def _text(reader: msgpack.Unpacker, body: bytes) -> str | None:
    """The next object when it is a short text; anything else is skipped."""
    at = reader.tell()
    first = body[at]
    is_short = 0xA0 <= first <= 0xBF or first in (0xC4, 0xD9)  # fixstr, bin 8, str 8
    if first in (0xC5, 0xDA):  # bin 16, str 16
        is_short = int.from_bytes(body[at + 1 : at + 3], "big") <= _LONGEST_TEXT
    if not is_short:
        reader.skip()
        return None
    raw: bytes = reader.unpack()
    return raw.decode()


def _is_map(first: int) -> bool:
    return 0x80 <= first <= 0x8F or first in (0xDE, 0xDF)


def _is_container(first: int) -> bool:
    return 0x80 <= first <= 0x9F or 0xDC <= first <= 0xDF
