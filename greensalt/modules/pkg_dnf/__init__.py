"""The packages of Fedora and its relatives, through dnf and rpm."""

import shutil

from greensalt.modules.pkg_dnf._changes import install, purge, remove, update, upgrade
from greensalt.modules.pkg_dnf._files import file_dict, file_list, owner
from greensalt.modules.pkg_dnf._holds import hold, list_holds, unhold
from greensalt.modules.pkg_dnf._versions import (
    available_version,
    latest_version,
    list_pkgs,
    list_upgrades,
    refresh_db,
    upgrade_available,
    version,
    version_cmp,
)

__virtualname__ = "pkg"
GREEN = True

__all__ = [
    "available_version",
    "file_dict",
    "file_list",
    "hold",
    "install",
    "latest_version",
    "list_holds",
    "list_pkgs",
    "list_upgrades",
    "owner",
    "purge",
    "refresh_db",
    "remove",
    "unhold",
    "update",
    "upgrade",
    "upgrade_available",
    "version",
    "version_cmp",
]


def available() -> bool | str:
    """Tell whether this machine has dnf and rpm."""
    for program in ("dnf", "rpm"):
        if shutil.which(program) is None:
            return f"the program {program} is missing"
    return True
