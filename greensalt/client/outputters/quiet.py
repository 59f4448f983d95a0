"""Nothing: for jobs whose exit code is all that matters."""

from __future__ import annotations

from typing import Any

from greensalt.client.outputters import Style


def output(_data: Any, _style: Style) -> str:
    return ""
