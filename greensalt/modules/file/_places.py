"""Files, directories and links come into being, move and go."""

from __future__ import annotations

import os
import posixpath
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.modules.file._common import absolute, expand, octal_value
from greensalt.modules.file._owners import chown


def touch(name: str, atime: Any = None, mtime: Any = None) -> bool:
    """Make a file if there is none, and set its times (seconds since 1970, or now).

    CLI Example:

        greensalt-cli '*' file.touch /var/log/emptyfile
    """
    target = Path(expand(name))
    try:
        times = None
        if atime is not None or mtime is not None:
            now = time.time()
            times = tuple(now if value is None else float(value) for value in (atime, mtime))
    except (TypeError, ValueError):
        raise SaltInvocationError("atime and mtime must be integers") from None
    try:
        if not target.exists():
            target.open("a").close()
        os.utime(target, (times[0], times[1]) if times else None)
    except OSError as error:
        raise CommandExecutionError(error.strerror) from error
    return target.exists()


def mkdir(dir_path: str, user: Any = None, group: Any = None, mode: Any = None) -> bool:
    """Make a directory, and those above it, unless it exists.

    CLI Example:

        greensalt-cli '*' file.mkdir /opt/jetty/context
    """
    directory = Path(posixpath.normpath(expand(dir_path)))
    if not directory.is_dir():
        makedirs_perms(str(directory), user, group, mode)
    return True


def makedirs_(path: str, user: Any = None, group: Any = None, mode: Any = None) -> str | None:
    """Make the directories above a path; a text if there is something already.

    The last part is made only if the path ends in a slash.

    CLI Example:

        greensalt-cli '*' file.makedirs /opt/code/
    """
    directory = posixpath.normpath(posixpath.dirname(expand(path)))
    if Path(directory).is_dir():
        return f"Directory '{directory}' already exists"
    if Path(directory).exists():
        return f"The path '{directory}' already exists and is not a directory"
    if not directory.startswith("/"):
        raise SaltInvocationError(
            f"Recursive creation for path '{directory}' would result in an infinite loop. Please"
            " use an absolute path."
        )
    makedirs_perms(directory, user, group, mode)
    return None


def makedirs_perms(name: str, user: Any = None, group: Any = None, mode: Any = "0755") -> None:
    """Make a directory and those above it, all with the owner and mode given.

    CLI Example:

        greensalt-cli '*' file.makedirs_perms /opt/code
    """
    target = Path(expand(name))
    if not target.parent.exists():
        makedirs_perms(str(target.parent), user, group, mode)
    target.mkdir()
    _own(target, user, group, mode)


def _own(path: Path, user: Any, group: Any, mode: Any) -> None:
    if user or group:
        wrong = chown(str(path), user or -1, group)
        if wrong:
            raise CommandExecutionError(wrong.strip())
    if mode:
        path.chmod(octal_value(mode))


def mknod_fifo(
    name: str, user: Any = None, group: Any = None, mode: Any = "0660"
) -> dict[str, Any]:
    """Make a named pipe.

    CLI Example:

        greensalt-cli '*' file.mknod_fifo /dev/fifo
    """
    target = Path(expand(name))
    result: dict[str, Any] = {"name": str(target), "changes": {}, "comment": "", "result": False}
    try:
        os.mkfifo(target, octal_value(mode))
    except FileExistsError:
        result["comment"] = f"File {target} exists and cannot be overwritten"
        return result
    _own(target, user, group, mode)
    result["changes"] = {"new": f"Fifo pipe {target} created."}
    result["result"] = True
    return result


def remove(path: str, **kwargs: Any) -> bool:
    """Remove a file, a link or a whole directory; ``False`` if there is none.

    CLI Example:

        greensalt-cli '*' file.remove /tmp/foo
    """
    target = Path(absolute(path, f"File path must be absolute: {expand(path)}"))
    try:
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            target.unlink()
            return True
        if target.is_dir():
            shutil.rmtree(target)
            return True
    except OSError as error:
        raise CommandExecutionError(f"Could not remove '{target}': {error}") from error
    return False


