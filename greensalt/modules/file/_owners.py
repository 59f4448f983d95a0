"""Who owns a file and what they may do with it."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

from greensalt.errors import CommandExecutionError
from greensalt.modules.file._common import expand
from greensalt.modules.file._status import stats


def gid_to_group(gid: Any) -> Any:
    """Return the name of a group by its number; the number if it has no name.

    CLI Example:

        greensalt-cli '*' file.gid_to_group 0
    """
    try:
        number: Any = int(gid)
    except ValueError:
        number = group_to_gid(gid)
    if number == "":
        return ""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return number


def group_to_gid(group: Any) -> Any:
    """Return the number of a group by its name; an empty text if there is none.

    CLI Example:

        greensalt-cli '*' file.group_to_gid root
    """
    if isinstance(group, int):
        return group
    try:
        return "" if group is None else grp.getgrnam(str(group)).gr_gid
    except KeyError:
        return ""


def uid_to_user(uid: Any) -> Any:
    """Return the name of a user by the number; the number if there is no name.

    CLI Example:

        greensalt-cli '*' file.uid_to_user 0
    """
    try:
        return pwd.getpwuid(int(uid)).pw_name
    except (KeyError, ValueError):
        return uid


def user_to_uid(user: Any) -> Any:
    """Return the number of a user by name, without a name of the minion's own user.

    CLI Example:

        greensalt-cli '*' file.user_to_uid root
    """
    if isinstance(user, int):
        return user
    try:
        return os.geteuid() if user is None else pwd.getpwnam(str(user)).pw_uid
    except KeyError:
        return ""


def get_uid(path: str, follow_symlinks: bool = True) -> int:
    """Return the number of a file's owner.

    CLI Example:

        greensalt-cli '*' file.get_uid /etc/passwd
    """
    return int(stats(path, follow_symlinks=follow_symlinks)["uid"])


def get_gid(path: str, follow_symlinks: bool = True) -> int:
    """Return the number of a file's group.

    CLI Example:

        greensalt-cli '*' file.get_gid /etc/passwd
    """
    return int(stats(path, follow_symlinks=follow_symlinks)["gid"])


def get_user(path: str, follow_symlinks: bool = True) -> Any:
    """Return the name of a file's owner.

    CLI Example:

        greensalt-cli '*' file.get_user /etc/passwd
    """
    return stats(path, follow_symlinks=follow_symlinks)["user"]


def get_group(path: str, follow_symlinks: bool = True) -> Any:
    """Return the name of a file's group.

    CLI Example:

        greensalt-cli '*' file.get_group /etc/passwd
    """
    return stats(path, follow_symlinks=follow_symlinks)["group"]


def get_mode(path: str, follow_symlinks: bool = True) -> str:
    """Return the mode of a file as octal digits.

    CLI Example:

        greensalt-cli '*' file.get_mode /etc/passwd
    """
    return str(stats(path, follow_symlinks=follow_symlinks)["mode"])


def set_mode(path: str, mode: Any) -> str:
    """Set the mode of a file, in octal digits, and return it.

    CLI Example:

        greensalt-cli '*' file.set_mode /etc/passwd 0644
    """
    target = Path(expand(path))
    digits = str(mode).lstrip("0Oo") or "0"
    if not target.exists():
        raise CommandExecutionError(f"{target}: File not found")
    try:
        target.chmod(int(digits, 8))
    except (ValueError, OverflowError, OSError):
        return f"Invalid Mode {digits}"
    return get_mode(path)


def _numbers(user: Any, group: Any) -> tuple[int, int, str]:
    """The numbers of user and group, -1 for "as it is", and what is wrong with them."""
    uid, gid = user_to_uid(user), group_to_gid(group)
    wrong = ""
    if uid == "":
        wrong += "User does not exist\n" if user else ""
        uid = -1
    if gid == "":
        wrong += "Group does not exist\n" if group else ""
        gid = -1
    return uid, gid, wrong


def chown(path: str, user: Any, group: Any) -> str | None:
    """Give a file to a user and a group; a text if one of them is missing.

    CLI Example:

        greensalt-cli '*' file.chown /etc/passwd root root
    """
    target = Path(expand(path))
    uid, gid, wrong = _numbers(user, group)
    if wrong:
        return wrong if target.exists() else f"{wrong}File not found"
    if not target.exists():
        if not target.is_symlink():
            return "File not found"
        os.lchown(target, uid, gid)
        return None
    os.chown(target, uid, gid)
    return None


def lchown(path: str, user: Any, group: Any) -> str | None:
    """Give a file, or a link itself, to a user and a group; a text if one is missing.

    CLI Example:

        greensalt-cli '*' file.lchown /etc/passwd root root
    """
    uid, gid, wrong = _numbers(user, group)
    if wrong:
        return wrong
    os.lchown(expand(path), uid, gid)
    return None


def chgrp(path: str, group: Any) -> str | None:
    """Give a file to a group; a text if it is missing.

    CLI Example:

        greensalt-cli '*' file.chgrp /etc/passwd root
    """
    return chown(path, get_user(path), group)
