"""What a path is: kind, size, times, links, and how its parts are called."""

from __future__ import annotations

import glob
import grp
import os
import posixpath
import pwd
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.modules.file._common import absolute, expand, octal
from greensalt.modules.file._hash import get_hash

KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISDIR, "dir"),
    (stat.S_ISCHR, "char"),
    (stat.S_ISBLK, "block"),
    (stat.S_ISREG, "file"),
    (stat.S_ISLNK, "link"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
)
LSTAT_FIELDS: Final = (
    "st_atime",
    "st_ctime",
    "st_gid",
    "st_mode",
    "st_mtime",
    "st_nlink",
    "st_size",
    "st_uid",
)
STATVFS_FIELDS: Final = (
    "f_bavail",
    "f_bfree",
    "f_blocks",
    "f_bsize",
    "f_favail",
    "f_ffree",
    "f_files",
    "f_flag",
    "f_frsize",
    "f_namemax",
)
MODES: Final = {"f": os.F_OK, "r": os.R_OK, "w": os.W_OK, "x": os.X_OK}


def stats(path: str, hash_type: str | None = None, follow_symlinks: bool = True) -> dict[str, Any]:
    """Return what is known of a file: owner, mode, size, times, type and, if asked for, its hash.

    CLI Example:

        greensalt-cli '*' file.stats /etc/passwd
    """
    target = Path(expand(path))
    try:
        status = target.stat() if follow_symlinks and target.exists() else target.lstat()
    except OSError:
        raise CommandExecutionError(f"Path not found: {target}") from None
    found: dict[str, Any] = {
        "inode": status.st_ino,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "group": _name(grp.getgrgid, status.st_gid),
        "user": _name(pwd.getpwuid, status.st_uid),
        "atime": status.st_atime,
        "mtime": status.st_mtime,
        "ctime": status.st_ctime,
        "size": status.st_size,
        "mode": octal(oct(stat.S_IMODE(status.st_mode))),
        "type": next((name for is_it, name in KINDS if is_it(status.st_mode)), "file"),
        "target": os.path.realpath(target) if follow_symlinks else posixpath.abspath(target),
    }
    if hash_type:
        found["sum"] = get_hash(str(target), hash_type)
    return found


def _name(lookup: Callable[[int], Any], number: int) -> Any:
    try:
        return lookup(number)[0]
    except KeyError:
        return number


def lstat(path: str) -> dict[str, Any]:
    """Return the status of a path itself, links not followed; nothing if there is no such path.

    CLI Example:

        greensalt-cli '*' file.lstat /path/to/file
    """
    target = absolute(path, "Path to file must be absolute.")
    try:
        status = os.lstat(target)
    except OSError:
        return {}
    return {name: getattr(status, name) for name in LSTAT_FIELDS}


def statvfs(path: str) -> dict[str, Any]:
    """Return the status of the file system that a path is on.

    CLI Example:

        greensalt-cli '*' file.statvfs /path/to/file
    """
    target = absolute(path)
    try:
        status = os.statvfs(target)
    except OSError:
        raise CommandExecutionError(f"Could not statvfs '{target}'") from None
    return {name: getattr(status, name) for name in STATVFS_FIELDS}


def file_exists(path: str) -> bool:
    """Tell whether there is a file at a path.

    CLI Example:

        greensalt-cli '*' file.file_exists /etc/passwd
    """
    return Path(expand(path)).is_file()


def directory_exists(path: str) -> bool:
    """Tell whether there is a directory at a path.

    CLI Example:

        greensalt-cli '*' file.directory_exists /etc
    """
    return Path(expand(path)).is_dir()


def path_exists_glob(path: str) -> bool:
    """Tell whether there is something at a path, which may be a pattern.

    CLI Example:

        greensalt-cli '*' file.path_exists_glob '/etc/pam*/pass*'
    """
    return bool(glob.glob(expand(path)))  # noqa: PTH207  # Path.glob knows no absolute patterns


def access(path: str, mode: Any) -> bool:
    """Tell whether the minion may use a path: ``f`` exists, ``r`` read, ``w`` write, ``x`` run.

    CLI Example:

        greensalt-cli '*' file.access /path/to/file f
    """
    target = absolute(path, "Path to link must be absolute.")
    if mode in MODES:
        return os.access(target, MODES[mode])
    if mode in MODES.values():
        return os.access(target, int(mode))
    raise SaltInvocationError("Invalid mode specified.")


