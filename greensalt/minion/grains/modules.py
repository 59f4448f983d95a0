"""Grains that modules compute: `grains_dirs`, and what `saltutil.sync_grains` has brought.

Each public function of such a file returns a dict of grains. One that wants to know the grains so
far takes them as its argument `grains`. A module that fails is logged and harms no other.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

log = logging.getLogger(__name__)

# Seconds that all of them together may take.
MODULES_S: Final = 30.0


class _SourceReader(importlib.machinery.SourceFileLoader):
    """Reads the source at every load: compiled files tell changes within a second apart badly."""

    def path_stats(self, path: Any) -> Any:
        """Pretend to know no times, which turns the cache of compiled files off."""
        raise OSError(f"no cache for {path}")


def module_grains(
    directories: Iterable[Path], known: Mapping[str, Any], limit_s: float = MODULES_S
) -> dict[str, Any]:
    """What the modules in some directories say, the first directory's counting most. Blocks.

    Those that have not finished after `limit_s` seconds are left behind, and their grains out.
    """
    files: dict[str, Path] = {}
    for directory in directories:
        for path in sorted(directory.glob("*.py")):
            if not path.name.startswith(("_", ".")):
                files.setdefault(path.stem, path)
    found: dict[str, Any] = {}
    if not files:
        return found
    at_work: list[Path] = []

    def ask_all() -> None:
        for path in files.values():
            at_work[:] = [path]
            found.update(_grains_of(path, {**known, **found}))

    # A thread of its own, since it can't be stopped, only left behind.
    worker = threading.Thread(target=ask_all, name="grains modules", daemon=True)
    worker.start()
    worker.join(limit_s)
    if worker.is_alive():
        log.error("grains modules take more than %g s: %s was left behind", limit_s, *at_work)
    return dict(found)


def _grains_of(path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    grains: dict[str, Any] = {}
    try:
        functions = list(_functions(_load(path)))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # somebody's code may do anything
        log.error("grains module %s can't be loaded: %s: %s", path, type(error).__name__, error)
        return grains
    for function in functions:
        try:
            given = _arguments(function, {**known, **grains})
            result = function(**given)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # as above
            name = getattr(function, "__name__", "a function")
            log.error("%s of %s failed: %s: %s", name, path, type(error).__name__, error)
            continue
        if isinstance(result, Mapping):
            grains.update((str(key), value) for key, value in result.items())
        elif result is not None:
            log.error("%s: grains must be a dictionary, not a %s", path, type(result).__name__)
    return grains


def _load(path: Path) -> ModuleType:
    name = f"greensalt_grains.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_SourceReader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _functions(module: ModuleType) -> Iterator[Any]:
    """The public functions that the file itself defines, by name; none if it can't work here."""
    virtual = getattr(module, "__virtual__", None)
    if inspect.isfunction(virtual):
        verdict = virtual()
        if verdict is False or (isinstance(verdict, tuple) and not verdict[0]):
            log.debug("%s is not available here: %s", module.__file__, verdict)
            return
    for name, value in sorted(vars(module).items()):
        is_own = inspect.isfunction(value) and value.__module__ == module.__name__
        if is_own and not name.startswith("_"):
            yield value


def _arguments(function: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    takes_grains = "grains" in inspect.signature(function).parameters
    return {"grains": dict(known)} if takes_grains else {}
