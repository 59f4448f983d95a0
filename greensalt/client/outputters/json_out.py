"""JSON, indented by four columns unless told otherwise."""

from __future__ import annotations

import json
from typing import Any

from greensalt.client.outputters import Style

INDENT = 4


def output(data: Any, style: Style) -> str:
    """JSON text; what JSON has no type for is written as its Python text."""
    indent = INDENT if style.indent is None else style.indent
    return json.dumps(data, indent=None if indent < 0 else indent, ensure_ascii=False, default=repr)
