"""The SLS files of the reactor: found, and rendered with one event.

What a template imports comes from `file_roots`, environment `base`; the SLS files themselves may be
anywhere, for only the master's configuration names them. What an event brings is data: it is never
rendered itself.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from greensalt.config import MasterConfig
from greensalt.errors import PillarError, ReactorError
from greensalt.green import offload
from greensalt.master.fileserver.server import FileServer
from greensalt.master.pillar.compiler import PillarFacts
from greensalt.master.pillar.functions import salt_functions
from greensalt.master.pillar.render import configured_renderer
from greensalt.master.pillar.tree import Source, Tree, stamp_of
from greensalt.master.shownoptions import shown_options
from greensalt.wire.dialect import unpack_bin

SALT_URL: Final = "salt://"
ENVIRONMENT: Final = "base"


class Rendered(NamedTuple):
    """The data of one file, or why there are none."""

    sls: str
    data: Any = None
    error: str = ""


class SlsFiles:
    """Renders files; read anew when they have changed. Raises ConfigError for a bad `renderer`."""

    def __init__(self, config: MasterConfig, files: FileServer) -> None:
        self._config = config
        self._files = files
        self._renderer = configured_renderer(config)

    def render(self, names: Sequence[str], tag: str, packed: bytes) -> list[Rendered]:
        """The data of all files that `names` mean, for the event `tag` with its packed data."""
        paths = [(name, self._served(name)) for name in names]
        return offload(self._render_all, paths, tag, packed)

    def _served(self, name: str) -> str:
        """The path of a file of the file server; "" if there is none; other names stay."""
        if not name.startswith(SALT_URL):
            return name
        rel, _, environment = name.removeprefix(SALT_URL).partition("?saltenv=")
        found = self._files.find(environment or ENVIRONMENT, rel)
        return "" if found is None else glob.escape(found.real)

    def _render_all(
        self, paths: Sequence[tuple[str, str]], tag: str, packed: bytes
    ) -> list[Rendered]:
        rendered: list[Rendered] = []
        for name, pattern in paths:
            found = sorted(glob.glob(pattern)) if pattern else []  # noqa: PTH207  # any path
            if not found:
                rendered.append(Rendered(name, error="there is no such file"))
            rendered += [self._render(path, tag, packed) for path in found]
        return rendered

    def _render(self, path: str, tag: str, packed: bytes) -> Rendered:
        try:
            tree = _OneFile(self._config, path)
            # Each file has data of its own: a template may change them.
            context = {**self._context(), "tag": tag, "data": unpack_bin(packed)}
            return Rendered(path, self._renderer.render(tree, ENVIRONMENT, tree.source, context))
        except (PillarError, ReactorError) as error:
            return Rendered(path, error=str(error))

    def _context(self) -> dict[str, Any]:
        """What every template sees besides the event: the same names as in pillar."""
        config = self._config
        facts = PillarFacts(config.id, {"id": config.id}, {})
        opts = shown_options(config)
        return {
            "opts": opts,
            "grains": facts.grains,
            "pillar": facts.pillar,
            "saltenv": ENVIRONMENT,
            "salt": salt_functions(facts, opts, config.nodegroups),
        }


class _OneFile(Tree):
    """The tree of `file_roots`, and one file wherever it is."""

    def __init__(self, config: MasterConfig, path: str) -> None:
        super().__init__(config.file_roots, None)
        stamp = stamp_of(path)
        if stamp is None or not Path(path).is_file():
            raise ReactorError("it is not a file that can be read")
        self.source = Source(path, path, stamp)

    def find(self, environment: str, rel: str) -> Source | None:
        return self.source if rel == self.source.rel else super().find(environment, rel)
