"""Packages are installed, upgraded and removed."""

from __future__ import annotations

import fnmatch
import re
from typing import Any, Final

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.minion.context import Context
from greensalt.modules import _packages
from greensalt.modules._data import is_true
from greensalt.modules.pkg_apt._apt import apt, compare, query
from greensalt.modules.pkg_apt._versions import list_pkgs, refresh_db

KEEP_CONFIG: Final = (
    "-o",
    "DPkg::Options::=--force-confold",
    "-o",
    "DPkg::Options::=--force-confdef",
)


NEW_CONFIG: Final = ("-o", "DPkg::Options::=--force-confnew")


def install(
    name: Any = None,
    refresh: bool = False,
    fromrepo: str | None = None,
    skip_verify: bool = False,
    debconf: str | None = None,
    pkgs: Any = None,
    sources: Any = None,
    reinstall: bool = False,
    downloadonly: bool = False,
    ignore_epoch: bool = False,
    normalize: bool = True,
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
    fromrepo
        The release to take them from.
    install_recommends, only_upgrade, force_conf_new, skip_verify, downloadonly, reinstall
        Options of apt's.

    CLI Example:

        greensalt-cli '*' pkg.install <package name>
        greensalt-cli '*' pkg.install pkgs='["foo", {"bar": "1.2.3-0ubuntu0"}]'
    """
    if debconf:
        raise CommandExecutionError("answers for debconf can't be set yet")
    if is_true(refresh):
        refresh_db(kwargs.get("cache_valid_time", 0), context=context)
    options = [*_install_options(kwargs), *(["--allow-unauthenticated"] if skip_verify else [])]
    options += ["-t", fromrepo] if fromrepo else []
    options += ["--download-only"] if downloadonly else []
    options += ["--reinstall"] if reinstall else []
    old = list_pkgs(context=context)
    if sources:
        wanted = _packages.local_packages(sources)
    else:
        chosen = _packages.targets(name, pkgs, kwargs.get("version"))
        wanted = [f"{pkg}={ver.lstrip('=')}" if ver else pkg for pkg, ver in chosen.items()]
        if any(_is_older(ver, old.get(pkg), context) for pkg, ver in chosen.items()):
            options.append("--allow-downgrades")
    if not wanted:
        return {}
    result = apt(context, "apt-get", "-q", "-y", *options, "install", *wanted)
    different = _packages.changes(old, list_pkgs(context=context))
    if reinstall:
        for pkg in (word.partition("=")[0] for word in wanted):
            different.setdefault(pkg, {"old": old.get(pkg, ""), "new": old.get(pkg, "")})
    if result["retcode"]:
        raise _packages.failure(
            "Problem encountered installing package(s)",
            errors=[result["stderr"] or result["stdout"]],
            changes=different,
        )
    return different


def _install_options(kwargs: dict[str, Any]) -> list[str]:
    options = list(NEW_CONFIG if kwargs.get("force_conf_new") else KEEP_CONFIG)
    if "install_recommends" in kwargs:
        wanted = is_true(kwargs["install_recommends"])
        options.append("--install-recommends" if wanted else "--no-install-recommends")
    options += ["--only-upgrade"] if kwargs.get("only_upgrade") else []
    return options


def _is_older(wanted: str | None, present: str | None, context: Context) -> bool:
    return bool(wanted and present) and compare(
        str(wanted).lstrip("="), "lt", str(present).partition(",")[0], context
    )


def _uninstall(action: str, name: Any, pkgs: Any, context: Context) -> dict[str, Any]:

    patterns = list(_packages.targets(name, pkgs))
    if not patterns:
        raise SaltInvocationError("One of name or pkgs must be specified.")
    before = query(context)
    known = {**before["installed"], **before["purge_desired"]}
    if action == "purge":
        known.update(before["removed"])
    wanted = sorted({found for pattern in patterns for found in fnmatch.filter(known, pattern)})
    if not wanted:
        return {}
    result = apt(context, "apt-get", "-q", "-y", action, *wanted)
    after = query(context)
    different: dict[str, Any] = {
        kind: _packages.changes(_packages.joined(before[kind]), _packages.joined(after[kind]))
        for kind in ("installed", "removed")
    }
    done = different if action == "purge" else different["installed"]
    if result["retcode"]:
        raise _packages.failure(
            "Problem encountered removing package(s)", errors=[result["stderr"]], changes=done
        )
    return done


def remove(name: Any = None, pkgs: Any = None, *, context: Context, **kwargs: Any) -> Any:
    """Remove packages; return what changed. Patterns are understood.

    CLI Example:

        greensalt-cli '*' pkg.remove <package name>
        greensalt-cli '*' pkg.remove pkgs='["foo", "bar"]'
    """
    return _uninstall("remove", name, pkgs, context)


def purge(name: Any = None, pkgs: Any = None, *, context: Context, **kwargs: Any) -> Any:
    """Remove packages and their configuration; return what changed. Patterns are understood.

    CLI Example:

        greensalt-cli '*' pkg.purge <package name>
    """
    return _uninstall("purge", name, pkgs, context)


def autoremove(list_only: bool = False, purge: bool = False, *, context: Context) -> Any:
    """Remove packages that nothing needs any more, or with ``list_only`` list them.

    CLI Example:

        greensalt-cli '*' pkg.autoremove
        greensalt-cli '*' pkg.autoremove list_only=True
    """
    options = ["--purge"] if purge else []
    if list_only:
        result = apt(context, "apt-get", "--just-print", *options, "autoremove")
        return sorted(re.findall(r"(?m)^(?:Remv|Purg) (\S+)", result["stdout"]))
    old = list_pkgs(context=context)
    result = apt(context, "apt-get", "-q", "-y", *options, "autoremove")
    different = _packages.changes(old, list_pkgs(context=context))
    if result["retcode"]:
        raise _packages.failure(
            "Problem encountered removing package(s)", errors=[result["stderr"]], changes=different
        )
    return different


def upgrade(
    refresh: bool = True, dist_upgrade: bool = False, *, context: Context, **kwargs: Any
) -> dict[str, Any]:
    """Upgrade all packages; return what changed.

    CLI Example:

        greensalt-cli '*' pkg.upgrade
        greensalt-cli '*' pkg.upgrade dist_upgrade=True
    """
    if is_true(refresh):
        refresh_db(kwargs.get("cache_valid_time", 0), context=context)
    options = list(NEW_CONFIG if kwargs.get("force_conf_new") else KEEP_CONFIG)
    for name, option in (
        ("skip_verify", "--allow-unauthenticated"),
        ("downloadonly", "--download-only"),
        ("download_only", "--download-only"),
        ("allow_downgrades", "--allow-downgrades"),
    ):
        options += [option] if is_true(kwargs.get(name)) else []
    old = list_pkgs(context=context)
    action = "dist-upgrade" if dist_upgrade else "upgrade"
    result = apt(context, "apt-get", "-q", "-y", *options, action)
    different = _packages.changes(old, list_pkgs(context=context))
    if result["retcode"]:
        raise _packages.failure(
            "Problem encountered upgrading packages", changes=different, result=result
        )
    return different
