"""One minion's whole pillar: top files, SLS files with what they include, plug-ins, override.

Errors go into the list `_errors` of the pillar, in Salt's words; the minion then refuses to apply
states. Their details are logged, and told to the minion only without `pillar_safe_render_error`.
"""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from greensalt.config import MasterConfig
from greensalt.errors import PillarError
from greensalt.master.pillar.external import Plugin
from greensalt.master.pillar.files import SlsFiles
from greensalt.master.pillar.functions import salt_functions
from greensalt.master.pillar.merge import merge
from greensalt.master.pillar.render import Renderer
from greensalt.master.pillar.top import Top, merge_tops
from greensalt.master.pillar.tree import Stamps, Tree

log = logging.getLogger(__name__)


class Asked(NamedTuple):
    """Whose pillar, and what the request says. The grains belong to the compilation."""

    id: str
    grains: dict[str, Any]
    saltenv: str | None = None
    pillarenv: str | None = None
    override: Mapping[str, Any] = {}


class Compiled(NamedTuple):
    """A pillar, and all files that were looked at for it."""

    pillar: dict[str, Any]
    stamps: Stamps


class PillarFacts(NamedTuple):
    """What targets and templates can see of the minion."""

    id: str
    grains: Mapping[str, Any]
    pillar: Mapping[str, Any]


def compile_pillar(
    config: MasterConfig, renderer: Renderer, plugins: Sequence[Plugin], asked: Asked
) -> Compiled:
    """Compile a pillar. Blocks: it reads files. Raises PillarError for a bad environment."""
    compilation = _Compilation(config, renderer, plugins, asked)
    return Compiled(compilation.run(), compilation.tree.stamps)


def pillar_top(config: MasterConfig, renderer: Renderer, asked: Asked) -> dict[str, list[str]]:
    """The SLS names that top files give a minion, by environment. Blocks. Raises PillarError."""
    compilation = _Compilation(config, renderer, (), asked)
    names = compilation.names()
    if compilation.errors:
        raise PillarError("; ".join(compilation.errors))
    return names


def render_sls(
    config: MasterConfig, renderer: Renderer, asked: Asked, name: str
) -> dict[str, Any] | None:
    """The data of an SLS of `file_roots` with what it includes; None if there is no such SLS.

    Templates see the override of `asked` as pillar. Blocks. Raises PillarError.
    """
    compilation = _Compilation(config, renderer, (), asked)
    compilation.tree = Tree(config.file_roots, asked.saltenv)
    return compilation.one(name, asked.saltenv or "base")


