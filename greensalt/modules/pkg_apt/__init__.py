"""The packages of Debian and its relatives, through apt and dpkg."""

import shutil

from greensalt.modules.pkg_apt._changes import autoremove, install, purge, remove, upgrade
from greensalt.modules.pkg_apt._files import file_dict, file_list, owner
from greensalt.modules.pkg_apt._selections import (
    get_selections,
    hold,
    set_selections,
    unhold,
)
from greensalt.modules.pkg_apt._versions import (
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
    "autoremove",
    "available_version",
    "file_dict",
    "file_list",
    "get_selections",
    "hold",
    "install",
    "latest_version",
    "list_pkgs",
    "list_upgrades",
    "owner",
    "purge",
    "refresh_db",
    "remove",
    "set_selections",
    "unhold",
    "upgrade",
    "upgrade_available",
    "version",
    "version_cmp",
]


def available() -> bool | str:
    """Tell whether this machine has apt and dpkg."""
    for program in ("apt-get", "dpkg-query"):
        if shutil.which(program) is None:
            return f"the program {program} is missing"
    return True
