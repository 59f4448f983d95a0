"""The users of the machine: /etc/passwd and the programs useradd, usermod and userdel."""

from __future__ import annotations

import grp
import logging
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from greensalt.errors import CommandExecutionError
from greensalt.minion.context import Context
from greensalt.modules._commands import need_program, run_program

GREEN = True

log = logging.getLogger(__name__)

GECOS: Final = ("fullname", "roomnumber", "workphone", "homephone", "other")
USERDEL_MAIL_FAILED: Final = 12


def info(name: Any, root: str | None = None) -> dict[str, Any]:
    """Return what is known of a user; nothing if there is none.

    CLI Example:

        greensalt-cli '*' user.info root
    """
    found = _find(str(name), root)
    return {} if found is None else _describe(found)


def _find(name: str, root: str | None) -> pwd.struct_passwd | None:
    if root is not None:
        return next((user for user in _all(root) if user.pw_name == name), None)
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _all(root: str | None) -> Iterator[pwd.struct_passwd]:
    """All users, or those of the system below `root`."""
    if root is None:
        yield from pwd.getpwall()
        return
    for line in Path(root, "etc/passwd").read_text().splitlines():
        fields = line.strip().split(":")
        if len(fields) == 7:
            numbers = (int(fields[2]), int(fields[3]))
            yield pwd.struct_passwd((*fields[:2], *numbers, *fields[4:]))


def _describe(user: pwd.struct_passwd) -> dict[str, Any]:
    gecos = [*user.pw_gecos.split(",", 4), "", "", "", ""]
    return {
        "gid": user.pw_gid,
        "groups": list_groups(user.pw_name),
        "home": user.pw_dir,
        "name": user.pw_name,
        "passwd": user.pw_passwd,
        "shell": user.pw_shell,
        "uid": user.pw_uid,
        **dict(zip(GECOS, gecos, strict=False)),
    }


def list_users(root: str | None = None) -> list[str]:
    """Return the names of all users.

    CLI Example:

        greensalt-cli '*' user.list_users
    """
    return sorted(user.pw_name for user in _all(root))


def list_groups(name: str) -> list[str]:
    """Return the groups that a user is in.

    CLI Example:

        greensalt-cli '*' user.list_groups foo
    """
    try:
        gids = os.getgrouplist(str(name), pwd.getpwnam(str(name)).pw_gid)
    except KeyError:
        return sorted(group.gr_name for group in grp.getgrall() if name in group.gr_mem)
    names = []
    for gid in gids:
        try:
            names.append(grp.getgrgid(gid).gr_name)
        except KeyError:
            log.debug("user %s is in the group %d, which has no name", name, gid)
    return sorted(set(names))


def primary_group(name: str, *, context: Context) -> str:
    """Return the primary group of a user.

    CLI Example:

        greensalt-cli '*' user.primary_group saltadmin
    """
    return str(run_program(["id", "-g", "-n", name], context, redirect_stderr=True)["stdout"])


def getent(refresh: bool = False, root: str | None = None) -> list[dict[str, Any]]:
    """Return what is known of all users.

    CLI Example:

        greensalt-cli '*' user.getent
    """
    return [_describe(user) for user in _all(root)]


def add(
    name: str,
    uid: Any = None,
    gid: Any = None,
    groups: Any = None,
    home: str | None = None,
    shell: str | None = None,
    unique: bool = True,
    system: bool = False,
    fullname: str = "",
    roomnumber: str = "",
    workphone: str = "",
    homephone: str = "",
    other: str = "",
    createhome: bool = True,
    loginclass: str | None = None,
    nologinit: bool = False,
    root: str | None = None,
    usergroup: bool | None = None,
    local: bool = False,
    *,
    context: Context,
) -> bool:
    """Add a user.

    CLI Example:

        greensalt-cli '*' user.add name <uid> <gid> <groups> <home> <shell>
    """
    command: list[Any] = [need_program("luseradd" if local else "useradd")]
    for option, value in (("-s", shell), ("-u", uid), ("-g", gid), ("-d", home)):
        if value not in (None, ""):
            command += [option, value]
    own_group = bool(usergroup) and gid in (None, "") and not local
    for option, wanted in (
        ("-U", own_group),
        ("-n" if local else "-N", usergroup is False),
        ("-m", createhome and not local),
        ("-M", not createhome),
        ("-l", nologinit),
        ("-o", not unique),
        ("-r", system),
    ):
        command += [option] if wanted else []
    command += [name, *(["-R", root] if root is not None and not local else [])]
    if run_program(command, context)["retcode"]:
        return False
    if groups:
        chgroups(name, groups, root=root, context=context)
    for field, value in zip(
        GECOS, (fullname, roomnumber, workphone, homephone, other), strict=True
    ):
        if value:
            _set_gecos(name, field, value, root, context)
    return True


