"""Which versions of packages are installed, and which could be."""

from __future__ import annotations

from typing import Any

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.minion.context import Context
from greensalt.modules import _packages
from greensalt.modules._commands import run_program
from greensalt.modules._data import is_true
from greensalt.modules.pkg_dnf._dnf import (
    UPGRADES_AVAILABLE,
    dnf,
    full_name,
    full_version,
    installed_packages,
    repo_options,
)


def list_pkgs(versions_as_list: bool = False, *, context: Context, **kwargs: Any) -> dict[str, Any]:
    """Return the installed packages with their versions.

    CLI Example:

        greensalt-cli '*' pkg.list_pkgs
    """
    # There is no state between installed and gone here.
    if any(is_true(kwargs.get(name)) for name in ("removed", "purge_desired")):
        return {}
    packages = installed_packages(context)
    return dict(packages) if is_true(versions_as_list) else dict(_packages.joined(packages))


def version(*names: str, context: Context, **kwargs: Any) -> Any:
    """Return the installed version of a package, or a dict of several; patterns are understood.

    CLI Example:

        greensalt-cli '*' pkg.version <package name>
        greensalt-cli '*' pkg.version <package1> <package2> <package3> ...
    """
    as_list = is_true(kwargs.get("versions_as_list"))
    return _packages.versions_of(names, installed_packages(context), as_list)


def _upgrades(context: Context, names: tuple[str, ...], options: list[str]) -> dict[str, str]:
    result = dnf(context, "check-update", *options, *names, ignore_retcode=True)
    if result["retcode"] not in (0, UPGRADES_AVAILABLE):
        raise CommandExecutionError(f"Failed to get upgrades: {result['stderr']}")
    found: dict[str, str] = {}
    for line in result["stdout"].splitlines():
        if line.startswith("Obsoleting"):
            break
        fields = line.split()
        if len(fields) == 3 and "." in fields[0]:
            name, _, arch = fields[0].rpartition(".")
            found[full_name(name, arch, context)] = fields[1]
    return found


def latest_version(*names: str, context: Context, **kwargs: Any) -> Any:
    """Return the version that an upgrade would install; empty if there is no newer one.

    CLI Example:

        greensalt-cli '*' pkg.latest_version <package name>
        greensalt-cli '*' pkg.latest_version <package name> fromrepo=epel-testing
    """
    if not names:
        return ""
    if is_true(kwargs.get("refresh", True)):
        refresh_db(context=context)
    options = repo_options(kwargs)
    installed = installed_packages(context)
    newer = _upgrades(context, names, options)
    found = {}
    for name in names:
        found[name] = newer.get(name, "")
        if name not in installed:
            found[name] = _newest(name, options, context)
    return found[names[0]] if len(names) == 1 else found


def available_version(*names: str, context: Context, **kwargs: Any) -> Any:
    """Do what `pkg.latest_version` does.

    CLI Example:

        greensalt-cli '*' pkg.available_version <package name>
    """
    return latest_version(*names, context=context, **kwargs)


def _newest(name: str, options: list[str], context: Context) -> str:
    """The newest version in the repositories of a package that is not installed."""
    form = "--queryformat=%{name}|%{epoch}|%{version}|%{release}\n"
    result = dnf(
        context, "repoquery", "--latest-limit=1", form, *options, name, ignore_retcode=True
    )
    for line in result["stdout"].splitlines():
        fields = line.strip().split("|")
        if len(fields) == 4 and fields[0] == name:
            return full_version(*fields[1:])
    return ""


def upgrade_available(name: str, *, context: Context, **kwargs: Any) -> bool:
    """Tell whether there is a newer version of a package.

    CLI Example:

        greensalt-cli '*' pkg.upgrade_available <package name>
    """
    return bool(latest_version(name, context=context, **kwargs) != "")


def version_cmp(
    pkg1: Any, pkg2: Any, ignore_epoch: bool = False, *, context: Context, **kwargs: Any
) -> int | None:
    """Compare two versions: -1 if the first is the older one, 1 if the newer, 0 if they are equal.

    CLI Example:

        greensalt-cli '*' pkg.version_cmp '0.2-001' '0.2.0.1-002'
    """
    first, second = (
        str(text).partition(":")[2] if ignore_epoch and ":" in str(text) else str(text)
        for text in (pkg1, pkg2)
    )
    if not all(set(text).isdisjoint("\"'\\%{}") for text in (first, second)):
        raise SaltInvocationError(f"not versions: {first} and {second}")
    script = f'%{{lua:print(rpm.vercmp("{first}", "{second}"))}}'
    result = run_program(["rpm", "--eval", script], context, ignore_retcode=True)
    try:
        return int(result["stdout"])
    except ValueError:
        return None


def refresh_db(*, context: Context, **kwargs: Any) -> bool:
    """Fetch the lists of packages anew.

    CLI Example:

        greensalt-cli '*' pkg.refresh_db
    """
    options = repo_options(kwargs)
    dnf(context, "clean", "expire-cache", *options, ignore_retcode=True)
    result = dnf(context, "check-update", *options, ignore_retcode=True)
    return result["retcode"] in (0, UPGRADES_AVAILABLE)


def list_upgrades(refresh: bool = True, *, context: Context, **kwargs: Any) -> dict[str, str]:
    """Return the packages that can be upgraded, with their new versions.

    CLI Example:

        greensalt-cli '*' pkg.list_upgrades
    """
    if is_true(refresh):
        refresh_db(context=context)
    return _upgrades(context, (), repo_options(kwargs))