def rmdir(path: str, recurse: bool = False, verbose: bool = False, older_than: Any = None) -> Any:
    """Remove an empty directory; with ``recurse`` the empty ones below it first.

    ``older_than`` days spares those that changed since; ``verbose`` returns what was done.

    CLI Example:

        greensalt-cli '*' file.rmdir /tmp/foo/
    """
    target = absolute(path)
    if not Path(target).is_dir():
        raise SaltInvocationError(f"A valid directory was not specified: {target}")
    try:
        limit = time.time() - int(older_than) * 86400 if older_than else None
    except (TypeError, ValueError):
        raise SaltInvocationError("older_than must be a number of days") from None
    below = (
        str(Path(root, name))
        for root, names, _ in (os.walk(target, topdown=False) if recurse else ())
        for name in names
    )
    deleted: list[str] = []
    errors: list[list[str]] = []
    for directory in (*below, target):
        try:
            if limit is None or Path(directory).stat().st_mtime < limit:
                Path(directory).rmdir()
                deleted.append(directory)
        except OSError as error:
            errors.append([directory, str(error)])
    result = not errors and bool(deleted or recurse)
    return {"deleted": deleted, "errors": errors, "result": result} if verbose else result


def rename(src: str, dst: str) -> bool:
    """Give a file or directory another name.

    CLI Example:

        greensalt-cli '*' file.rename /path/to/src /path/to/dst
    """
    source, target = absolute(src), expand(dst)
    try:
        Path(source).rename(target)
    except OSError:
        raise CommandExecutionError(f"Could not rename '{source}' to '{target}'") from None
    return True


def move(src: str, dst: str, disallow_copy_and_unlink: bool = False) -> Any:
    """Move a file or directory, to another file system as well.

    CLI Example:

        greensalt-cli '*' file.move /path/to/src /path/to/dst
    """
    if disallow_copy_and_unlink:
        return rename(src, dst)
    source = absolute(src, "Source path must be absolute.")
    target = absolute(dst, "Destination path must be absolute.")
    try:
        shutil.move(source, target)
    except OSError as error:
        raise CommandExecutionError(f"Unable to move '{source}' to '{target}': {error}") from error
    return {"result": True, "comment": f"'{source}' moved to '{target}'"}


def copy(src: str, dst: str, recurse: bool = False, remove_existing: bool = False) -> bool:
    """Copy a file, or with ``recurse`` a directory.

    A directory is merged into one that exists; ``remove_existing`` removes that one first.

    CLI Example:

        greensalt-cli '*' file.copy /path/to/src /path/to/dst
        greensalt-cli '*' file.copy /path/to/src_dir /path/to/dst_dir recurse=True
    """
    source, target = Path(absolute(src)), Path(expand(dst))
    if not source.exists():
        raise CommandExecutionError(f"No such file or directory '{source}'")
    if (target.is_dir() or source.is_dir()) and not recurse:
        raise SaltInvocationError(
            "Cannot copy overwriting a directory without recurse flag set to true!"
        )
    try:
        if source.is_dir():
            if remove_existing and target.exists():
                shutil.rmtree(target)
            shutil.copytree(source, target, dirs_exist_ok=True, symlinks=False)
        else:
            target = target / source.name if target.is_dir() else target
            shutil.copyfile(source, target)
        status = source.stat()
        os.chown(target, status.st_uid, status.st_gid)
        target.chmod(status.st_mode & 0o7777)
    except (OSError, shutil.Error) as error:
        raise CommandExecutionError(f"Could not copy '{source}' to '{target}'") from error
    return True


def link(src: str, path: str) -> bool:
    """Give a file one more name (a hard link).

    CLI Example:

        greensalt-cli '*' file.link /path/to/file /path/to/link
    """
    source = absolute(src)
    try:
        Path(path).hardlink_to(source)
    except OSError as error:
        raise CommandExecutionError(f"Could not create '{path}': {error}") from error
    return True


def symlink(
    src: str,
    path: str,
    force: bool = False,
    atomic: bool = False,
    follow_symlinks: bool = True,
) -> bool:
    """Make a symbolic link at ``path`` that points to ``src``.

    ``force`` and ``atomic`` replace what is there, the latter in one step.

    CLI Example:

        greensalt-cli '*' file.symlink /path/to/file /path/to/link
    """
    target = Path(absolute(path, f"Link path must be absolute: {expand(path)}"))
    is_there = target.exists() if follow_symlinks else os.path.lexists(target)
    if target.is_symlink():
        if posixpath.normpath(target.readlink()) == posixpath.normpath(src):
            return True
        if not force and not atomic:
            raise CommandExecutionError(f"Found existing symlink: {target}")
    if is_there and not force and not atomic:
        raise CommandExecutionError(f"Existing path is not a symlink: {target}")
    try:
        if atomic:
            new = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
            new.symlink_to(src)
            _replace(new, target)
        else:
            if is_there or target.is_symlink():
                target.unlink()
            target.symlink_to(src)
    except OSError:
        raise CommandExecutionError(f"Could not create '{target}'") from None
    return True


def _replace(new: Path, target: Path) -> None:
    try:
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
