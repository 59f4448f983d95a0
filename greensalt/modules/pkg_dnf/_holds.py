"""Packages are kept at their version, with the plugin versionlock of dnf."""

from __future__ import annotations

from typing import Any

from greensalt.minion.context import Context
from greensalt.modules import _packages
from greensalt.modules.pkg_dnf._dnf import dnf


def list_holds(*, context: Context) -> list[str]:
    """Return the packages that are kept at their version.

    CLI Example:

        greensalt-cli '*' pkg.list_holds
    """
    result = dnf(context, "versionlock", "list", ignore_retcode=True)
    return [line.strip() for line in result["stdout"].splitlines() if line.strip()]


def hold(
    name: Any = None, pkgs: Any = None, sources: Any = None, *, context: Context, **kwargs: Any
) -> dict[str, Any]:
    """Keep packages at their version (with the plugin versionlock of dnf).

    CLI Example:

        greensalt-cli '*' pkg.hold <package name>
    """
    return _lock("add", "held", _packages.hold_targets(name, pkgs, sources), context)


def unhold(
    name: Any = None, pkgs: Any = None, sources: Any = None, *, context: Context, **kwargs: Any
) -> dict[str, Any]:
    """No longer keep packages at their version.

    CLI Example:

        greensalt-cli '*' pkg.unhold <package name>
    """
    return _lock("delete", "unheld", _packages.hold_targets(name, pkgs, sources), context)


def _lock(action: str, done: str, names: list[str], context: Context) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name in names:
        is_held = any(f"{name}-" in line or line == name for line in list_holds(context=context))
        entry: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
        result[name] = entry
        if is_held == (action == "add"):
            entry["comment"] = f"Package {name} is already {done}."
            continue
        ended = dnf(context, "versionlock", action, name)
        if ended["retcode"]:
            entry["result"] = False
            entry["comment"] = f"Package {name} could not be {done}: {ended['stderr']}"
        else:
            states = ("", "hold") if action == "add" else ("hold", "")
            entry["changes"] = dict(zip(("old", "new"), states, strict=True))
            entry["comment"] = f"Package {name} is now {done}."
    return result
