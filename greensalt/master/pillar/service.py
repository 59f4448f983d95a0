"""Pillars for the master: compiled in native threads, and remembered until something changes.

A remembered pillar is good for one minion with one set of grains (all of them count) as long as
no file that was looked at has changed; nothing is remembered where a plug-in has a say, which has
sources of its own.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from greensalt.config import MasterConfig
from greensalt.errors import PillarError
from greensalt.green import offload
from greensalt.master.pillar.compiler import Asked, compile_pillar, pillar_top, render_sls
from greensalt.master.pillar.external import load_plugins
from greensalt.master.pillar.render import Recent, configured_renderer
from greensalt.master.pillar.tree import Stamp, Stamps
from greensalt.wire.dialect import pack_bin, unpack_bin

log = logging.getLogger(__name__)

KEPT_PILLARS: Final = 20_000
KEPT_STAMPS: Final = 4_000  # minions with the same files share them
KEPT_BYTES: Final = 64 << 20  # of all pillars
MOST_KEPT_BYTES: Final = 64 << 10  # of one pillar


class _Kept(NamedTuple):
    digest: bytes  # of the grains and all else that was asked
    pillar: bytes
    stamps: tuple[tuple[str, Stamp | None], ...]


class PillarService:
    """Compiles pillars. `hits` and `misses` count what was remembered and what was not.

    Raises ConfigError for an `ext_pillar` or a `renderer` that isn't there.
    """

    def __init__(self, config: MasterConfig) -> None:
        self._config = config
        self._plugins = load_plugins(config.ext_pillar, Path(config.extension_modules))
        self._renderer = configured_renderer(config)
        self._kept: Recent[_Kept] = Recent(KEPT_PILLARS, KEPT_BYTES)
        self._stamps: Recent[tuple[tuple[str, Stamp | None], ...]] = Recent(KEPT_STAMPS)
        self.hits = 0
        self.misses = 0

    def pillar(
        self,
        minion_id: str,
        grains: Mapping[str, Any],
        *,
        saltenv: str | None = None,
        pillarenv: str | None = None,
        override: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The pillar of a minion, which is the caller's own. The hub goes on meanwhile.

        What goes wrong is in its `_errors`: a list of texts for the minion.
        """
        asked = Asked(minion_id, {**grains, "id": minion_id}, saltenv, pillarenv, override or {})
        return offload(self.compile, asked)

    def top(
        self, minion_id: str, grains: Mapping[str, Any], *, saltenv: str | None = None
    ) -> dict[str, list[str]]:
        """The SLS names that top files give a minion, by environment. Raises PillarError."""
        asked = Asked(minion_id, {**grains, "id": minion_id}, saltenv)
        return offload(pillar_top, self._config, self._renderer, asked)

    def render_sls(
        self, name: str, saltenv: str, pillar: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """An SLS of `file_roots`, for the master itself; None if there is none. PillarError."""
        asked = Asked(self._config.id, {"id": self._config.id}, saltenv, None, pillar)
        return offload(render_sls, self._config, self._renderer, asked, name)

    def compile(self, asked: Asked) -> dict[str, Any]:
        """The same in the calling thread. Blocks; never raises for what is in the files."""
        packed = pack_bin(asked.grains)
        question = pack_bin([asked.saltenv, asked.pillarenv, dict(asked.override)])
        digest = hashlib.sha256(packed).digest() + hashlib.sha256(question).digest()
        # One for each minion: what it asks is its own choice, and shall cost no memory.
        known = self._kept.get(asked.id)
        if known is not None and known.digest == digest and Stamps(known.stamps).still_hold():
            self.hits += 1
            return _dict(unpack_bin(known.pillar))
        self.misses += 1
        self._kept.drop(asked.id)
        try:
            # Templates may change their grains: they get their own.
            own = asked._replace(grains=unpack_bin(packed))
            pillar, stamps = compile_pillar(self._config, self._renderer, self._plugins, own)
            result = pack_bin(pillar)
        except Exception as error:  # the minion must not take it for an empty pillar
            log.exception("the pillar of %s could not be compiled", asked.id)
            known_error = isinstance(error, PillarError)
            told = str(error) if known_error else "Please see master log for details."
            return {"_errors": [f"The pillar could not be compiled: {told}"]}
        if not self._plugins and len(result) <= MOST_KEPT_BYTES and stamps.are_settled():
            self._kept.put(asked.id, _Kept(digest, result, self._shared(stamps)), len(result))
        return _dict(unpack_bin(result))

    def _shared(self, stamps: Stamps) -> tuple[tuple[str, Stamp | None], ...]:
        frozen = tuple(stamps.items())
        shared = self._stamps.get(frozen)
        if shared is None:
            self._stamps.put(frozen, frozen)
            shared = frozen
        return shared


def _dict(data: Any) -> dict[str, Any]:
    assert isinstance(data, dict)
    return data
