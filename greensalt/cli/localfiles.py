"""The files and the pillar of this machine, in place of a master's: for local calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from greensalt.config import MasterConfig, MinionConfig
from greensalt.master.fileserver.server import file_server
from greensalt.master.pillar import PillarService
from greensalt.minion.caller import Serve, refuse

LISTINGS: Final = {
    "_file_list": "files",
    "_file_list_emptydirs": "empty_dirs",
    "_dir_list": "dirs",
}


def local_requests(config: MinionConfig) -> Serve:
    """What answers the requests about files out of the minion's own `file_roots`."""
    files = file_server(_as_master(config))

    def serve(load: dict[str, Any]) -> Any:
        command = load.get("cmd")
        env, prefix = str(load.get("saltenv") or "base"), str(load.get("prefix") or "")
        match command:
            case "_file_envs":
                return files.envs()
            case "_file_hash":
                return files.hash_of(load)
            case "_serve_file":
                return files.chunk(load, int(load.get("loc") or 0))
            case "_symlink_list":
                return files.links(env, prefix)
            case "_mine_get":
                return {}
        if command in LISTINGS:
            return files.entries(LISTINGS[command], env, prefix)
        return refuse(load)

    return serve


def local_pillar(config: MinionConfig) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """What makes the pillar of the minion's own `pillar_roots`."""
    pillars = PillarService(_as_master(config))
    return lambda grains: pillars.pillar(
        config.id, grains, saltenv=config.saltenv, pillarenv=config.pillarenv
    )


def _as_master(config: MinionConfig) -> MasterConfig:
    """The options that files and pillar go by, as a master has them."""
    return MasterConfig(
        id=config.id,
        config_dir=config.config_dir,
        cachedir=config.cachedir,
        extension_modules=config.extension_modules,
        file_roots=config.file_roots,
        pillar_roots=config.pillar_roots,
        hash_type=config.hash_type,
    )
