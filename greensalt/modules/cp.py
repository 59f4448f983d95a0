"""Files of the master, and files for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.minion.context import Context
from greensalt.minion.files import FileClient, Source, local_path, parse_url
from greensalt.wire.ids import safe_join


def _client(context: Context) -> FileClient:
    opts = context.opts
    return FileClient(
        context.request, Path(opts.cachedir), opts.file_buffer_size, context.begin_request
    )


def _env(saltenv: str | None, context: Context) -> str:
    return saltenv or context.opts.saltenv or "base"


def _source(path: str, saltenv: str | None, context: Context) -> Source:
    return parse_url(str(path), _env(saltenv, context))


def get_file(
    path: str,
    dest: str,
    saltenv: str | None = None,
    makedirs: bool = False,
    template: str | None = None,
    gzip: int | None = None,
    *,
    context: Context,
) -> str | bool:
    """Fetch a file of the master; return where it was put, nothing if the master has none.

    ``dest`` may be a directory. ``makedirs`` makes the directories that it needs, ``gzip`` (1 to
    9) has the file compressed on its way.

    CLI Example:

        greensalt-cli '*' cp.get_file salt://path/to/file /minion/dest
        greensalt-cli '*' cp.get_file salt://vim/vimrc /etc/vimrc makedirs=True gzip=5
    """
    if template:
        raise SaltInvocationError("names that are templates are not supported")
    source = _source(path, saltenv, context)
    place = Path(dest)
    if not place.is_absolute():
        raise SaltInvocationError(f"the destination must be an absolute path, not {dest!r}")
    if str(dest).endswith("/") or place.is_dir():
        place /= Path(source.path).name
    if not _client(context).hash(source):
        return ""
    if not place.parent.is_dir():
        if not makedirs:
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
    return str(place) if _client(context).get(source, place, int(gzip or 0)) else ""


def get_file_str(path: str, saltenv: str | None = None, *, context: Context) -> str | bool:
    """Return what is in a file of the master, ``False`` if there is none.

    CLI Example:

        greensalt-cli '*' cp.get_file_str salt://my/file
    """
    cached = cache_file(path, saltenv, context=context)
    try:
        return Path(cached).read_text() if cached else False
    except OSError:
        return False


def get_dir(
    path: str,
    dest: str,
    saltenv: str | None = None,
    template: str | None = None,
    gzip: int | None = None,
    *,
    context: Context,
) -> list[str]:
    """Copy a directory of the master into a directory, empty ones in it included.

    CLI Example:

        greensalt-cli '*' cp.get_dir salt://path/to/dir/ /minion/dest
    """
    if template:
        raise SaltInvocationError("names that are templates are not supported")
    source = _source(path, saltenv, context)
    whole = source.path.rstrip("/")
    above = f"{whole.rpartition('/')[0]}/".lstrip("/")
    client = _client(context)
    made = []
    for rel in _below(client.listing("_file_list", source.env, whole), whole):
        place = _inside(dest, rel.removeprefix(above))
        place.parent.mkdir(parents=True, exist_ok=True)
        if client.get(Source(rel, source.env), place, int(gzip or 0)):
            made.append(str(place))
    for rel in _below(client.listing("_file_list_emptydirs", source.env, whole), whole):
        place = _inside(dest, rel.removeprefix(above))
        place.mkdir(parents=True, exist_ok=True)
        made.append(str(place))
    return sorted(made)


def _below(listing: Any, directory: str) -> list[str]:
    paths = [os.fsdecode(path) for path in listing or ()]
    return [path for path in paths if not directory or path.startswith(f"{directory}/")]


def _inside(dest: str, rel: str) -> Path:
    """A place below the destination, whatever the master calls its files."""
    return safe_join(dest, rel)


def cache_file(path: str, saltenv: str | None = None, *, context: Context) -> str:
    """Keep a file of the master on the minion; return where, nothing if the master has none.

    A path on the minion itself is returned as it is.

    CLI Example:

        greensalt-cli '*' cp.cache_file salt://path/to/file
    """
    if str(path).startswith("/") or "://" in str(path):
        local = local_path(str(path))
        if local is not None:
            return str(local) if local.is_file() else ""
    cached = _client(context).cache(_source(path, saltenv, context))
    return str(cached) if cached else ""


def cache_files(paths: Any, saltenv: str | None = None, *, context: Context) -> list[str]:
    """Keep several files of the master on the minion; see `cp.cache_file`.

    CLI Example:

        greensalt-cli '*' cp.cache_files salt://pathto/file1,salt://pathto/file1
    """
    names = paths.split(",") if isinstance(paths, str) else paths
    return [cache_file(name, saltenv, context=context) for name in names]


def is_cached(path: str, saltenv: str | None = None, *, context: Context) -> str:
    """Return where a file of the master is kept on the minion, nothing if it is not.

    CLI Example:

        greensalt-cli '*' cp.is_cached salt://path/to/file
    """
    place = _client(context).cached_path(_source(path, saltenv, context))
    return str(place) if place.is_file() else ""


def hash_file(path: str, saltenv: str | None = None, *, context: Context) -> dict[str, str]:
    """Return the hash of a file of the master and its type.

    CLI Example:

        greensalt-cli '*' cp.hash_file salt://path/to/file
    """
    return _client(context).hash(_source(path, saltenv, context))


def envs(*, context: Context) -> list[str]:
    """List the environments of the master's file server.

    CLI Example:

        greensalt-cli '*' cp.envs
    """
    return _client(context).envs()


def list_master(saltenv: str | None = None, prefix: str = "", *, context: Context) -> Any:
    """List the files of the master.

    CLI Example:

        greensalt-cli '*' cp.list_master
    """
    return _client(context).listing("_file_list", _env(saltenv, context), prefix)


def list_master_dirs(saltenv: str | None = None, prefix: str = "", *, context: Context) -> Any:
    """List the directories of the master.

    CLI Example:

        greensalt-cli '*' cp.list_master_dirs
    """
    return _client(context).listing("_dir_list", _env(saltenv, context), prefix)


def list_master_symlinks(saltenv: str | None = None, prefix: str = "", *, context: Context) -> Any:
    """List the symlinks of the master and what they say.

    CLI Example:

        greensalt-cli '*' cp.list_master_symlinks
    """
    return _client(context).listing("_symlink_list", _env(saltenv, context), prefix)


def push(
    path: str,
    keep_symlinks: bool = False,
    upload_path: str | None = None,
    remove_source: bool = False,
    *,
    context: Context,
) -> bool:
    """Send a file to the master, which must allow it with ``file_recv: True``.

    It comes to ``<cachedir>/minions/<id>/files`` on the master, under its own path or under
    ``upload_path``.

    CLI Example:

        greensalt-cli '*' cp.push /etc/fstab
        greensalt-cli '*' cp.push /etc/fstab upload_path='/new/path/fstab'
    """
    if ".." in Path(path).parts or not Path(path).is_absolute():
        return False
    file = Path(path) if keep_symlinks else Path(os.path.realpath(path))
    target = Path(upload_path or file)
    if not file.is_file() or ".." in target.parts:
        return False
    names = [name for name in target.parts if name != "/"]
    if not _client(context).push(file, names):
        return False
    if remove_source:
        try:
            file.unlink()
        except OSError as error:
            raise CommandExecutionError(f"can't remove {file}: {error.strerror}") from error
    return True
