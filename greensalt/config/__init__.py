"""Configuration: Salt's YAML files and option names as frozen, typed objects.

`MasterConfig`, `MinionConfig` and `ClientConfig` each have a `load(config_dir, overrides)`. Only
the entry points and the two daemons see a whole config; what is below gets the values it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greensalt.config.client import ClientConfig
    from greensalt.config.master import MasterConfig
    from greensalt.config.minion import MinionConfig

__all__ = ["ClientConfig", "MasterConfig", "MinionConfig"]

_HOMES = {"ClientConfig": "client", "MasterConfig": "master", "MinionConfig": "minion"}


def __getattr__(name: str) -> Any:
    """Import a config class at its first use: a CLI should not pay for the daemons' options."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
