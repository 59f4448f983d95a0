"""Values by their path: `a:b:0` through dictionaries and lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MISSING = object()


def traverse(data: Any, key: Any, default: Any = None, delimiter: str = ":") -> Any:
    """The value at a path, or the default; a number picks a member of a list.

    In a list of dictionaries a key is looked up in each of them, the first that has it wins.
    """
    for part in str(key).split(delimiter):
        data = _below(data, part)
        if data is MISSING:
            return default
    return data


def _below(data: Any, part: str) -> Any:
    if isinstance(data, Mapping):
        if part in data:
            return data[part]
        return data.get(int(part), MISSING) if part.isdecimal() else MISSING
    if not isinstance(data, list):
        return MISSING
    for member in data:
        if isinstance(member, Mapping) and part in member:
            return member[part]
    if part.removeprefix("-").isdecimal() and -len(data) <= int(part) < len(data):
        return data[int(part)]
    return MISSING
