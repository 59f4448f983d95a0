"""The program systemctl, and how its units are called."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

from greensalt.errors import CommandExecutionError
from greensalt.minion.context import Context
from greensalt.modules._commands import need_program, run_program

UNIT_TYPES: Final = (
    *("service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer"),
)


# Since systemd 231 the exit code of `status` tells a missing unit from one that does not run.
UNKNOWN_UNIT: Final = 4


MINION_UNITS: Final = ("salt-minion.service", "greensalt-minion.service")


def unit(name: Any) -> str:
    text = str(name)
    return text if text.rpartition(".")[2] in UNIT_TYPES else f"{text}.service"


def name_of(unit: str) -> str | None:
    """How a unit is called here: services without their ending; None if it is no unit."""
    name, _, kind = unit.rpartition(".")
    if not name or kind not in UNIT_TYPES:
        return None
    return name if kind == "service" else unit


def systemctl(
    context: Context,
    *action: str,
    name: Any = None,
    root: str | None = None,
    no_block: bool = False,
    scope: bool = False,
    ignore_retcode: bool = False,
    merge: bool = False,
) -> dict[str, Any]:
    """Run systemctl.

    With `scope` outside of the minion's own unit, so that it survives a restart of the minion.
    """
    command = []
    if scope and context.opts.others.get("systemd.scope", True) and shutil.which("systemd-run"):
        command += ["systemd-run", "--scope"]
    command.append(need_program("systemctl"))
    command += ["--no-block"] if no_block else []
    command += ["--root", root] if root else []
    command += action
    command += [unit(name)] if name is not None else []
    command += ["-n", "0"] if action[0] == "status" else []
    return run_program(command, context, ignore_retcode=ignore_retcode, redirect_stderr=merge)


def complaint(text: str) -> str:
    """What systemctl said, without what systemd-run said."""
    return "\n".join(line for line in text.splitlines() if not line.endswith(".scope")).strip()


def must(context: Context, *action: str, **how: Any) -> bool:
    result = systemctl(context, *action, scope=True, **how)
    if result["retcode"]:
        raise CommandExecutionError(complaint(result["stderr"]))
    return True


def reload_if_changed(name: Any, context: Context) -> None:
    """Have systemd read unit files again if the one of this service is new or changed."""
    result = systemctl(context, "status", name=name, ignore_retcode=True, merge=True)
    changed = "'systemctl daemon-reload'" in result["stdout"].lower()
    own = Path("/etc/systemd/system", unit(name))
    is_new = result["retcode"] >= UNKNOWN_UNIT and own.is_file()
    if changed or is_new:
        systemctl_reload(context=context)


def systemctl_reload(*, context: Context) -> bool:
    """Have systemd read all unit files again.

    CLI Example:

        greensalt-cli '*' service.systemctl_reload
    """
    result = systemctl(context, "--system", "daemon-reload", merge=True)
    if result["retcode"]:
        raise CommandExecutionError(
            f"Problem performing systemctl daemon-reload: {result['stdout']}"
        )
    return True


def never_wait(name: str, wanted: bool | None) -> bool:
    """A minion can't wait for its own end."""
    return unit(name) in MINION_UNITS if wanted is None else wanted


def below(path: str, root: str | None) -> Path:
    return Path(root, path.lstrip("/")) if root else Path(path)
