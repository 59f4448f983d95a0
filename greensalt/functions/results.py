"""Makes results sendable: what the wire can't carry becomes text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final

MAX_DEPTH: Final = 200
"""Containers inside containers; a message may have somewhat more."""

_PLAIN: Final = (str, bytes, bool, int, float, type(None), datetime, date)


def sendable(value: Any) -> Any:
    """A copy of a result in which everything has a form on the wire.

    Mappings become dicts, other collections lists; keys that are no plain values, objects of other
    types, containers inside themselves and what is nested too deep become text.
    """
    return _sendable(value, (), MAX_DEPTH)


def _sendable(value: Any, path: tuple[int, ...], depth: int) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if not isinstance(value, Mapping | list | tuple | set | frozenset) and not _is_view(value):
        return _text(value)
    if id(value) in path:
        return f"<Recursion on {type(value).__name__} with id={id(value)}>"
    if not depth:
        return f"<{type(value).__name__} nested more than {MAX_DEPTH} deep>"
    path = (*path, id(value))
    if isinstance(value, Mapping):
        return {_key(key): _sendable(item, path, depth - 1) for key, item in value.items()}
    return [_sendable(item, path, depth - 1) for item in value]


def _is_view(value: Any) -> bool:
    """Whether this is something like `dict.keys()` or a range: finite, and no stream."""
    return isinstance(value, Iterable) and hasattr(value, "__len__") and not hasattr(value, "read")


def _key(key: Any) -> Any:
    return key if isinstance(key, str | bytes | bool | int | float | type(None)) else _text(key)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # somebody else's __str__
        return f"<{type(value).__name__} without a text form>"
