"""The groups of the machine: /etc/group and the programs groupadd, groupmod and groupdel."""

from __future__ import annotations

import grp
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from greensalt.minion.context import Context
from greensalt.modules._commands import need_program, run_program

GREEN = True


def info(name: str, root: str | None = None) -> dict[str, Any]:
    """Return what is known of a group; nothing if there is none.

    CLI Example:

        greensalt-cli '*' group.info foo
    """
    if root is not None:
        found = next((group for group in _all(root) if group.gr_name == name), None)
        return {} if found is None else _describe(found)
    try:
        return _describe(grp.getgrnam(str(name)))
    except KeyError:
        return {}


def _all(root: str | None) -> Iterator[grp.struct_group]:
    if root is None:
        yield from grp.getgrall()
        return
    for line in Path(root, "etc/group").read_text().splitlines():
        fields = line.strip().split(":")
        if len(fields) == 4:
            members = fields[3].split(",") if fields[3] else []
            yield grp.struct_group((*fields[:2], int(fields[2]), members))


def _describe(group: grp.struct_group) -> dict[str, Any]:
    return {
        "name": group.gr_name,
        "passwd": group.gr_passwd,
        "gid": group.gr_gid,
        "members": list(group.gr_mem),
    }


def getent(refresh: bool = False, root: str | None = None) -> list[dict[str, Any]]:
    """Return what is known of all groups.

    CLI Example:

        greensalt-cli '*' group.getent
    """
    return [_describe(group) for group in _all(root)]


def add(
    name: str,
    gid: Any = None,
    system: bool = False,
    root: str | None = None,
    non_unique: bool = False,
    local: bool = False,
    *,
    context: Context,
) -> bool:
    """Add a group.

    CLI Example:

        greensalt-cli '*' group.add foo 3456
    """
    command: list[Any] = [need_program("lgroupadd" if local else "groupadd")]
    if gid:
        command += ["-g", gid, *(["-o"] if non_unique and not local else [])]
    command += ["-r"] if system else []
    command += ["-R", root] if root is not None and not local else []
    return not run_program([*command, name], context)["retcode"]


def delete(name: str, root: str | None = None, local: bool = False, *, context: Context) -> bool:
    """Delete a group.

    CLI Example:

        greensalt-cli '*' group.delete foo
    """
    command = [need_program("lgroupdel" if local else "groupdel")]
    command += ["-R", root] if root is not None and not local else []
    return not run_program([*command, name], context)["retcode"]


def chgid(
    name: str, gid: int, root: str | None = None, non_unique: bool = False, *, context: Context
) -> bool:
    """Give a group another number.

    CLI Example:

        greensalt-cli '*' group.chgid foo 4376
    """
    before = info(name, root)
    if not before:
        return False
    if before["gid"] == gid:
        return True
    command = [need_program("groupmod"), *(["-R", root] if root else [])]
    run_program([*command, "-og" if non_unique else "-g", gid, name], context)
    return bool(info(name, root).get("gid") == gid)


def adduser(name: str, username: str, root: str | None = None, *, context: Context) -> bool:
    """Put a user into a group.

    CLI Example:

        greensalt-cli '*' group.adduser foo bar
    """
    return _gpasswd(["--add", username, name], root, context)


def deluser(name: str, username: str, root: str | None = None, *, context: Context) -> bool:
    """Take a user out of a group.

    CLI Example:

        greensalt-cli '*' group.deluser foo bar
    """
    if username not in info(name, root).get("members", []):
        return True
    return _gpasswd(["--del", username, name], root, context)


def members(name: str, members_list: Any, root: str | None = None, *, context: Context) -> bool:
    """Make users, a text with commas or a list, the only members of a group.

    CLI Example:

        greensalt-cli '*' group.members foo 'user1,user2,user3,...'
    """
    users = members_list if isinstance(members_list, str) else ",".join(map(str, members_list))
    return _gpasswd(["--members", users, name], root, context)


def _gpasswd(arguments: list[str], root: str | None, context: Context) -> bool:
    command = [need_program("gpasswd"), *arguments, *(["--root", root] if root else [])]
    return not run_program(command, context)["retcode"]
