"""The msgpack dialects of the wire (old spec) and of the event bus and files (new spec).

Spec 1.2. On ports 4505 and 4506 text and bytes share one msgpack family, so a receiver can only
guess: whatever is valid UTF-8 arrives as ``str``, the rest as ``bytes``. The bus and files keep the
two apart.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final

import msgpack

from greensalt.errors import MalformedMessage

MAX_DEPTH: Final = 256
"""Containers inside containers that a message from the wire may have."""

EXT_DATETIME: Final = 78
EXT_CONSTANT: Final = 79

_CHECK_LENGTHS_ABOVE: Final = 1024
"""Bytes. A message that small can't make msgpack reserve more than 2 MB for promised elements."""

_TIME_FORMAT: Final = "%m%dT%H:%M:%S.%f"
_TIME_TEXT: Final = re.compile(
    rb"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.([0-9]{6})"
)

_NOT_PLAIN: Final = frozenset({bytes, dict, list, msgpack.Timestamp})

_BROKEN: Final = (ValueError, TypeError, OverflowError)
"""What msgpack raises for bytes it can't read or objects it can't write."""


class Constant:
    """A named constant of Salt's, as it travels in extension type 79."""

    # No dataclass: what that imports would take a tenth of a command line's start.
    __slots__ = ("name", "value")

    def __init__(self, name: str, value: str | float | bool | None) -> None:
        self.name = name
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constant):
            return NotImplemented
        return (self.name, self.value) == (other.name, other.value)

    def __hash__(self) -> int:
        return hash((self.name, self.value))

    def __repr__(self) -> str:
        return f"Constant({self.name!r}, {self.value!r})"


def pack(obj: object) -> bytes:
    """Pack an object for ports 4505 and 4506.

    Text and bytes share the raw family, tuples and sets become arrays, dates become extension 78,
    integers beyond 64 bits become decimal strings, a container inside itself becomes a string that
    says so. Raises MalformedMessage for what has no place in a message.
    """
    return _pack(obj, use_bin_type=False)


def pack_bin(obj: object) -> bytes:
    """Pack an object for the event bus and for files: bytes and text stay apart (bin family)."""
    return _pack(obj, use_bin_type=True)


def unpack(data: bytes) -> Any:
    """Unpack one object that came in on port 4505 or 4506.

    Byte strings that are valid UTF-8 become str, keys too; the others stay bytes. Raises
    MalformedMessage for everything that is not exactly one object of bounded depth.
    """
    return to_text(unpack_raw(data))


def unpack_raw(data: bytes) -> Any:
    """As `unpack`, with all text as byte strings; for whoever reads a field or two of it."""
    try:
        _check_lengths(data)
        return msgpack.unpackb(data, raw=True, strict_map_key=False, ext_hook=read_extension)
    except _BROKEN as error:
        raise MalformedMessage(f"not a message: {error}") from error


def to_text(raw: Any) -> Any:
    """What `unpack` makes of an object of `unpack_raw`."""
    try:
        return _to_text(raw, MAX_DEPTH)
    except _BROKEN as error:
        raise MalformedMessage(f"not a message: {error}") from error


def unpack_bin(data: bytes) -> Any:
    """Unpack one object of the event bus or of a file; raises MalformedMessage."""
    try:
        _check_lengths(data)
        return msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=False,
            unicode_errors="surrogateescape",
            ext_hook=read_extension,
        )
    except _BROKEN as error:
        raise MalformedMessage(f"not an event or a cached object: {error}") from error


def _pack(obj: object, *, use_bin_type: bool) -> bytes:
    try:
        return _pack_once(obj, use_bin_type)
    except _BROKEN as error:
        # Only a container inside itself is worth a second try, and looking for one costs a walk
        # that ordinary messages should not pay.
        try:
            return _pack_once(_without_cycles(obj, (), MAX_DEPTH), use_bin_type)
        except _BROKEN:
            raise MalformedMessage(f"can't be sent: {error}") from error


