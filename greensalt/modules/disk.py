"""The space on disks, and what is on them, from the programs df, blkid and lsblk.

They are programs, so that one that hangs on a dead network file system can be killed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any, Final

from greensalt.errors import CommandExecutionError
from greensalt.minion.context import Context
from greensalt.modules._commands import need_program, run_program

GREEN = True

FLAGS: Final = frozenset("aBhHiklPtTxv")


def _df(context: Context, option: str, flags: str | None, caller: str) -> Iterator[list[str]]:
    """The rows of df's table: file system, four figures and mount point."""
    if not FLAGS.issuperset(flags or ""):
        raise CommandExecutionError(f"Invalid flag passed to {caller}")
    command = ["df", option, *([f"-{flags}"] if flags else [])]
    for line in run_program(command, context)["stdout"].splitlines()[1:]:
        # Names of file systems and mount points may have blanks, the figures between them not.
        found = re.fullmatch(r"(.+?)\s+([\d.]+\w?|-)\s+(\S+)\s+(\S+)\s+(\d+%|-)\s+(.+)", line)
        if found is not None:
            yield list(found.groups())


def usage(args: str | None = None, *, context: Context) -> dict[str, dict[str, str]]:
    """Return the space on file systems by mount point, in blocks of 1024 bytes.

    CLI Example:

        greensalt-cli '*' disk.usage
    """
    return {
        mount: {
            "filesystem": filesystem,
            "1K-blocks": blocks,
            "used": used,
            "available": available,
            "capacity": capacity,
        }
        for filesystem, blocks, used, available, capacity, mount in _df(
            context, "-P", args, "disk.usage"
        )
    }


def inodeusage(args: str | None = None, *, context: Context) -> dict[str, dict[str, str]]:
    """Return the inodes on file systems by mount point.

    CLI Example:

        greensalt-cli '*' disk.inodeusage
    """
    return {
        mount: {
            "inodes": inodes,
            "used": used,
            "free": free,
            "use": use,
            "filesystem": filesystem,
        }
        for filesystem, inodes, used, free, use, mount in _df(
            context, "-iP", args, "disk.inodeusage"
        )
    }


def percent(args: str | None = None, *, context: Context) -> Any:
    """Return how full file systems are by mount point, or that of one mount point.

    CLI Example:

        greensalt-cli '*' disk.percent /var
    """
    found = {row[5]: row[4] for row in _df(context, "-P", None, "disk.percent")}
    return found.get(args, {}) if args else found


def blkid(
    device: str | None = None, token: str | None = None, *, context: Context
) -> dict[str, dict[str, str]]:
    """Return what block devices hold: labels, kinds of file systems, and the like.

    CLI Example:

        greensalt-cli '*' disk.blkid
        greensalt-cli '*' disk.blkid /dev/sda
        greensalt-cli '*' disk.blkid token='UUID=6a38ee5-7235-44e7-8b22-816a403bad5d'
    """
    command = [need_program("blkid")]
    command += [device] if device else ["-t", token] if token else []
    result = run_program(command, context)
    if result["retcode"]:
        return {}
    found = {}
    for line in result["stdout"].splitlines():
        name, _, values = line.partition(":")
        found[name] = dict(re.findall(r'(\S+)="([^"]*)"', values))
    return found


def fstype(device: str, *, context: Context) -> str:
    """Return the kind of file system on a device; empty if there is none.

    CLI Example:

        greensalt-cli '*' disk.fstype /dev/sdX1
    """
    if shutil.which("lsblk") is not None:
        command = ["lsblk", "-n", "-o", "fstype", device]
        lines = run_program(command, context, ignore_retcode=True)["stdout"].split()
        if lines:
            return str(lines[0])
    command = ["df", "--output=fstype", device]
    lines = run_program(command, context, ignore_retcode=True)["stdout"].splitlines()
    return lines[1].strip() if len(lines) > 1 else ""


def get_fstype_from_path(path: str, *, context: Context) -> str:
    """Return the kind of the file system that a path is on.

    CLI Example:

        greensalt-cli '*' disk.get_fstype_from_path /root
    """
    command = ["df", "--output=fstype", path]
    lines = run_program(command, context)["stdout"].splitlines()
    return lines[1].strip() if len(lines) > 1 else ""
