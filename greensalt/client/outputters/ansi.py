"""Terminal colours, and keeping a minion's text from steering the terminal."""

from __future__ import annotations

from typing import Final

RESET: Final = "\x1b[0;0m"
RED: Final = "\x1b[0;31m"
GREEN: Final = "\x1b[0;32m"
BLUE: Final = "\x1b[0;34m"
MAGENTA: Final = "\x1b[0;35m"
CYAN: Final = "\x1b[0;36m"
LIGHT_GRAY: Final = "\x1b[0;37m"
DARK_GRAY: Final = "\x1b[0;1;30m"
LIGHT_RED: Final = "\x1b[0;1;31m"
LIGHT_GREEN: Final = "\x1b[0;1;32m"
YELLOW: Final = "\x1b[0;1;33m"
LIGHT_BLUE: Final = "\x1b[0;1;34m"
LIGHT_MAGENTA: Final = "\x1b[0;1;35m"
WHITE: Final = "\x1b[0;1;37m"

# ESC, and CSI in its one-character form, begin the sequences that move cursors and set titles.
_STEERING: Final = str.maketrans({"\x1b": "?", "\x9b": "?"})


def paint(color: str, text: str, on: bool) -> str:
    """`text` between the colour and its reset, or as it is when colours are off."""
    return f"{color}{text}{RESET}" if on else text


def harmless(text: str) -> str:
    """`text` with a question mark for every character that begins a terminal sequence."""
    return text.translate(_STEERING)
