"""Helpers of several modules: a way through nested data, and loose booleans."""

from __future__ import annotations

import fnmatch
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


def choose(
    table: Mapping[str, Any],
    value: Any,
    merge: Mapping[str, Any] | None,
    default: str,
    base: str | None,
) -> Any:
    """The entry of a table whose key, a pattern, matches the value or an element of it.

    `default` is the key to take if none does, `base` the key of a dict below the chosen one, and
    `merge` a dict above it.
    """
    values = value if isinstance(value, list) else [value]
    chosen = next(
        (
            entry
            for wanted in values
            for pattern, entry in table.items()
            if fnmatch.fnmatchcase(str(wanted), str(pattern))
        ),
        table.get(default),
    )
    if base is not None and base in table:
        chosen = _over(table[base], chosen)
    return _over(chosen, merge) if merge else chosen


def _over(below: Any, above: Any) -> Any:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return below if above is None else above
    merged = dict(below)
    for key, value in above.items():
        merged[key] = _over(below[key], value) if key in below else value
    return merged


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
