"""The files that the master serves."""

from __future__ import annotations

from typing import Any

from greensalt.green import offload
from greensalt.master.context import MasterContext

GREEN = True


def envs(backend: Any = None, sources: bool = False, *, context: MasterContext) -> list[str]:
    """List the environments.

    CLI Example:

        greensalt run fileserver.envs
    """
    return offload(context.files.envs)


def file_list(
    saltenv: str = "base", backend: Any = None, prefix: str = "", *, context: MasterContext
) -> list[str]:
    """List the files of an environment.

    CLI Example:

        greensalt run fileserver.file_list
        greensalt run fileserver.file_list saltenv=prod prefix=web/
    """
    return context.files.entries("files", saltenv, prefix)


def dir_list(
    saltenv: str = "base", backend: Any = None, prefix: str = "", *, context: MasterContext
) -> list[str]:
    """List the directories of an environment.

    CLI Example:

        greensalt run fileserver.dir_list
    """
    return context.files.entries("dirs", saltenv, prefix)


def empty_dir_list(
    saltenv: str = "base", backend: Any = None, prefix: str = "", *, context: MasterContext
) -> list[str]:
    """List the directories without anything in them.

    CLI Example:

        greensalt run fileserver.empty_dir_list
    """
    return context.files.entries("empty_dirs", saltenv, prefix)


def symlink_list(
    saltenv: str = "base", backend: Any = None, prefix: str = "", *, context: MasterContext
) -> dict[str, str]:
    """List the symlinks of an environment: {path: where it leads}.

    CLI Example:

        greensalt run fileserver.symlink_list
    """
    return context.files.links(saltenv, prefix)


def update(backend: Any = None, *, context: MasterContext) -> bool:
    """Look for changes. Of `roots` each request sees the files as they are, so there is no need.

    CLI Example:

        greensalt run fileserver.update
    """
    return True


def clear_file_list_cache(
    saltenv: str | None = None, backend: Any = None, *, context: MasterContext
) -> dict[str, list[str]]:
    """Forget the lists of files: {backend: environments}. They are made anew when asked for.

    CLI Example:

        greensalt run fileserver.clear_file_list_cache
    """
    return {"roots": context.files.forget_listings(saltenv)}
