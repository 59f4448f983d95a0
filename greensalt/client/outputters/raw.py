"""The data as Python writes it, for scripts that read it back with `ast.literal_eval`."""

from __future__ import annotations

from typing import Any

from greensalt.client.outputters import Style


def output(data: Any, _style: Style) -> str:
    return str(data)