def is_link(path: str, nostat: bool = False) -> bool:
    """Tell whether a path is a symbolic link.

    CLI Example:

        greensalt-cli '*' file.is_link /path/to/link
    """
    return Path(expand(path)).is_symlink()


def is_hardlink(path: str) -> bool:
    """Tell whether a file has more than one name.

    CLI Example:

        greensalt-cli '*' file.is_hardlink /path/to/link
    """
    found = lstat(path)
    return bool(found) and found["st_nlink"] > 1


def _is(path: str, test: Callable[[int], bool]) -> bool:
    try:
        return test(Path(expand(path)).stat().st_mode)
    except FileNotFoundError:
        return False


def is_chrdev(name: str) -> bool:
    """Tell whether a path is a character device.

    CLI Example:

        greensalt-cli '*' file.is_chrdev /dev/chr
    """
    return _is(name, stat.S_ISCHR)


def is_blkdev(name: str) -> bool:
    """Tell whether a path is a block device.

    CLI Example:

        greensalt-cli '*' file.is_blkdev /dev/blk
    """
    return _is(name, stat.S_ISBLK)


def is_fifo(name: str) -> bool:
    """Tell whether a path is a named pipe.

    CLI Example:

        greensalt-cli '*' file.is_fifo /dev/fifo
    """
    return _is(name, stat.S_ISFIFO)


def readlink(path: str, canonicalize: bool = False) -> str:
    """Return what a symbolic link points to; with ``canonicalize`` in the end.

    CLI Example:

        greensalt-cli '*' file.readlink /path/to/link
    """
    target = posixpath.expandvars(expand(path))
    if not target.startswith("/"):
        raise SaltInvocationError(f"Path to link must be absolute: {target}")
    if not Path(target).is_symlink():
        raise SaltInvocationError(f"A valid link was not specified: {target}")
    return os.path.realpath(target) if canonicalize else str(Path(target).readlink())


def readdir(path: str) -> list[str]:
    """Return the names in a directory, ``.`` and ``..`` among them.

    CLI Example:

        greensalt-cli '*' file.readdir /path/to/dir/
    """
    target = absolute(path, "Dir path must be absolute.")
    if not Path(target).is_dir():
        raise SaltInvocationError(f"A valid directory was not specified: {target}")
    return [".", "..", *(entry.name for entry in os.scandir(target))]


def diskusage(path: str) -> int:
    """Return how many bytes the files at and below a path have; several names count once.

    CLI Example:

        greensalt-cli '*' file.diskusage /path/to/check
    """
    target = Path(expand(path))
    if target.is_file():
        return target.stat().st_size
    seen: set[tuple[int, int]] = set()
    total = 0
    for directory, _, names in os.walk(target):
        for name in names:
            try:
                status = Path(directory, name).stat()
            except OSError:
                continue  # gone meanwhile, or a link to nowhere
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total


def open_files(by_pid: bool = False) -> dict[Any, list[Any]]:
    """Return the files that processes have open, and by which; or with ``by_pid`` the reverse.

    CLI Example:

        greensalt-cli '*' file.open_files
        greensalt-cli '*' file.open_files by_pid=True
    """
    pids: dict[int, list[str]] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        opened: set[str] = set()
        for entry in (process / "exe", *_entries(process / "fd")):
            try:
                name = str(entry.readlink())
            except OSError:
                continue
            if name.startswith("/") and Path(name).exists():
                opened.add(name)
        pids[int(process.name)] = sorted(opened)
    if by_pid:
        return pids
    files: dict[str, list[int]] = {}
    for pid, names in sorted(pids.items()):
        for name in names:
            files.setdefault(name, []).append(pid)
    return files


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def basename(path: str) -> str:
    """Return the last part of a path.

    CLI Example:

        greensalt-cli '*' file.basename 'test/test.config'
    """
    return posixpath.basename(str(path))


def dirname(path: str) -> str:
    """Return a path without its last part.

    CLI Example:

        greensalt-cli '*' file.dirname 'test/path/filename.config'
    """
    return posixpath.dirname(str(path))


def join(*args: str) -> str:
    """Return the path that several parts make.

    CLI Example:

        greensalt-cli '*' file.join '/' 'usr' 'local' 'bin'
    """
    return posixpath.join(*map(str, args))


def normpath(path: str) -> str:
    """Return a path without detours such as ``a/../b``.

    CLI Example:

        greensalt-cli '*' file.normpath 'a/b/../c'
    """
    return posixpath.normpath(str(path))


def pardir() -> str:
    """Return how the directory above is written.

    CLI Example:

        greensalt-cli '*' file.pardir
    """
    return ".."
