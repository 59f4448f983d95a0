"""The services of the machine, through systemd."""

import shutil
from pathlib import Path

from greensalt.modules.service._actions import (
    disable,
    enable,
    force_reload,
    mask,
    masked,
    reload_,
    restart,
    start,
    stop,
    unmask_,
)
from greensalt.modules.service._states import (
    available_,
    disabled,
    enabled,
    execs,
    get_all,
    get_disabled,
    get_enabled,
    get_running,
    get_static,
    missing,
    show,
    status,
)
from greensalt.modules.service._systemctl import systemctl_reload

GREEN = True

__all__ = [
    "available_",
    "disable",
    "disabled",
    "enable",
    "enabled",
    "execs",
    "force_reload",
    "get_all",
    "get_disabled",
    "get_enabled",
    "get_running",
    "get_static",
    "mask",
    "masked",
    "missing",
    "reload_",
    "restart",
    "show",
    "start",
    "status",
    "stop",
    "systemctl_reload",
    "unmask_",
]


def available() -> bool | str:
    """Tell whether systemd runs this machine."""
    if shutil.which("systemctl") is None:
        return "the program systemctl is missing"
    if not Path("/run/systemd/system").is_dir():
        return "only available on Linux systems which have been booted with systemd."
    return True