def delete(
    name: str,
    remove: bool = False,
    force: bool = False,
    root: str | None = None,
    local: bool = False,
    *,
    context: Context,
) -> bool:
    """Delete a user; ``remove`` the home directory as well, ``force`` even if still in use.

    CLI Example:

        greensalt-cli '*' user.delete name remove=True force=True
    """
    command = [need_program("luserdel" if local else "userdel")]
    command += ["-r"] if remove else []
    command += ["-f"] if force and not local else []
    command.append(name)
    command += ["-R", root] if root is not None and not local else []
    result = run_program(command, context)
    # On Debian a mailbox that was never there makes a successful deletion look like a failure.
    if result["retcode"] == USERDEL_MAIL_FAILED and context.grains.get("os_family") == "Debian":
        return "var/mail" in result["stderr"] or "var/spool/mail" in result["stderr"]
    return bool(result["retcode"] == 0)


def _change(
    name: str, key: str, value: Any, option: list[str], root: str | None, context: Context
) -> bool:
    """Change one field of a user with usermod; whether it has the value then."""
    before = info(name, root)
    if not before:
        raise CommandExecutionError(f"User '{name}' does not exist")
    if value == before[key]:
        return True
    command = [need_program("usermod"), *(["-R", root] if root else []), *option, value, name]
    run_program(command, context)
    now = value if key == "name" else name
    return bool(info(now, root).get(key) == value)


def chuid(name: str, uid: int, root: str | None = None, *, context: Context) -> bool:
    """Give a user another number.

    CLI Example:

        greensalt-cli '*' user.chuid foo 4376
    """
    return _change(name, "uid", uid, ["-u"], root, context)


def chgid(name: str, gid: int, root: str | None = None, *, context: Context) -> bool:
    """Give a user another primary group, by number.

    CLI Example:

        greensalt-cli '*' user.chgid foo 4376
    """
    return _change(name, "gid", gid, ["-g"], root, context)


def chshell(name: str, shell: str, root: str | None = None, *, context: Context) -> bool:
    """Give a user another login shell.

    CLI Example:

        greensalt-cli '*' user.chshell foo /bin/zsh
    """
    return _change(name, "shell", shell, ["-s"], root, context)


def chhome(
    name: str, home: str, persist: bool = False, root: str | None = None, *, context: Context
) -> bool:
    """Give a user another home directory; ``persist`` moves the files there.

    CLI Example:

        greensalt-cli '*' user.chhome foo /home/users/foo persist=True
    """
    return _change(name, "home", home, ["-m", "-d"] if persist else ["-d"], root, context)


def rename(name: str, new_name: str, root: str | None = None, *, context: Context) -> bool:
    """Give a user another name.

    CLI Example:

        greensalt-cli '*' user.rename name new_name
    """
    if info(new_name, root):
        raise CommandExecutionError(f"User '{new_name}' already exists")
    return _change(name, "name", new_name, ["-l"], root, context)


def chgroups(
    name: str, groups: Any, append: bool = False, root: str | None = None, *, context: Context
) -> bool:
    """Put a user into groups, with ``append`` besides those the user is in.

    CLI Example:

        greensalt-cli '*' user.chgroups foo wheel,root append=True
    """
    wanted = groups.split(",") if isinstance(groups, str) else [str(group) for group in groups]
    if set(list_groups(name)) == set(wanted):
        return True
    command = [need_program("usermod"), *(["-a"] if append else []), "-G", ",".join(wanted), name]
    command += ["-R", root] if root is not None else []
    return bool(run_program(command, context)["retcode"] == 0)


def _set_gecos(name: str, key: str, value: Any, root: str | None, context: Context) -> bool:
    text = "" if value is None else str(value)
    before = info(name, root)
    if not before:
        raise CommandExecutionError(f"User '{name}' does not exist")
    if text == before[key]:
        return True
    fields = [text if field == key else before[field] for field in GECOS]
    command = [need_program("usermod"), *(["-R", root] if root else [])]
    run_program([*command, "-c", ",".join(fields).rstrip(","), name], context)
    return bool(info(name, root).get(key) == text)


def chfullname(name: str, fullname: str, root: str | None = None, *, context: Context) -> bool:
    """Change the full name of a user.

    CLI Example:

        greensalt-cli '*' user.chfullname foo "Foo Bar"
    """
    return _set_gecos(name, "fullname", fullname, root, context)


def chroomnumber(name: str, roomnumber: Any, root: str | None = None, *, context: Context) -> bool:
    """Change the room number of a user.

    CLI Example:

        greensalt-cli '*' user.chroomnumber foo 123
    """
    return _set_gecos(name, "roomnumber", roomnumber, root, context)


def chworkphone(name: str, workphone: Any, root: str | None = None, *, context: Context) -> bool:
    """Change the telephone number of a user at work.

    CLI Example:

        greensalt-cli '*' user.chworkphone foo 7735550123
    """
    return _set_gecos(name, "workphone", workphone, root, context)


def chhomephone(name: str, homephone: Any, root: str | None = None, *, context: Context) -> bool:
    """Change the telephone number of a user at home.

    CLI Example:

        greensalt-cli '*' user.chhomephone foo 7735551234
    """
    return _set_gecos(name, "homephone", homephone, root, context)


def chother(name: str, other: Any, root: str | None = None, *, context: Context) -> bool:
    """Change what else is noted of a user.

    CLI Example:

        greensalt-cli '*' user.chother foobar
    """
    return _set_gecos(name, "other", other, root, context)
