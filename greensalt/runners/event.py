"""The master's event bus."""

from __future__ import annotations

from typing import Any

from greensalt.errors import SaltInvocationError
from greensalt.master.context import MasterContext
from greensalt.wire.tags import check_tag

GREEN = True


def send(tag: str, data: dict[str, Any] | None = None, *, context: MasterContext) -> bool:
    """Fire an event with some data on the master's bus.

    CLI Example:

        greensalt run event.send my/own/tag '{colour: green}'
    """
    if data is not None and not isinstance(data, dict):
        raise SaltInvocationError(f"the data of an event are a dict, not {type(data).__name__}")
    return context.fire_event(check_tag(tag), data or {})
