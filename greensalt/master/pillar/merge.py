"""How two pillar dictionaries become one: the values of `pillar_source_merging_strategy`.

Nothing given is ever changed, and what both have in common is shared: data that were read from a
file can be merged into many minions' pillars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Data = Mapping[Any, Any]


def merge(
    below: Data, above: Data, strategy: str = "smart", *, merge_lists: bool = False
) -> dict[Any, Any]:
    """The merger of two dictionaries, in which `above` wins.

    An unknown strategy is KeyError: the configuration has checked it.
    """
    return _STRATEGIES[strategy](below, above, merge_lists)


def merge_recursively(below: Data, above: Data, merge_lists: bool = False) -> dict[Any, Any]:
    """Dictionaries are merged at every depth; other values are replaced.

    With `merge_lists` a list gets those elements of the other that it lacks.
    """
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge_recursively(old, value, merge_lists)
        elif merge_lists and isinstance(old, list) and isinstance(value, list):
            merged[key] = _with_missing(old, value)
        else:
            merged[key] = value
    return merged


def _with_missing(old: list[Any], new: list[Any]) -> list[Any]:
    joined = list(old)
    for item in new:
        if item not in joined:
            joined.append(item)
    return joined


def _overwrite(below: Data, above: Data, _merge_lists: bool) -> dict[Any, Any]:
    return {**below, **above}


def _list(below: Data, above: Data, _merge_lists: bool) -> dict[Any, Any]:
    """What both have becomes a list of two; what only the upper one has is lost, as in Salt."""
    return {key: [value, above[key]] if key in above else value for key, value in below.items()}


def _none(below: Data, above: Data, _merge_lists: bool) -> dict[Any, Any]:
    """Only one environment is read, and its files are merged without their lists."""
    return merge_recursively(below, above)


_STRATEGIES: Final[Mapping[str, Callable[[Data, Data, bool], dict[Any, Any]]]] = {
    "smart": merge_recursively,
    "recurse": merge_recursively,
    "aggregate": _overwrite,  # without the tags of Salt's yamlex renderer that is all it does
    "overwrite": _overwrite,
    "list": _list,
    "none": _none,
}

STRATEGIES: Final = tuple(_STRATEGIES)
