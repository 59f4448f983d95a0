"""The plug-in point of `ext_pillar`: functions that give a minion more pillar.

A plug-in is a function `(minion_id, pillar, *args, **kwargs) -> dict`, as in Salt. It is found by
its name in `<extension_modules>/pillar/NAME.py`, as the function `ext_pillar` of that file, or as
the entry point NAME of the group `greensalt.ext_pillar`. With a parameter `grains` it gets those.
Plug-ins run in native threads and may block.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from greensalt.errors import PillarError
from greensalt.master.plugins import Function, find_plugin

GROUP: Final = "greensalt.ext_pillar"


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
            functions[name] = find_plugin(
                "ext_pillar", name, extension_modules / "pillar", "ext_pillar", GROUP
            )
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
