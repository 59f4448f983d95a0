"""The default: keys and values, each level four columns further in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from greensalt.client.outputters import Style
from greensalt.client.outputters.ansi import CYAN, GREEN, YELLOW, harmless, paint

RULE = "----------"


def output(data: Any, style: Style) -> str:
    """Nested text; bytes that are not UTF-8 are shown with backslash escapes, Salt drops them."""
    return "\n".join(lines(data, 0, style.color))


def lines(value: Any, indent: int, color: bool) -> Iterator[str]:
    """The lines of `value`, `indent` columns from the left."""
    if isinstance(value, Mapping):
        yield from _mapping(value, indent, color)
    elif isinstance(value, list | tuple | set | frozenset):
        yield from _sequence(value, indent, color)
    else:
        yield from _scalar(value, indent, "", color)


def _mapping(value: Mapping[Any, Any], indent: int, color: bool) -> Iterator[str]:
    margin = " " * indent
    if indent:
        yield margin + paint(CYAN, RULE, color)
    for key in in_order(value):
        yield f"{margin}{paint(CYAN, harmless(text_of(key)), color)}:"
        yield from lines(value[key], indent + 4, color)


def _sequence(value: Any, indent: int, color: bool) -> Iterator[str]:
    for item in value:
        if isinstance(item, Mapping | list | tuple | set | frozenset):
            yield " " * indent + paint(GREEN, "|_", color)
            yield from lines(item, indent + 2, color)
        else:
            yield from _scalar(item, indent, "- ", color)


def _scalar(value: Any, indent: int, prefix: str, color: bool) -> Iterator[str]:
    margin = " " * indent
    if not isinstance(value, str | bytes):
        yield margin + paint(YELLOW, f"{prefix}{value}", color)
        return
    for line in harmless(text_of(value)).splitlines():
        yield margin + paint(GREEN, prefix + line, color)
        prefix = " " * len(prefix)


def text_of(value: object) -> str:
    """`value` as str, bytes decoded without loss."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def in_order(keys: Mapping[Any, Any]) -> list[Any]:
    """The keys, sorted; keys of several types in the order of their texts."""
    try:
        return sorted(keys)
    except TypeError:
        return sorted(keys, key=str)
