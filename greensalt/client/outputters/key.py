"""Lists of minion keys by state, as the key command prints them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from greensalt.client.outputters import Style, nested
from greensalt.client.outputters.ansi import (
    BLUE,
    GREEN,
    LIGHT_BLUE,
    LIGHT_GREEN,
    LIGHT_MAGENTA,
    LIGHT_RED,
    MAGENTA,
    RED,
    harmless,
    paint,
)

# state directory: (headline, its colour, colour of the keys); in the order of Salt's key command
SECTIONS: Final = {
    "local": ("Local Keys:", LIGHT_MAGENTA, MAGENTA),
    "minions": ("Accepted Keys:", LIGHT_GREEN, GREEN),
    "minions_denied": ("Denied Keys:", LIGHT_MAGENTA, MAGENTA),
    "minions_pre": ("Unaccepted Keys:", LIGHT_RED, RED),
    "minions_rejected": ("Rejected Keys:", LIGHT_BLUE, BLUE),
}


def output(data: Any, style: Style) -> str:
    """{state: [id, ...]} or {state: {id: fingerprint or PEM}}; other data is shown nested."""
    if not isinstance(data, dict) or not all(
        state in SECTIONS and isinstance(keys, list | dict) for state, keys in data.items()
    ):
        return nested.output(data, style)
    return "\n".join(
        line for state in SECTIONS if state in data for line in _lines(state, data, style)
    )


def _lines(state: str, data: dict[str, Any], style: Style) -> Iterator[str]:
    headline, head_color, key_color = SECTIONS[state]
    keys = data[state]
    yield paint(head_color, headline, style.color)
    for minion_id in sorted(keys):
        text = f"{minion_id}:  {keys[minion_id]}" if isinstance(keys, dict) else str(minion_id)
        yield paint(key_color, harmless(text), style.color)
