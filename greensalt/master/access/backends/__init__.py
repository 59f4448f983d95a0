"""The back ends of external_auth: who knows users and their passwords.

Each is a small file with one class. Others come from installed packages, through the entry point
group `greensalt.auth`; docs/access.md shows one.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from greensalt.config import MasterConfig
from greensalt.errors import ConfigError
from greensalt.master.access.backends.backend import Backend

__all__ = ["Backend", "load_backend"]

ENTRY_POINTS: Final = "greensalt.auth"
BUILT_IN: Final = {
    "pam": "pam:Pam",
    "file": "file:PasswordFile",
    "sharedsecret": "sharedsecret:SharedSecret",
    "auto": "auto:Auto",
}


def load_backend(name: str, section: Mapping[str, Any], config: MasterConfig) -> Backend:
    """The back end of a section of external_auth; ConfigError when there is none of that name.

    Its options are the keys of the section with a caret in front, without the caret.
    """
    options = {key[1:]: value for key, value in section.items() if key.startswith("^")}
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        factory = getattr(import_module(f"{__name__}.{module}"), attribute)
    else:
        found = entry_points(group=ENTRY_POINTS, name=name)
        if not found:
            known = ", ".join([*BUILT_IN, *sorted(entry_points(group=ENTRY_POINTS).names)])
            raise ConfigError(f"external_auth: there is no back end {name!r}; there are {known}")
        factory = next(iter(found)).load()
    backend = factory(options, config)
    if not isinstance(backend, Backend):
        raise ConfigError(f"external_auth: the back end {name!r} is no Backend")
    return backend
