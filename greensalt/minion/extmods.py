"""Brings the master's `_modules`, `_grains`, ... to the minion. Blocks; for native threads.

Source: docs/modules.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from greensalt.config import MinionConfig
from greensalt.errors import CommandExecutionError, UnsafePath
from greensalt.minion.files import FileClient, Request, Source
from greensalt.store.extmods import ExtensionModules, choose, names_in

# What `saltutil.sync_all` brings, in its order: the name in its result, and the kind.
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "clouds": "clouds",
        "beacons": "beacons",
        "modules": "modules",
        "states": "states",
        "sdb": "sdb",
        "grains": "grains",
        "renderers": "renderers",
        "returners": "returners",
        "output": "output",
        "utils": "utils",
        "log_handlers": "log_handlers",
        "executors": "executors",
        "proxymodules": "proxy",
        "engines": "engines",
        "thorium": "thorium",
        "serializers": "serializers",
        "matchers": "matchers",
        "resources": "resources",
    }
)


def sync(
    kind: str,
    config: MinionConfig,
    request: Request,
    *,
    saltenv: Any = None,
    allowed: Any = None,
    refused: Any = None,
) -> list[str]:
    """Make the minion's modules of a kind what the master has; the names of those written.

    `saltenv` may be several (a list, or with commas): of two that have a file the last one wins.
    `allowed` and `refused` are names, or maps from kinds to names; without them the configuration's
    `extmod_whitelist` and `extmod_blacklist` hold.
    """
    client = FileClient(request, Path(config.cachedir), config.file_buffer_size)
    choice = choose(kind, allowed, refused, config.extmod_whitelist, config.extmod_blacklist)
    folder = f"_{kind}/"
    offered: dict[str, Source] = {}
    for env in names_in(saltenv) or [config.saltenv or "base"]:
        for path in client.listing("_file_list", env, folder) or ():
            if isinstance(path, str) and path.startswith(folder):
                offered[path.removeprefix(folder)] = Source(path, env)
    try:
        return ExtensionModules(config.extension_modules).sync(
            kind,
            offered,
            lambda path: client.cache(offered[path]),
            choice=choice,
            clean=config.clean_dynamic_modules,
        )
    except UnsafePath as error:
        raise CommandExecutionError(f"the master offers an unsafe file: {error}") from error
    except OSError as error:
        raise CommandExecutionError(f"{kind} can't be synced: {error}") from error
