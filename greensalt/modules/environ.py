"""The environment variables of the minion."""

from __future__ import annotations

import os
from typing import Any

GREEN = True


def setval(key: Any, val: Any, false_unsets: bool = False, permanent: bool = False) -> Any:
    """Set an environment variable; return its value, ``False`` if that is no text.

    A value of ``False`` empties it, or with ``false_unsets`` removes it.

    CLI Example:

        greensalt-cli '*' environ.setval foo bar
        greensalt-cli '*' environ.setval baz val=False false_unsets=True
    """
    if not isinstance(key, str):
        return False
    if val is False:
        if false_unsets is True:
            os.environ.pop(key, None)
            return None
        val = ""
    if not isinstance(val, str):
        return False
    try:
        os.environ[key] = val
    except (ValueError, OSError):
        return False
    return os.environ[key]


def setenv(
    environ: Any,
    false_unsets: bool = False,
    clear_all: bool = False,
    update_minion: bool = False,
    permanent: bool = False,
) -> Any:
    """Set several environment variables; ``clear_all`` empties or removes all others.

    CLI Example:

        greensalt-cli '*' environ.setenv '{"foo": "bar", "baz": "quux"}'
        greensalt-cli '*' environ.setenv '{"a": "b", "c": False}' false_unsets=True
    """
    if not isinstance(environ, dict):
        return False
    result: dict[str, Any] = {}
    if clear_all is True:
        for key in [key for key in os.environ if key not in environ]:
            result[key] = setval(key, False, false_unsets)
    for key, val in environ.items():
        if not isinstance(val, str) and val is not False:
            return False
        result[key] = setval(key, val, false_unsets)
    return result


def get(key: Any, default: Any = "") -> Any:
    """Return an environment variable, or ``default``.

    CLI Example:

        greensalt-cli '*' environ.get foo
        greensalt-cli '*' environ.get baz default=False
    """
    return os.environ.get(key, default) if isinstance(key, str) else False


def has_value(key: Any, value: Any = None) -> bool:
    """Tell whether an environment variable is set, and if given to what.

    CLI Example:

        greensalt-cli '*' environ.has_value foo
    """
    if not isinstance(key, str) or key not in os.environ:
        return False
    return value is None or os.environ[key] == value


def item(keys: Any, default: Any = "") -> dict[str, Any]:
    """Return some environment variables.

    CLI Example:

        greensalt-cli '*' environ.item foo
        greensalt-cli '*' environ.item '[foo, baz]' default=None
    """
    names = [keys] if isinstance(keys, str) else keys if isinstance(keys, list) else []
    return {name: os.environ.get(name, default) for name in names}


def items() -> dict[str, str]:
    """Return all environment variables.

    CLI Example:

        greensalt-cli '*' environ.items
    """
    return dict(os.environ)
