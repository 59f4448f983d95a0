"""Packages are installed, upgraded and removed."""

from __future__ import annotations

import fnmatch
from typing import Any

from greensalt.errors import SaltInvocationError
from greensalt.minion.context import Context
from greensalt.modules import _packages
from greensalt.modules._data import is_true, split_list
from greensalt.modules.pkg_dnf._dnf import dnf, repo_options
from greensalt.modules.pkg_dnf._versions import list_pkgs, refresh_db, version_cmp


def install(
    name: Any = None,
    refresh: bool = False,
    skip_verify: bool = False,
    pkgs: Any = None,
    sources: Any = None,
    downloadonly: bool = False,
    reinstall: bool = False,
    normalize: bool = True,
    update_holds: bool = False,
    ignore_epoch: bool = False,
    *,
    context: Context,
    **kwargs: Any,
) -> dict[str, Any]:
    """Install packages, or other versions of them; return what changed.

    name
        A package, or several with commas between; ``version`` may name its version.
    pkgs
        A list of packages; a dict in it names a version.
    sources
        A list of dicts of names and paths of package files on the minion.
    refresh
        Whether the lists of packages are fetched anew first.
    fromrepo, enablerepo, disablerepo
        The repositories to take them from.
    setopt, skip_verify, downloadonly, reinstall
        Options of dnf's.

    CLI Example:

        greensalt-cli '*' pkg.install <package name>
        greensalt-cli '*' pkg.install pkgs='["foo", {"bar": "1.2.3-4.el9"}]'
    """
    if is_true(refresh):
        refresh_db(context=context, **kwargs)
    options = repo_options(kwargs)
    options += [f"--setopt={item}" for item in split_list(kwargs.get("setopt"))]
    options += ["--nogpgcheck"] if skip_verify else []
    options += ["--downloadonly"] if downloadonly else []
    old = list_pkgs(context=context)
    actions = _install_actions(name, pkgs, sources, reinstall, old, context, kwargs)
    errors = []
    for action, words in actions.items():
        result = dnf(context, action, *options, *words)
        errors += [result["stderr"] or result["stdout"]] if result["retcode"] else []
    different = _packages.changes(old, list_pkgs(context=context))
    for pkg in actions.get("reinstall", []):
        different.setdefault(pkg, {"old": old.get(pkg, ""), "new": old.get(pkg, "")})
    if errors:
        raise _packages.failure(
            "Problem encountered installing package(s)", errors=errors, changes=different
        )
    return different


def _install_actions(
    name: Any,
    pkgs: Any,
    sources: Any,
    reinstall: bool,
    old: dict[str, Any],
    context: Context,
    kwargs: dict[str, Any],
) -> dict[str, list[str]]:
    """Which of dnf's commands is right for which package."""
    if sources:
        return {"install": _packages.local_packages(sources)}
    actions: dict[str, list[str]] = {}
    for pkg, wanted in _packages.targets(name, pkgs, kwargs.get("version")).items():
        present = str(old.get(pkg, "")).partition(",")[0]
        if reinstall and present and wanted in (None, present):
            actions.setdefault("reinstall", []).append(pkg)
        elif wanted is None:
            actions.setdefault("install", []).append(pkg)
        else:
            older = bool(present) and version_cmp(wanted, present, context=context) == -1
            word = f"{pkg}-{wanted}"
            actions.setdefault("downgrade" if older else "install", []).append(word)
    return actions


def remove(name: Any = None, pkgs: Any = None, *, context: Context, **kwargs: Any) -> Any:
    """Remove packages; return what changed. Patterns are understood.

    CLI Example:

        greensalt-cli '*' pkg.remove <package name>
        greensalt-cli '*' pkg.remove pkgs='["foo", "bar"]'
    """
    patterns = list(_packages.targets(name, pkgs))
    if not patterns:
        raise SaltInvocationError("One of name or pkgs must be specified.")
    old = list_pkgs(context=context)
    wanted = sorted({found for pattern in patterns for found in fnmatch.filter(old, pattern)})
    if not wanted:
        return {}
    result = dnf(context, "remove", *wanted)
    different = _packages.changes(old, list_pkgs(context=context))
    if result["retcode"]:
        raise _packages.failure(
            "Problem encountered removing package(s)", errors=[result["stderr"]], changes=different
        )
    return different


def purge(name: Any = None, pkgs: Any = None, *, context: Context, **kwargs: Any) -> Any:
    """Remove packages: rpm knows no difference between that and purging them.

    CLI Example:

        greensalt-cli '*' pkg.purge <package name>
    """
    return remove(name, pkgs, context=context)


def upgrade(
    name: Any = None,
    pkgs: Any = None,
    refresh: bool = True,
    skip_verify: bool = False,
    normalize: bool = True,
    minimal: bool = False,
    obsoletes: bool = True,
    diff_attr: Any = None,
    *,
    context: Context,
    **kwargs: Any,
) -> dict[str, Any]:
    """Upgrade all packages, or the given ones; return what changed.

    CLI Example:

        greensalt-cli '*' pkg.upgrade
        greensalt-cli '*' pkg.upgrade name=openssl
    """
    if is_true(refresh):
        refresh_db(context=context)
    options = [*repo_options(kwargs), *(["--nogpgcheck"] if skip_verify else [])]
    words = list(_packages.targets(name, pkgs))
    old = list_pkgs(context=context)
    action = "upgrade-minimal" if minimal else "upgrade"
    result = dnf(context, *options, action, *words)
    different = _packages.changes(old, list_pkgs(context=context))
    if result["retcode"]:
        raise _packages.failure(
            "Problem encountered upgrading packages", changes=different, result=result
        )
    return different


def update(*args: Any, context: Context, **kwargs: Any) -> dict[str, Any]:
    """Do what `pkg.upgrade` does.

    CLI Example:

        greensalt-cli '*' pkg.update
    """
    return upgrade(*args, context=context, **kwargs)
