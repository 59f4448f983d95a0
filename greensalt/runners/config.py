"""The options of the master."""

from __future__ import annotations

from typing import Any

from greensalt.master.context import MasterContext
from greensalt.master.shownoptions import shown_options

GREEN = True


def get(key: str, default: Any = "", delimiter: str = ":", *, context: MasterContext) -> Any:
    """Return an option of the master; levels have a colon between them.

    CLI Example:

        greensalt run config.get publish_port
        greensalt run config.get nodegroups:web
    """
    value: Any = shown_options(context.config)
    for part in str(key).split(delimiter):
        if not isinstance(value, dict) or part not in value:
            return default
        value = value[part]
    return value