def _pack_once(obj: object, use_bin_type: bool) -> bytes:
    packed: bytes = msgpack.packb(
        obj, use_bin_type=use_bin_type, unicode_errors="surrogateescape", default=_write_other
    )
    return packed


def _write_other(obj: object) -> object:
    """Turn what msgpack doesn't know into something it does."""
    if isinstance(obj, (datetime, date)):
        return msgpack.ExtType(EXT_DATETIME, time_text(obj).encode("ascii"))
    if isinstance(obj, (set, frozenset)):
        return list(obj)
    if isinstance(obj, int):
        return str(obj)
    if isinstance(obj, Constant):
        return msgpack.ExtType(EXT_CONSTANT, msgpack.packb([obj.name, obj.value]))
    raise TypeError(f"a value of type {type(obj).__name__} has no form on the wire")


def read_extension(code: int, payload: bytes) -> object:
    """Decode one extension; an unknown one is kept as its payload."""
    if code == EXT_DATETIME:
        return read_time(payload)
    if code == EXT_CONSTANT:
        # Without a hook of its own: extensions inside extensions would recurse on the C stack.
        match msgpack.unpackb(payload):
            case [str(name), str() | int() | float() | None as value]:
                return Constant(name, value)
        raise ValueError("extension 79 is not a name and a plain value")
    return payload


def time_text(moment: date) -> str:
    """A date or time in the text form of extension 78; strftime alone would cut early years."""
    return f"{moment.year:04}{moment.strftime(_TIME_FORMAT)}"


def read_time(payload: bytes) -> datetime:
    """The time in extension 78, without a zone; raises ValueError."""
    found = _TIME_TEXT.fullmatch(payload)
    if found is None:
        raise ValueError("extension 78 is not a time")
    year, month, day, hour, minute, second, micro = map(int, found.groups())
    # Naive, as the wire has it: no peer says which zone it means.
    return datetime(year, month, day, hour, minute, second, micro)  # noqa: DTZ001


def _check_lengths(data: bytes) -> None:
    """Refuse lengths that are promised but not there, before memory is reserved for them.

    A skipping reader builds nothing; what it can read to the end has all elements it declares.
    """
    if len(data) > _CHECK_LENGTHS_ABOVE:
        reader = msgpack.Unpacker(max_buffer_size=len(data))
        reader.feed(data)
        try:
            reader.skip()
        except msgpack.OutOfData as error:
            raise ValueError("incomplete") from error


def _to_text(value: Any, depth: int) -> Any:
    """Make text of all byte strings in a value that are valid UTF-8.

    Every message passes here, so what a dictionary holds costs no call of its own.
    """
    kind = type(value)
    if kind is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if kind is msgpack.Timestamp:
        return value.to_bytes()
    if kind is not dict and kind is not list:
        return value
    if not depth:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    return _list_to_text(value, depth - 1) if kind is list else _dict_to_text(value, depth - 1)


def _list_to_text(value: list[Any], depth: int) -> list[Any]:
    return [_to_text(item, depth) if type(item) in _NOT_PLAIN else item for item in value]


def _dict_to_text(value: dict[Any, Any], depth: int) -> dict[Any, Any]:
    found = {}
    for key, item in value.items():
        if type(key) is bytes:
            try:
                key = key.decode()
            except UnicodeDecodeError:
                pass
        elif type(key) is msgpack.Timestamp:
            key = key.to_bytes()
        if type(item) is bytes:
            try:
                item = item.decode()
            except UnicodeDecodeError:
                pass
        elif type(item) in _NOT_PLAIN:
            item = _to_text(item, depth)
        found[key] = item
    return found


def _without_cycles(value: object, path: tuple[int, ...], depth: int) -> object:
    """Copy a value, with a note in the place of each container that contains itself."""
    if not isinstance(value, (dict, list, tuple, set, frozenset)):
        return value
    if id(value) in path:
        return f"<Recursion on {type(value).__name__} with id={id(value)}>"
    if not depth:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    path = (*path, id(value))
    if isinstance(value, dict):
        return {k: _without_cycles(v, path, depth - 1) for k, v in value.items()}
    return [_without_cycles(item, path, depth - 1) for item in value]