class _Compilation:
    """The work of compiling one pillar."""

    def __init__(
        self, config: MasterConfig, renderer: Renderer, plugins: Sequence[Plugin], asked: Asked
    ) -> None:
        self.config = config
        self.plugins = plugins
        self.asked = asked
        self.saltenv = asked.saltenv or config.saltenv
        self.pillarenv = asked.pillarenv or config.pillarenv
        self.tree = Tree(config.pillar_roots, self.pillarenv or self.saltenv)
        self.renderer = renderer
        self.errors: list[str] = []

    def run(self) -> dict[str, Any]:
        override = self.asked.override
        pillar: dict[str, Any] = dict(override)
        if self.config.ext_pillar_first:
            external = self._with_plugins(pillar)
            pillar = self._merged(external, self._from_files(external, override))
        else:
            pillar = self._with_plugins(self._merged(self._from_files({}, override), override))
        if self.errors:
            for error in self.errors:
                log.error("the pillar of %s: %s", self.asked.id, error)
            pillar = {**pillar, "_errors": list(dict.fromkeys(self.errors))}
        return self._merged(pillar, override) if override else pillar

    def _merged(self, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
        config = self.config
        return merge(
            below,
            above,
            config.pillar_source_merging_strategy,
            merge_lists=config.pillar_merge_lists,
        )

    # -- plug-ins ----------------------------------------------------------------------------

    def _with_plugins(self, pillar: dict[str, Any]) -> dict[str, Any]:
        for plugin in self.plugins:
            try:
                more = plugin.ask(self.asked.id, deepcopy(pillar), deepcopy(self.asked.grains))
                if more:
                    pillar = self._merged(pillar, more)
            except Exception as error:  # whatever a plug-in raises
                log.exception("ext_pillar %s failed for %s", plugin.name, self.asked.id)
                detail = "Please see master log for details."
                told = detail if self.config.pillar_safe_render_error else error
                self.errors.append(f"Failed to load ext_pillar {plugin.name}: {told}")
        return pillar

    # -- files -------------------------------------------------------------------------------

    def _from_files(self, seen: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
        """What the SLS files give; `seen` is what templates and targets know as pillar."""
        facts = PillarFacts(self.asked.id, self.asked.grains, deepcopy(dict(seen)))
        files = SlsFiles(self.config, self.tree, self.renderer, self._context(facts), self.errors)
        top = self._top(files)
        matches = top.of(facts, self._nodegroups(), self.pillarenv)
        pillar = dict(override)
        for saltenv in self._in_order(matches):
            opened = files.environment(saltenv, top.ignored(saltenv))
            for name in self._resolved(saltenv, matches[saltenv]):
                data = opened.sls(name)
                if data is not None:
                    pillar = self._merged(pillar, data)
        return pillar

    def names(self) -> dict[str, list[str]]:
        """What the top files give, without a look into the files that they name."""
        facts = PillarFacts(self.asked.id, self.asked.grains, dict(self.asked.override))
        files = SlsFiles(self.config, self.tree, self.renderer, self._context(facts), self.errors)
        matches = self._top(files).of(facts, self._nodegroups(), self.pillarenv)
        return {env: self._resolved(env, matches[env]) for env in self._in_order(matches)}

    def one(self, name: str, saltenv: str) -> dict[str, Any] | None:
        """The data of one SLS; None if it is not there."""
        if self.tree.sls(saltenv, name) is None:
            return None
        facts = PillarFacts(self.asked.id, self.asked.grains, dict(self.asked.override))
        files = SlsFiles(self.config, self.tree, self.renderer, self._context(facts), self.errors)
        data = files.environment(saltenv, ()).sls(name)
        if self.errors:
            raise PillarError("; ".join(self.errors))
        return dict(data or {})

    def _in_order(self, matches: Mapping[str, list[str]]) -> list[str]:
        first = [saltenv for saltenv in self.config.env_order if saltenv in matches]
        return [*first, *(saltenv for saltenv in matches if saltenv not in first)]

    def _resolved(self, saltenv: str, names: list[str]) -> list[str]:
        """The names of a top file with the globs among them filled in."""
        try:
            there = self.tree.sls_names(saltenv)
        except KeyError:
            self.errors.append(f"No matching pillar environment for environment '{saltenv}' found")
            there = []
        return [found for name in names for found in fnmatch.filter(there, name) or [name]]

    def _top(self, files: SlsFiles) -> Top:
        tops: list[Mapping[str, Any]] = []
        for saltenv in self._top_environments():
            try:
                tops += files.tops(saltenv)
            except PillarError as error:
                files.failed("Rendering Primary Top file failed", error)
        try:
            return merge_tops(tops)
        except TypeError as error:
            log.error("the pillar's top file: %s", error)
            self.errors.append("Error encountered while rendering pillar top file.")
            return Top({})

    def _top_environments(self) -> list[str]:
        if self.pillarenv:
            return [self.pillarenv] if self.pillarenv in self.tree.roots else []
        names = self.tree.environments()
        if self.config.pillar_source_merging_strategy == "none":
            return [name for name in names if name == (self.saltenv or "base")]
        return names

    def _context(self, facts: PillarFacts) -> dict[str, Any]:
        """What every template sees; the file's own names come on top."""
        opts = self._opts()
        return {
            "grains": facts.grains,
            "pillar": facts.pillar,
            "opts": opts,
            "salt": salt_functions(facts, opts, self._nodegroups()),
        }

    def _opts(self) -> dict[str, Any]:
        """Those of the master's options that are nobody's secret."""
        config = self.config
        return {
            "id": self.asked.id,
            "minion_id": self.asked.id,
            "saltenv": self.saltenv,
            "pillarenv": self.pillarenv,
            "pillar_roots": {name: list(paths) for name, paths in config.pillar_roots.items()},
            "file_roots": {name: list(paths) for name, paths in config.file_roots.items()},
            "nodegroups": deepcopy(dict(config.nodegroups)),
            "state_top": config.state_top,
            "renderer": config.renderer,
            "hash_type": config.hash_type,
        }

    def _nodegroups(self) -> Mapping[str, Any]:
        return self.config.nodegroups
