"""Which versions of packages are installed, and which could be."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Final

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.minion.context import Context
from greensalt.modules import _packages
from greensalt.modules._data import is_true
from greensalt.modules.pkg_apt._apt import apt, compare, query

LISTS: Final = Path("/var/lib/apt/lists")


def list_pkgs(
    versions_as_list: bool = False,
    removed: bool = False,
    purge_desired: bool = False,
    *,
    context: Context,
    **kwargs: Any,
) -> dict[str, Any]:
    """Return the installed packages with their versions.

    ``removed`` returns those of which only the configuration is left, ``purge_desired`` those that
    are to be purged.

    CLI Example:

        greensalt-cli '*' pkg.list_pkgs
        greensalt-cli '*' pkg.list_pkgs versions_as_list=True
    """
    found = query(context)
    if is_true(removed):
        packages = found["removed"]
    elif is_true(purge_desired):
        packages = found["purge_desired"]
    else:
        packages = {**found["purge_desired"], **found["installed"]}
    return dict(packages) if is_true(versions_as_list) else dict(_packages.joined(packages))


def version(*names: str, context: Context, **kwargs: Any) -> Any:
    """Return the installed version of a package, or a dict of several; patterns are understood.

    CLI Example:

        greensalt-cli '*' pkg.version <package name>
        greensalt-cli '*' pkg.version <package1> <package2> <package3> ...
    """
    installed = list_pkgs(versions_as_list=True, context=context)
    return _packages.versions_of(names, installed, is_true(kwargs.get("versions_as_list")))


def latest_version(*names: str, context: Context, **kwargs: Any) -> Any:
    """Return the version that an upgrade would install; empty if there is no newer one.

    CLI Example:

        greensalt-cli '*' pkg.latest_version <package name>
        greensalt-cli '*' pkg.latest_version <package name> fromrepo=unstable
    """
    if "repo" in kwargs:
        raise SaltInvocationError("The 'repo' argument is invalid, use 'fromrepo' instead")
    if not names:
        return ""
    if is_true(kwargs.get("refresh", True)):
        refresh_db(kwargs.get("cache_valid_time", 0), context=context)
    repo = kwargs.get("fromrepo")
    source = ["-o", f"APT::Default-Release={repo}"] if repo else []
    result = apt(context, "apt-cache", "-q", "policy", *names, *source)
    candidates = _candidates(result["stdout"])
    installed = list_pkgs(versions_as_list=True, context=context)
    found = {}
    for name in names:
        candidate = candidates.get(name, "")
        present = [] if is_true(kwargs.get("show_installed")) else installed.get(name, [])
        newest = any(compare(own, ">=", candidate, context) for own in present)
        found[name] = "" if candidate and newest else candidate
    return found[names[0]] if len(names) == 1 else found


def available_version(*names: str, context: Context, **kwargs: Any) -> Any:
    """Do what `pkg.latest_version` does.

    CLI Example:

        greensalt-cli '*' pkg.available_version <package name>
    """
    return latest_version(*names, context=context, **kwargs)


def _candidates(policy: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in policy.splitlines():
        text = line.strip()
        if text.endswith(":") and not text.startswith("Version table"):
            name = text[:-1]
        elif text.startswith("Candidate:"):
            candidate = text.partition(":")[2].strip()
            found[name] = "" if candidate.lower() == "(none)" else candidate
    return found


def upgrade_available(name: str, *, context: Context, **kwargs: Any) -> bool:
    """Tell whether there is a newer version of a package.

    CLI Example:

        greensalt-cli '*' pkg.upgrade_available <package name>
    """
    return bool(latest_version(name, context=context) != "")


def version_cmp(
    pkg1: Any, pkg2: Any, ignore_epoch: bool = False, *, context: Context, **kwargs: Any
) -> int | None:
    """Compare two versions: -1 if the first is the older one, 1 if the newer, 0 if they are equal.

    CLI Example:

        greensalt-cli '*' pkg.version_cmp '0.2.4-0ubuntu1' '0.2.4.1-0ubuntu1'
    """
    first, second = (
        str(text).partition(":")[2] if ignore_epoch and ":" in str(text) else str(text)
        for text in (pkg1, pkg2)
    )
    for operator, result in (("lt", -1), ("eq", 0), ("gt", 1)):
        if compare(first, operator, second, context):
            return result
    return None


def refresh_db(
    cache_valid_time: float = 0, failhard: bool = False, *, context: Context, **kwargs: Any
) -> dict[str, bool | None]:
    """Fetch the lists of packages anew.

    Returns a dict of the sources: ``True`` if there was something new, ``None`` if not, ``False``
    if it failed. Nothing is done if the lists are younger than ``cache_valid_time`` seconds;
    ``failhard`` makes a failed source an error.

    CLI Example:

        greensalt-cli '*' pkg.refresh_db
    """
    age_s = time.time() - LISTS.stat().st_mtime if LISTS.exists() else None
    if age_s is not None and age_s < float(cache_valid_time or 0):
        return {}
    result = apt(context, "apt-get", "-q", "update", timeout=kwargs.get("timeout"))
    if result["retcode"]:
        raise CommandExecutionError(result["stderr"] or result["stdout"])
    outcomes = {"Get": True, "Ign": False, "Hit": None, "Err": False}
    found: dict[str, bool | None] = {}
    failed = []
    for line in result["stdout"].splitlines():
        kind, _, source = line.partition(" ")
        if kind[:3] in outcomes:
            source = re.sub(r" \[.+B\]$", "", " ".join(source.split()))
            found[source] = outcomes[kind[:3]]
            failed += [source] if kind.startswith("Err") else []
    if failed and is_true(failhard):
        raise CommandExecutionError(f"Error getting repos: {', '.join(failed)}")
    return found


def list_upgrades(
    refresh: bool = True, dist_upgrade: bool = True, *, context: Context, **kwargs: Any
) -> dict[str, str]:
    """Return the packages that can be upgraded, with their new versions.

    CLI Example:

        greensalt-cli '*' pkg.list_upgrades
    """
    if is_true(refresh):
        refresh_db(kwargs.get("cache_valid_time", 0), context=context)
    action = "dist-upgrade" if dist_upgrade else "upgrade"
    repo = kwargs.get("fromrepo")
    source = ["-o", f"APT::Default-Release={repo}"] if repo else []
    result = apt(context, "apt-get", "--just-print", action, *source)
    if result["retcode"]:
        raise CommandExecutionError(
            f"Failed to get upgrades: {result['stderr'] or result['stdout']}"
        )
    return dict(re.findall(r"(?m)^Conf ([^ ]+) \(([^ ]+)", result["stdout"]))
