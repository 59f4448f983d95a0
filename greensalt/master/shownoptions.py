"""The master's options for people: without what is secret."""

from __future__ import annotations

import re
from typing import Any, Final

from greensalt.config import MasterConfig

HIDDEN: Final = "<hidden>"
_SECRET: Final = re.compile("pass|secret|token$|api_key", re.IGNORECASE)


def shown_options(config: MasterConfig) -> dict[str, Any]:
    """All options by name; the values of secret ones, at every level, are hidden."""
    limits = type(config).limits
    secret = {name for name, limit in limits.items() if limit.secret}
    options = config.options()
    return {
        name: HIDDEN if name in secret and value is not None else _without_secrets(name, value)
        for name, value in options.items()
    }


def _without_secrets(name: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets("", item) for item in value]
    if isinstance(value, str) and value and _SECRET.search(str(name)):
        return HIDDEN
    return value
