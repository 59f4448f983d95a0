"""What `salt[...]` offers to a pillar template: functions of what the master knows of the minion.

In stock Salt every execution module can be called here, and runs on the master with the master's
rights. greensalt offers those that only compute.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

from greensalt.errors import PillarError
from greensalt.master.pillar.lookup import MISSING, traverse
from greensalt.master.pillar.merge import STRATEGIES, merge, merge_recursively
from greensalt.target import Facts, Nodegroups, matches

Function = Callable[..., Any]


class SaltFunctions:
    """`salt['grains.get'](...)`, `salt.grains.get(...)` and `'grains.get' in salt`."""

    __slots__ = ("_table",)

    def __init__(self, table: Mapping[str, Function]) -> None:
        self._table = table

    def __getitem__(self, name: str) -> Function:
        if name not in self._table:
            raise PillarError(f"the function {name!r} is not available to pillar templates")
        return self._table[name]

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def __getattr__(self, module: str) -> _Module:
        if module.startswith("_"):
            raise AttributeError(module)
        return _Module(self, module)

    def get(self, name: str, default: Any = None) -> Any:
        """The function of that name, or the default."""
        return self._table.get(name, default)


class _Module:
    """`salt.grains`, whose attributes are the functions."""

    __slots__ = ("_functions", "_name")

    def __init__(self, functions: SaltFunctions, name: str) -> None:
        self._functions = functions
        self._name = name

    def __getattr__(self, function: str) -> Function:
        if function.startswith("_"):
            raise AttributeError(function)
        return self._functions[f"{self._name}.{function}"]


def salt_functions(facts: Facts, opts: Mapping[str, Any], nodegroups: Nodegroups) -> SaltFunctions:
    """The functions for one minion; `facts.pillar` is what templates see as `pillar`."""
    grains, pillar = facts.grains, facts.pillar
    table: dict[str, Function] = {
        "grains.get": partial(_get, grains),
        "grains.item": lambda *names: {name: _get(grains, name) for name in names},
        "grains.items": lambda: dict(grains),
        "grains.has_value": lambda name: bool(_get(grains, name)),
        "grains.filter_by": partial(_filter_by, grains),
        "pillar.get": partial(_get, pillar),
        "pillar.item": lambda *names: {name: _get(pillar, name) for name in names},
        "pillar.items": lambda: dict(pillar),
        "config.get": partial(_config_get, (opts, grains, pillar)),
        "slsutil.merge": _merge,
        "slsutil.update": _update,
    }
    for kind in ("glob", "pcre", "list", "grain", "grain_pcre", "pillar", "ipcidr", "compound"):
        table[f"match.{kind}"] = partial(_match, facts, nodegroups, kind)
    return SaltFunctions(table)


def _get(data: Mapping[str, Any], key: str, default: Any = "", delimiter: str = ":") -> Any:
    return traverse(data, key, default, delimiter)


def _config_get(sources: tuple[Mapping[str, Any], ...], key: str, default: Any = "") -> Any:
    for source in sources:
        value = traverse(source, key, MISSING)
        if value is not MISSING:
            return value
    return default


def _match(
    facts: Facts, nodegroups: Nodegroups, kind: str, tgt: Any, minion_id: str | None = None
) -> bool:
    if minion_id is not None and minion_id != facts.id:
        raise PillarError("match.* can be asked only of the minion whose pillar it is")
    return matches(tgt, kind, facts, nodegroups=nodegroups)


def _filter_by(
    grains: Mapping[str, Any],
    lookup_dict: Mapping[str, Any],
    grain: str = "os_family",
    merge: Mapping[str, Any] | None = None,  # the argument's name is Salt's
    default: str = "default",
    base: str | None = None,
) -> Any:
    """The entry whose key, a shell pattern, matches the grain; between `base` and `merge`."""
    value = traverse(grains, grain, None)
    wanted = value if isinstance(value, list) else [value]
    chosen = _first_match(lookup_dict, wanted)
    if chosen is None:
        chosen = lookup_dict.get(default)
    chosen = deepcopy(chosen)
    if base and base in lookup_dict:
        below = lookup_dict[base]
        if chosen is None:
            chosen = deepcopy(below)
        elif isinstance(below, Mapping) and isinstance(chosen, Mapping):
            chosen = merge_recursively(deepcopy(below), chosen)
        else:
            raise PillarError("filter_by: base and the chosen entry must be dictionaries")
    if not merge:
        return chosen
    if not isinstance(merge, Mapping):
        raise PillarError("filter_by: merge must be a dictionary")
    if chosen is None:
        return merge
    if not isinstance(chosen, Mapping):
        raise PillarError("filter_by: an entry to merge into must be a dictionary")
    return merge_recursively(chosen, merge)


def _first_match(table: Mapping[str, Any], wanted: list[Any]) -> Any:
    for value in wanted:
        for pattern, entry in table.items():
            if fnmatch.fnmatchcase(str(value), str(pattern)):
                return entry
    return None


def _merge(
    obj_a: Mapping[Any, Any],
    obj_b: Mapping[Any, Any],
    strategy: str = "smart",
    renderer: str = "yaml",  # noqa: ARG001  # Salt has it here
    merge_lists: bool = False,
) -> dict[Any, Any]:
    if strategy not in STRATEGIES:
        raise PillarError(f"slsutil.merge: no strategy {strategy!r}: {', '.join(STRATEGIES)}")
    return merge(deepcopy(obj_a), deepcopy(obj_b), strategy, merge_lists=merge_lists)


def _update(
    dest: Mapping[Any, Any],
    upd: Mapping[Any, Any],
    recursive_update: bool = True,
    merge_lists: bool = False,
) -> dict[Any, Any]:
    if not recursive_update:
        return {**dest, **upd}
    return merge_recursively(deepcopy(dest), deepcopy(upd), merge_lists)
