"""What dpkg is to do with packages: install, hold, deinstall or purge them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.minion.context import Context
from greensalt.modules import _packages
from greensalt.modules._commands import run_program
from greensalt.modules._data import split_list
from greensalt.modules.pkg_apt._apt import apt

STATES: Final = ("install", "hold", "deinstall", "purge")


def get_selections(
    pattern: str | None = None, state: str | None = None, *, context: Context
) -> dict[str, list[str]]:
    """Return the packages by what dpkg is to do with them.

    CLI Example:

        greensalt-cli '*' pkg.get_selections
        greensalt-cli '*' pkg.get_selections 'python-*'
        greensalt-cli '*' pkg.get_selections state=hold
    """
    command = ["dpkg", "--get-selections", pattern or "*"]
    found: dict[str, list[str]] = {}
    for line in run_program(command, context, ignore_retcode=True)["stdout"].splitlines():
        fields = line.split()
        if len(fields) == 2:
            found.setdefault(fields[1], []).append(fields[0])
    return {state: found.get(state, [])} if state else found


def set_selections(
    path: str | None = None,
    selection: Any = None,
    clear: bool = False,
    saltenv: str = "base",
    *,
    context: Context,
) -> dict[str, dict[str, Any]]:
    """Tell dpkg what to do with packages; return what changed.

    ``selection`` is a dict of lists of packages; ``clear`` forgets all other selections first.

    CLI Example:

        greensalt-cli '*' pkg.set_selections selection='{"install": ["netcat"]}'
        greensalt-cli '*' pkg.set_selections selection='{"hold": ["openssh-server"]}'
    """
    if path:
        raise CommandExecutionError(f"can't fetch {path}: give the selections themselves")
    if isinstance(selection, str):
        try:
            selection = yaml.safe_load(selection)
        except yaml.YAMLError as error:
            raise SaltInvocationError(f"Improperly-formatted selection: {error}") from None
    if not selection:
        return {}
    if not isinstance(selection, Mapping) or set(selection) - set(STATES):
        wrong = set(selection) - set(STATES) if isinstance(selection, Mapping) else [selection]
        raise SaltInvocationError(f"Invalid state(s): {', '.join(map(str, wrong))}")
    present = {
        name: state for state, names in get_selections(context=context).items() for name in names
    }
    if clear:
        result = apt(context, "dpkg", "--clear-selections")
        if result["retcode"]:
            raise CommandExecutionError(
                f"Running dpkg --clear-selections failed: {result['stderr']}"
            )
    changed: dict[str, dict[str, Any]] = {}
    for state, names in selection.items():
        for name in split_list(names):
            old = _selected(name, present)
            if state != old and _select(name, state, context):
                changed[name] = {"old": old, "new": state}
    return changed


def _selected(name: str, present: Mapping[str, str]) -> str | None:
    """The state of a package, which dpkg may list with its architecture."""
    if name in present:
        return present[name]
    return next((s for listed, s in present.items() if listed.partition(":")[0] == name), None)


def _select(name: str, state: str, context: Context) -> bool:
    words = f"{name} {state}"
    result = apt(context, "dpkg", "--set-selections", stdin=words, stdin_raw_newlines=True)
    return bool(result["retcode"] == 0)


def hold(
    name: Any = None, pkgs: Any = None, sources: Any = None, *, context: Context, **kwargs: Any
) -> dict[str, Any]:
    """Keep packages at their version.

    CLI Example:

        greensalt-cli '*' pkg.hold <package name>
        greensalt-cli '*' pkg.hold pkgs='["foo", "bar"]'
    """
    result: dict[str, Any] = {}
    for target in _packages.hold_targets(name, pkgs, sources):
        if get_selections(target, "hold", context=context)["hold"]:
            comment = f"Package {target} is already set to be held."
            result[target] = _entry(target, {}, True, comment)
            continue
        changed = set_selections(selection={"hold": [target]}, context=context)
        if target in changed:
            comment = f"Package {target} is now being held."
            result[target] = _entry(target, changed[target], True, comment)
        else:
            comment = f"Package {target} could not be held."
            result[target] = _entry(target, {}, False, comment)
    return result


def unhold(
    name: Any = None, pkgs: Any = None, sources: Any = None, *, context: Context, **kwargs: Any
) -> dict[str, Any]:
    """No longer keep packages at their version.

    CLI Example:

        greensalt-cli '*' pkg.unhold <package name>
        greensalt-cli '*' pkg.unhold pkgs='["foo", "bar"]'
    """
    result: dict[str, Any] = {}
    for target in _packages.hold_targets(name, pkgs, sources):
        states = get_selections(target, context=context)
        if not states:
            comment = f"Package {target} does not have a state."
            result[target] = _entry(target, {}, False, comment)
        elif "hold" not in states:
            comment = f"Package {target} is already set not to be held."
            result[target] = _entry(target, {}, True, comment)
        else:
            changed = set_selections(selection={"install": [target]}, context=context)
            comment = f"Package {target} is no longer being held."
            result[target] = _entry(target, changed.get(target, {}), target in changed, comment)
    return result


def _entry(name: str, changes: Any, result: bool, comment: str) -> dict[str, Any]:
    return {"name": name, "changes": changes, "result": result, "comment": comment}
