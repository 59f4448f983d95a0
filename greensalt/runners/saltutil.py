"""The master's own extension modules, from its file server: `_runners`, `_wheel` and so on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from greensalt.errors import CommandExecutionError, UnsafePath
from greensalt.master.context import MasterContext
from greensalt.store.extmods import ExtensionModules, choose, names_in

# What `sync_all` brings, in its order: the name in its result, and the kind.
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "clouds": "clouds",
        "modules": "modules",
        "states": "states",
        "grains": "grains",
        "renderers": "renderers",
        "returners": "returners",
        "output": "output",
        "proxymodules": "proxy",
        "runners": "runners",
        "wheel": "wheel",
        "engines": "engines",
        "thorium": "thorium",
        "queues": "queues",
        "pillar": "pillar",
        "utils": "utils",
        "sdb": "sdb",
        "cache": "cache",
        "fileserver": "fileserver",
        "tops": "tops",
        "tokens": "tokens",
        "serializers": "serializers",
        "executors": "executors",
        "wrapper": "wrapper",
        "roster": "roster",
    }
)
LOADED: Final = MappingProxyType({"runners": "runner", "wheel": "wheel"})


def sync_all(
    saltenv: Any = "base",
    extmod_whitelist: Any = None,
    extmod_blacklist: Any = None,
    *,
    context: MasterContext,
) -> dict[str, list[str]]:
    """Bring all kinds of extension modules from the file server; return what is new, by kind.

    `extmod_whitelist` and `extmod_blacklist` are maps from kinds to names.

    CLI Example:

        greensalt run saltutil.sync_all
        greensalt run saltutil.sync_all saltenv=dev
    """
    return {
        name: _bring(kind, saltenv, extmod_whitelist, extmod_blacklist, context)
        for name, kind in KINDS.items()
    }


def _bring(
    kind: str, saltenv: Any, allowed: Any, refused: Any, context: MasterContext
) -> list[str]:
    config, files = context.config, context.files
    choice = choose(kind, allowed, refused, config.extmod_whitelist, config.extmod_blacklist)
    folder = f"_{kind}/"
    offered: dict[str, str] = {}
    for env in names_in(saltenv) or ["base"]:
        for path in context.home.run(files.paths, env, folder):
            if path.startswith(folder):
                offered[path.removeprefix(folder)] = env

    def fetch(path: str) -> Path | None:
        found = context.home.run(files.find, offered[path], f"{folder}{path}")
        return None if found is None else Path(found.real)

    try:
        written = ExtensionModules(Path(config.extension_modules)).sync(
            kind, offered, fetch, choice=choice
        )
    except (UnsafePath, OSError) as error:
        raise CommandExecutionError(f"{kind} can't be synced: {error}") from error
    if kind in LOADED:
        context.runs.loaders[LOADED[kind]].reload()
    return written


def _syncer(name: str, what: str) -> Callable[..., list[str]]:
    """The function that brings one kind."""
    kind = KINDS[name]

    def bring(
        saltenv: Any = "base",
        extmod_whitelist: Any = None,
        extmod_blacklist: Any = None,
        *,
        context: MasterContext,
    ) -> list[str]:
        return _bring(kind, saltenv, extmod_whitelist, extmod_blacklist, context)

    bring.__name__ = bring.__qualname__ = f"sync_{name}"
    bring.__doc__ = f"""Bring {what} from `salt://_{kind}` to the master; return what is new.

    Those that the file server has no longer are removed.

    CLI Example:

        greensalt run saltutil.sync_{name}
    """
    return bring


sync_cache = _syncer("cache", "cache modules")
sync_clouds = _syncer("clouds", "cloud modules")
sync_engines = _syncer("engines", "engines")
sync_executors = _syncer("executors", "executors")
sync_fileserver = _syncer("fileserver", "file server backends")
sync_grains = _syncer("grains", "grains modules")
sync_modules = _syncer("modules", "execution modules")
sync_output = _syncer("output", "outputters")
sync_pillar = _syncer("pillar", "external pillars")
sync_proxymodules = _syncer("proxymodules", "proxy modules")
sync_queues = _syncer("queues", "queue modules")
sync_renderers = _syncer("renderers", "renderers")
sync_returners = _syncer("returners", "returners")
sync_roster = _syncer("roster", "roster modules")
sync_runners = _syncer("runners", "runners")
sync_sdb = _syncer("sdb", "SDB modules")
sync_serializers = _syncer("serializers", "serializers")
sync_states = _syncer("states", "state modules")
sync_thorium = _syncer("thorium", "Thorium modules")
sync_tokens = _syncer("tokens", "token stores")
sync_tops = _syncer("tops", "master tops")
sync_utils = _syncer("utils", "utility modules")
sync_wheel = _syncer("wheel", "wheel functions")
sync_wrapper = _syncer("wrapper", "wrappers")
