"""Helpers of several modules: a way through nested data, and loose booleans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from greensalt.wire.arguments import yaml_value

DELIMITER: Final = ":"
MISSING: Final = object()


def traverse(data: Any, key: Any, default: Any = None, delimiter: str = DELIMITER) -> Any:
    """Follow a path such as `a:b:0` through dicts and lists; `default` where it leads nowhere.

    A part is a key, in a list an index, or else the key of a dict in that list. A part that looks
    like a number also finds a number among the keys.
    """
    if isinstance(key, str):
        parts: Sequence[Any] = key.split(delimiter)
    else:
        parts = key if isinstance(key, list | tuple) else [key]
    for part in parts:
        data = _step(data, part)
        if data is MISSING:
            return default
    return data


def _step(data: Any, part: Any) -> Any:
    if isinstance(data, list | tuple):
        return _step_into_list(data, part)
    if not isinstance(data, Mapping):
        return MISSING
    try:
        if part in data:
            return data[part]
        return data.get(yaml_value(part), MISSING) if isinstance(part, str) else MISSING
    except TypeError:  # an unhashable part
        return MISSING


def _step_into_list(data: Sequence[Any], part: Any) -> Any:
    try:
        index: Any = int(part)
    except (TypeError, ValueError):
        index = None
    wanted = part if index is None else index
    for item in data:
        if isinstance(item, Mapping) and wanted in item:
            return item[wanted]
    if index is None or not -len(data) <= index < len(data):
        return MISSING
    return data[index]


def is_true(value: Any) -> bool:
    """Whether a value from a command line or a file means yes: True, "true", a number above 0."""
    try:
        value = int(value)
    except (TypeError, ValueError):
        pass
    if isinstance(value, int | float):
        return value > 0
    if isinstance(value, str):
        return value.lower() == "true"
    return bool(value)


def split_list(value: Any) -> list[Any]:
    """The items of a list, or of a text with commas between them."""
    if value is None:
        return []
    if isinstance(value, str):
        return [item.strip() for item in value.split(",")]
    if isinstance(value, list | tuple | set):
        return list(value)
    return [item.strip() for item in str(value).split(",")]
