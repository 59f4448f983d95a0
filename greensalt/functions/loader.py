"""Finds the functions of execution modules, runners or wheels: built-in ones and a user's own.

A module is a Python file or package. Its public functions are what it offers, under
`<module>.<function>`; `__virtualname__` gives it another name, `available()` says whether it can
work on this machine (`__virtual__()`, which older modules have instead, does as well), `GREEN =
True` that its functions never block. Modules are imported when one of their functions is first
asked for.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import inspect
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from greensalt.functions.function import LoadedFunction, public_functions
from greensalt.functions.names import names as salt_names

log = logging.getLogger(__name__)

MODULES: Final = "greensalt.modules"
"""The package of the execution modules that are built in."""


class _SourceReader(importlib.machinery.SourceFileLoader):
    """Reads the source at every load: compiled files tell changes within a second apart badly."""

    def path_stats(self, path: Any) -> Any:
        """Pretend to know no times, which turns the cache of compiled files off."""
        raise OSError(f"no cache for {path}")


@dataclass
class _Source:
    """Where one module comes from: a file of the user's, or a name inside a package of ours."""

    package: str
    name: str
    path: Path | None = None

    def load(self) -> ModuleType:
        if self.path is None:
            return importlib.import_module(f"{self.package}.{self.name}")
        # The path is part of the name, so that modules of the same name can live side by side.
        digest = sha256(bytes(self.path)).hexdigest()[:12]
        name = f"{user_prefix(self.package)}{digest}.{self.name}"
        package = self.path / "__init__.py"
        is_package = package.is_file()
        file = package if is_package else self.path
        spec = importlib.util.spec_from_file_location(
            name,
            file,
            loader=_SourceReader(name, str(file)),
            submodule_search_locations=[str(self.path)] if is_package else None,
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        if self.package == MODULES:
            vars(module).update(salt_names())
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return module

    def __str__(self) -> str:
        return f"the built-in module {self.name}" if self.path is None else str(self.path)


@dataclass
class _State:
    """What is known of the modules so far; `reload` begins with a new one."""

    sources: list[_Source]
    tried: set[int] = field(default_factory=set)
    functions: dict[str, LoadedFunction] = field(default_factory=dict)
    # virtual name -> the source it came from; and why others did not become available
    providers: dict[str, _Source] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


class Loader:
    """The functions that can be called here: those of `package` and of the user's directories.

    User modules are searched in `module_dirs`, the first directory first, and win over built-in
    ones of the same name as a whole. A module named in `disabled` is not there; with `allowed` only
    the named ones are. A broken module is logged and harms no other.
    """

    def __init__(
        self,
        module_dirs: Sequence[Path] = (),
        *,
        package: str = MODULES,
        disabled: Sequence[str] = (),
        allowed: Sequence[str] = (),
    ) -> None:
        self._package = package
        self._module_dirs = tuple(module_dirs)
        self._disabled = frozenset(disabled)
        self._allowed = frozenset(allowed)
        # Functions are looked up from the hub and from native threads.
        self._lock = threading.RLock()
        self._state = _State(list(self._find_sources()))

    def known(self, name: str) -> LoadedFunction | None:
        """The function of a full name, if its module has been imported already."""
        return self._state.functions.get(name)

    def function(self, name: str) -> LoadedFunction | None:
        """The function of a full name such as "test.ping"; None if there is none.

        It may have to import modules; `known` never does.
        """
        with self._lock:
            module = name.partition(".")[0]
            if module not in self._state.providers:
                self._load_named(module)
            if module not in self._state.providers:
                self._load_all()
            return self._state.functions.get(name)

    def names(self) -> list[str]:
        """All functions by their full names, sorted."""
        self._load_all()
        return sorted(self._state.functions)

    def modules(self) -> list[str]:
        """The names of the modules that can be used here, sorted."""
        self._load_all()
        return sorted({name.partition(".")[0] for name in self._state.functions})

    def why_missing(self, name: str) -> str | None:
        """Why the module of a function (or of that name) can't be used; None if it is unknown."""
        if self.function(name) is not None:
            return None
        module = name.partition(".")[0]
        return None if module in self._state.providers else self._state.reasons.get(module)

    def missing_text(self, name: str) -> str:
        """The sentence that a job gets for a function that is not there."""
        reason = self.why_missing(name)
        if reason is None:
            return f"'{name}' is not available."
        module = name.partition(".")[0]
        ending = f": {reason}" if reason else ""
        return f"'{module}' __virtual__ returned False{ending}"

    def provider(self, module: str) -> str:
        """The file or built-in module behind a module's name; "" if there is none."""
        self.function(f"{module}.")
        source = self._state.providers.get(module)
        return "" if source is None else source.name

    def not_loaded(self) -> list[str]:
        """The files of modules that can't be used here, or that others hide."""
        self._load_all()
        used = {id(source) for source in self._state.providers.values()}
        return sorted({source.name for source in self._state.sources if id(source) not in used})

    def reload(self) -> None:
        """Look for modules anew, and read those of the user again."""
        with self._lock:
            importlib.invalidate_caches()
            prefix = user_prefix(self._package)
            for name in [name for name in sys.modules if name.startswith(prefix)]:
                del sys.modules[name]
            self._state = _State(list(self._find_sources()))

    def _find_sources(self) -> Iterator[_Source]:
        for directory in self._module_dirs:
            yield from _user_sources(self._package, directory)
        package = importlib.import_module(self._package)
        for directory in map(Path, package.__path__):
            for name in _module_names(directory):
                yield _Source(self._package, name)

    def _load_named(self, module: str) -> None:
        """Load what may be called `module`: all of the user's, and built-in ones by their name."""
        stem = module.partition("_")[0]
        for source in self._state.sources:
            # pkg_apt.py and pkg_dnf.py are both called pkg: the first that is available wins.
            if source.path is not None or source.name.partition("_")[0] == stem:
                self._load(source)

    def _load_all(self) -> None:
        with self._lock:
            for source in self._state.sources:
                self._load(source)

    def _load(self, source: _Source) -> None:
        state = self._state
        if id(source) in state.tried:
            return
        state.tried.add(id(source))
        try:
            module = source.load()
            name, verdict = _introduce(module, source.name)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a user's module may do anything
            log.error("%s can't be loaded: %s: %s", source, type(error).__name__, error)
            self._give_reason(source.name, str(error) or type(error).__name__)
            return
        if name in self._disabled or (self._allowed and name not in self._allowed):
            return
        if verdict is not True:
            log.debug("%s is not available here: %s", source, verdict)
            for missing in {name, source.name}:
                self._give_reason(missing, verdict)
            return
        self._accept(source, name, module)

    def _give_reason(self, name: str, reason: str) -> None:
        earlier = self._state.reasons.get(name)
        self._state.reasons[name] = f"{earlier}; {reason}" if earlier and reason else reason

    def _accept(self, source: _Source, name: str, module: ModuleType) -> None:
        state = self._state
        if name in state.providers:
            log.warning("%s is hidden by %s: both are %s", source, state.providers[name], name)
            return
        state.providers[name] = source
        state.functions.update(public_functions(module, name))


def user_prefix(package: str) -> str:
    """What the names of a user's modules begin with, beside those of `package`."""
    return f"greensalt_user_{package.rpartition('.')[2]}."


def _user_sources(package: str, directory: Path) -> Iterator[_Source]:
    try:
        names = list(_module_names(directory))
    except FileNotFoundError:
        return
    except OSError as error:
        log.error("the module directory %s can't be read: %s", directory, error)
        return
    for name in names:
        file = directory / f"{name}.py"
        yield _Source(package, name, file if file.is_file() else directory / name)


def _module_names(directory: Path) -> Iterator[str]:
    for path in sorted(directory.iterdir()):
        if path.name.startswith(("_", ".")):
            continue
        is_file = path.suffix == ".py" and path.is_file()
        if is_file or (path / "__init__.py").is_file():
            yield path.stem


def _introduce(module: ModuleType, file_name: str) -> tuple[str, Any]:
    """The name a module wants to have, and True or the reason why it can't work here."""
    name = getattr(module, "__virtualname__", file_name)
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"__virtualname__ is {name!r}, not a name")
    available = getattr(module, "available", None)
    if inspect.isfunction(available):
        verdict = available()
        if verdict is True or isinstance(verdict, str):
            return name, verdict
        raise TypeError(f"available() gave {verdict!r}, neither True nor a reason")
    virtual = getattr(module, "__virtual__", None)
    return (name, True) if virtual is None else _read_virtual(name, virtual())


def _read_virtual(name: str, verdict: Any) -> tuple[str, Any]:
    """The older way to say the same: True, another name, False, or False with a reason."""
    match verdict:
        case True:
            return name, True
        case str():
            return verdict, True
        case (False, reason):
            return name, str(reason)
    return name, ""
