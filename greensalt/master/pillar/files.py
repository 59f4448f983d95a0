"""SLS files and top files with their includes, rendered for one minion."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Collection, Mapping
from typing import Any, TypeGuard

from greensalt.config import MasterConfig
from greensalt.errors import PillarError
from greensalt.master.pillar.merge import merge
from greensalt.master.pillar.render import Renderer
from greensalt.master.pillar.tree import Source, Tree

log = logging.getLogger(__name__)

Data = dict[Any, Any]


class SlsFiles:
    """The files of one compilation; what goes wrong is put into `errors`, in Salt's words."""

    def __init__(
        self,
        config: MasterConfig,
        tree: Tree,
        renderer: Renderer,
        context: Mapping[str, Any],
        errors: list[str],
    ) -> None:
        self.config = config
        self.tree = tree
        self.errors = errors
        self._renderer = renderer
        self._context = context

    def failed(self, what: str, error: PillarError) -> None:
        """Log why a file could not be rendered; the minion is told as much as it may know."""
        log.error("%s, render error: %s", what, error)
        if self.config.pillar_safe_render_error:
            self.errors.append(f"{what}. Please see master log for details.")
        else:
            self.errors.append(f"{what}, render error:\n{error}")

    def rendered(self, saltenv: str, name: str, source: Source, extra: Mapping[str, Any]) -> Any:
        """The data of one file; raises PillarError."""
        context = {**self._context, "saltenv": saltenv, **_file_names(name, source), **extra}
        return self._renderer.render(self.tree, saltenv, source, context)

    def tops(self, saltenv: str) -> list[Mapping[str, Any]]:
        """The top file of an environment, and those that it includes."""
        source = self.tree.find(saltenv, self.config.state_top.removeprefix("salt://"))
        if source is None:
            return []
        tops = [_top_data(self.rendered(saltenv, "", source, {}))]
        included = tops[0].get("include") or []
        if not isinstance(included, list):
            raise PillarError("the include of the top file is not a list")
        for name in dict.fromkeys(map(str, included)):
            try:
                found = self.tree.sls(saltenv, name)
                if found is None:
                    raise PillarError(f"there is no SLS {name!r} in environment {saltenv!r}")
                tops.append(_top_data(self.rendered(saltenv, name, found, {})))
            except PillarError as error:
                self.failed(f"Rendering Top file {name} failed", error)
        return tops

    def environment(self, saltenv: str, ignored: Collection[str]) -> Environment:
        """The SLS files of one environment; those `ignored` may be missing."""
        return Environment(self, saltenv, ignored)


