"""The message about a minion that did not return."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from greensalt.client.outputters import Style, nested
from greensalt.client.outputters.ansi import CYAN, RED, harmless, paint


def output(data: Any, style: Style) -> str:
    if not isinstance(data, dict):
        return nested.output(data, style)
    return "\n".join(line for key, text in data.items() for line in _lines(key, text, style.color))


def _lines(minion_id: str, text: object, color: bool) -> Iterator[str]:
    yield f"{paint(CYAN, harmless(str(minion_id)), color)}:"
    for line in harmless(str(text)).splitlines():
        yield paint(RED, f"    {line}", color)
