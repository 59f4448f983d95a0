"""The client on the master's host: publishes jobs and follows their results.

`LocalClient` is the Python API; the outputters turn results into text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greensalt.client.local import LocalClient

__all__ = ["LocalClient"]


def __getattr__(name: str) -> Any:
    """Import LocalClient at its first use: an outputter alone needs no sockets."""
    if name != "LocalClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from greensalt.client.local import LocalClient

    return LocalClient