class Environment:
    """The SLS files of one environment. A file that is included twice is rendered once."""

    def __init__(self, files: SlsFiles, saltenv: str, ignored: Collection[str]) -> None:
        self._files = files
        self._saltenv = saltenv
        self._ignored = ignored
        self._rendered: dict[str, Any] = {}
        self._defaults: Mapping[str, Any] = {}

    def sls(self, name: str, defaults: Mapping[str, Any] | None = None) -> Data | None:
        """The data of an SLS with what it includes; None if there are none to use."""
        source = self._find(name)
        if source is None:
            return None
        data: Any = None  # any data: a file may hold a list
        try:
            data = self._files.rendered(self._saltenv, name, source, defaults or {})
        except PillarError as error:
            self._files.failed(f"Rendering SLS '{name}' failed", error)
        self._rendered[name] = data
        if not data:
            return None if data is None else {}
        if not _is_data(data):
            self._rendered[name] = None
            self._wrong(f"SLS '{name}' does not render to a dictionary")
            return None
        if "include" not in data:
            return data
        included = data["include"]
        if not isinstance(included, list):
            self._wrong(f"Include Declaration in SLS '{name}' is not formed as a list")
            return data
        # A copy: the data of a file are shared.
        data = {key: value for key, value in data.items() if key != "include"}
        self._rendered[name] = data
        return self._with_included(name, source, data, included, defaults or {})

    def _with_included(
        self,
        name: str,
        source: Source,
        data: Data,
        included: list[Any],
        defaults: Mapping[str, Any],
    ) -> Data:
        parts: list[Data] = []
        for entry in included:
            wanted, key, given = _include(entry)
            # As in Salt, the defaults of an include hold for those after it, too.
            defaults = defaults if given is None else given
            if not wanted:
                self._wrong(f"Include Declaration in SLS '{name}' is not formed as a list")
                continue
            for found in self._matching(_absolute(wanted, name, source)):
                part = (
                    self._rendered[found] if found in self._rendered else self.sls(found, defaults)
                )
                if part and isinstance(part, dict):
                    parts.append(_below(key, part))
        over = self._files.config.pillar_includes_override_sls
        ordered = [data, *parts] if over else [*parts, data]
        merged: Data = ordered[0]
        for part in ordered[1:]:
            merged = self._merged(merged, part)
        return merged

    def _merged(self, below: Data, above: Data) -> Data:
        config = self._files.config
        strategy = config.pillar_source_merging_strategy
        return merge(below, above, strategy, merge_lists=config.pillar_merge_lists)

    def _matching(self, wanted: str) -> list[str]:
        try:
            return fnmatch.filter(self._files.tree.sls_names(self._saltenv), wanted) or [wanted]
        except KeyError:
            return [wanted]

    def _find(self, name: str) -> Source | None:
        files = self._files
        try:
            source = files.tree.sls(self._saltenv, name)
        except PillarError as error:
            files.failed(f"Rendering SLS '{name}' failed", error)
            return None
        if source is None and name not in self._ignored:
            if files.tree.roots.get(self._saltenv):
                self._wrong(
                    f"Specified SLS '{name}' in environment '{self._saltenv}' is not"
                    " available on the salt master"
                )
            else:
                log.debug("there is no environment %r for the SLS %r", self._saltenv, name)
        return source

    def _wrong(self, message: str) -> None:
        log.error("%s", message)
        self._files.errors.append(message)


def _is_data(data: Any) -> TypeGuard[Data]:
    return isinstance(data, dict)


def _include(entry: Any) -> tuple[str, str | None, Mapping[str, Any] | None]:
    """(name, key, defaults) of one line of an include; no name when it is none."""
    if isinstance(entry, str):
        return entry, None, None
    if not isinstance(entry, Mapping) or not entry:
        return "", None, None
    name, options = next(iter(entry.items()))
    if not isinstance(options, Mapping):
        return str(name), None, {}
    key, defaults = options.get("key"), options.get("defaults")
    return (
        str(name),
        None if key is None else str(key),
        {str(k): v for k, v in defaults.items()} if isinstance(defaults, Mapping) else {},
    )


def _absolute(wanted: str, name: str, source: Source) -> str:
    """The full name of an include: `.x` is beside the file, `..x` one above it."""
    if not wanted.startswith("."):
        return wanted.replace("/", ".")
    parts = name.split(".") if source.rel.endswith("/init.sls") else name.split(".")[:-1]
    rest = wanted[1:]
    while rest.startswith("."):
        parts, rest = parts[:-1], rest[1:]
    return ".".join([*parts, rest.replace("/", ".")])


def _below(key: str | None, data: Data) -> Data:
    """The data under the dictionaries that a key names, the outermost first."""
    for part in reversed(key.split(":")) if key else ():
        data = {part: data}
    return data


def _top_data(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise PillarError("a top file must be a dictionary")
    return data


def _file_names(name: str, source: Source) -> dict[str, str]:
    """What a template knows of its own file."""
    folder = source.rel.rpartition("/")[0]
    return {
        "sls": name,
        "slspath": folder,
        "slsdotpath": folder.replace("/", "."),
        "slscolonpath": folder.replace("/", ":"),
        "sls_path": folder.replace("/", "_"),
        "tplpath": source.path,
        "tplfile": source.rel,
        "tpldir": folder or ".",
        "tpldot": folder.replace("/", "."),
    }
