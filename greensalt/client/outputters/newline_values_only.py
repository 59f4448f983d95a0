"""Values alone, one on a line, without minion ids: for piping into other programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from greensalt.client.outputters import Style, nested


def output(data: Any, style: Style) -> str:
    if not isinstance(data, dict):
        return nested.output(data, style)
    return "\n".join(line for value in data.values() for line in _lines(value))


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        yield from map(str, value)
    else:
        yield str(value)
