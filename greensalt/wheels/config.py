"""The options of the master."""

from __future__ import annotations

from typing import Any

from greensalt.master.context import MasterContext
from greensalt.master.shownoptions import shown_options

GREEN = True


def values(*, context: MasterContext) -> dict[str, Any]:
    """Return the options of the master by name; secrets are hidden.

    CLI Example:

        greensalt run salt.wheel config.values
    """
    return shown_options(context.config)
