"""Lists of records as tables with borders, everything around them as headings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from greensalt.client.outputters import Style, nested
from greensalt.client.outputters.ansi import DARK_GRAY, LIGHT_GRAY, WHITE, harmless, paint

RULE = "----------"


def output(data: Any, style: Style) -> str:
    """Tables; values that make no table are shown nested, where Salt leaves them out."""
    return "\n".join(_lines(data, 0, style.color))


def _lines(value: Any, indent: int, color: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        margin = " " * indent
        for key in nested.in_order(value):
            yield f"{margin}{paint(DARK_GRAY, harmless(str(key)), color)}:"
            yield margin + paint(DARK_GRAY, RULE, color)
            yield from _lines(value[key], indent + 4, color)
    elif rows := _rows(value):
        yield from _table(rows, indent, color)
    else:
        yield from nested.lines(value, indent, color)


def _rows(value: Any) -> list[list[str]]:
    """The cells of a table with its head, if there is one; empty when `value` makes no table."""
    if not isinstance(value, list | tuple) or not value:
        return []
    if all(isinstance(item, Mapping) for item in value):
        columns = sorted({str(key) for item in value for key in item})
        records = [{str(key): item[key] for key in item} for item in value]
        body = [[_cell(record.get(name, "")) for name in columns] for record in records]
        return [[_cell(name).capitalize() for name in columns], *body]
    if any(isinstance(item, Mapping | list | tuple) for item in value):
        return []
    return [[_cell(item)] for item in value]


def _cell(value: object) -> str:
    return " ".join(harmless(nested.text_of(value)).split())


def _table(rows: Sequence[Sequence[str]], indent: int, color: bool) -> Iterator[str]:
    margin = " " * indent
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = margin + paint(LIGHT_GRAY, "-" * (sum(widths) + 3 * len(widths) + 1), color)
    yield rule
    for row in rows:
        cells = " | ".join(cell.center(width) for cell, width in zip(row, widths, strict=True))
        yield margin + paint(WHITE, f"| {cells} |", color)
        yield rule
