"""The client on the master's host: publishes jobs and follows their results.

`LocalClient`, `RunnerClient` and `WheelClient` are the Python API; the outputters turn results
into text.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greensalt.client.local import LocalClient
    from greensalt.client.runs import RunnerClient, WheelClient

__all__ = ["LocalClient", "RunnerClient", "WheelClient"]

_HOMES = {"LocalClient": "local", "RunnerClient": "runs", "WheelClient": "runs"}


def __getattr__(name: str) -> Any:
    """Import a client at its first use: an outputter alone needs no sockets."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
