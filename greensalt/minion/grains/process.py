"""Grains of the minion itself: its user, its Python, its versions."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from greensalt import __version__

# The Salt whose protocol this minion speaks. States and templates ask for it, to know what they
# may use; greensalt's own version is a grain of its own.
SALT_VERSION: Final = "3008.3"


def process_grains(minion_id: str, master: str | Sequence[str]) -> dict[str, Any]:
    """Who runs this minion, with what, and for whom."""
    return {
        "saltversion": SALT_VERSION,
        "saltversioninfo": [int(part) for part in SALT_VERSION.split(".")],
        "greensaltversion": __version__,
        "pythonversion": list(sys.version_info),
        "pythonexecutable": sys.executable,
        "pythonpath": list(sys.path),
        "cwd": _working_directory(),
        "pid": os.getpid(),
        "uid": os.geteuid(),
        "gid": os.getegid(),
        **_user(),
        "server_id": int(hashlib.sha256(minion_id.encode()).hexdigest(), 16) % (1 << 31),
        "master": master if isinstance(master, str) or len(master) != 1 else master[0],
    }


def _user() -> dict[str, str]:
    """The names of the user and of its default group; numbers of users may have none."""
    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:
        return {"username": str(os.geteuid()), "groupname": ""}
    try:
        group = grp.getgrgid(user.pw_gid).gr_name
    except KeyError:
        group = ""
    return {"username": user.pw_name, "groupname": group}


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return "/"
