"""Plug-ins of the master: functions of foreign Python, found by their name.

In `<extension_modules>/<kind>/NAME.py`, as a function of that file, or as an entry point of a
group.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from greensalt.errors import ConfigError

Function = Callable[..., Any]


def find_plugin(option: str, name: str, directory: Path, attribute: str, group: str) -> Function:
    """The function of a plug-in that `option` names; ConfigError for a name that isn't there."""
    path = directory / f"{name}.py"
    if re.fullmatch(r"\w+", name) and path.is_file():
        function = getattr(_imported(option, name, path), attribute, None)
    else:
        found = [point for point in entry_points(group=group) if point.name == name]
        if not found:
            known = sorted(point.name for point in entry_points(group=group))
            known += sorted(file.stem for file in directory.glob("*.py"))
            there = ", ".join(known) or "none at all"
            raise ConfigError(f"{option}: there is no plug-in {name!r}; there are: {there}")
        function = found[0].load()
    if not callable(function):
        raise ConfigError(f"{option}: the plug-in {name!r} has no function {attribute}")
    return function  # type: ignore[no-any-return]  # a foreign function


def _imported(option: str, name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"greensalt_{option}_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{option}: {path} can't be loaded: {error!r}") from error
    return module
