"""The plug-in point of `ext_pillar`: functions that give a minion more pillar.

A plug-in is a function `(minion_id, pillar, *args, **kwargs) -> dict`, as in Salt. It is found by
its name in `<extension_modules>/pillar/NAME.py`, as the function `ext_pillar` of that file, or as
the entry point NAME of the group `greensalt.ext_pillar`. With a parameter `grains` it gets those.
Plug-ins run in native threads and may block.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, NamedTuple

from greensalt.errors import ConfigError, PillarError

GROUP: Final = "greensalt.ext_pillar"
Function = Callable[..., Any]


class Plugin(NamedTuple):
    """One entry of `ext_pillar`: what to call, and with what."""

    name: str
    function: Function
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    wants_grains: bool

    def ask(self, minion_id: str, pillar: dict[str, Any], grains: Mapping[str, Any]) -> Any:
        """What the plug-in says, a dictionary or nothing. Raises what the plug-in raises."""
        more = {"grains": grains} if self.wants_grains else {}
        answer = self.function(minion_id, pillar, *self.args, **self.kwargs, **more)
        if answer is not None and not isinstance(answer, Mapping):
            raise PillarError(f"it gave no dictionary but {type(answer).__name__}")
        return answer


def load_plugins(entries: Sequence[tuple[str, Any]], extension_modules: Path) -> list[Plugin]:
    """The plug-ins of the `ext_pillar` option; raises ConfigError for a name that isn't there."""
    functions: dict[str, Function] = {}
    plugins = []
    for name, given in entries:
        if name not in functions:
            functions[name] = _find(name, extension_modules / "pillar")
        args, kwargs = _arguments(given)
        function = functions[name]
        wants_grains = "grains" in inspect.signature(function).parameters
        plugins.append(Plugin(name, function, args, kwargs, wants_grains))
    return plugins


def _arguments(given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(given, Mapping):
        return (), {str(name): value for name, value in given.items()}
    if isinstance(given, list | tuple):
        return tuple(given), {}
    return (given,), {}


def _find(name: str, directory: Path) -> Function:
    path = directory / f"{name}.py"
    if re.fullmatch(r"\w+", name) and path.is_file():
        function = getattr(_imported(name, path), "ext_pillar", None)
    else:
        found = [point for point in entry_points(group=GROUP) if point.name == name]
        if not found:
            known = sorted(point.name for point in entry_points(group=GROUP))
            known += sorted(file.stem for file in directory.glob("*.py"))
            there = ", ".join(known) or "none at all"
            raise ConfigError(f"ext_pillar: there is no plug-in {name!r}; there are: {there}")
        function = found[0].load()
    if not callable(function):
        raise ConfigError(f"ext_pillar: the plug-in {name!r} has no function ext_pillar")
    return function  # type: ignore[no-any-return]  # a foreign function


def _imported(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"greensalt_ext_pillar_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"ext_pillar: {path} can't be loaded: {error!r}") from error
    return module
