"""For tests of what follows on a failure."""

from __future__ import annotations

from typing import Any

from greensalt.errors import CommandExecutionError

GREEN = True


def error(name: str | None = None, message: str = "") -> dict[str, Any]:
    """Fail with a message, if a name is given.

    CLI Example:

        greensalt run error.error name=Exception message="so it goes"
    """
    if name is not None:
        raise CommandExecutionError(f"{name}: {message}" if message else str(name))
    return {}
