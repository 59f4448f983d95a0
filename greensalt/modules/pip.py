"""Python packages, through pip: of the minion's own Python, or of another one.

`bin_env` names the other one: the directory of a virtual environment, or the path of a Python or
pip program.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from greensalt.errors import CommandExecutionError, CommandNotFoundError
from greensalt.minion.context import Context
from greensalt.modules import _packages
from greensalt.modules._commands import run_program
from greensalt.modules._data import split_list

GREEN = True

# Arguments of pip.install that are options of pip: with a value, and without.
VALUES: Final = {
    "log": "--log",
    "proxy": "--proxy",
    "timeout": "--timeout",
    "index_url": "--index-url",
    "extra_index_url": "--extra-index-url",
    "build": "--build",
    "target": "--target",
    "cache_dir": "--cache-dir",
    "source": "--source",
    "exists_action": "--exists-action",
    "cert": "--cert",
}
SWITCHES: Final = {
    "no_index": "--no-index",
    "upgrade": "--upgrade",
    "force_reinstall": "--force-reinstall",
    "ignore_installed": "--ignore-installed",
    "no_deps": "--no-deps",
    "no_cache_dir": "--no-cache-dir",
    "pre_releases": "--pre",
    "disable_version_check": "--disable-pip-version-check",
}
LISTS: Final = {
    "find_links": "--find-links",
    "global_options": "--global-option",
    "trusted_host": "--trusted-host",
    "editable": "--editable",
}
PYTHON: Final = re.compile(r"python(\d+(\.\d+)?)?")


def _pip(bin_env: str | None) -> list[str]:
    """The words that call the wanted pip."""
    if not bin_env:
        return [os.path.normpath(sys.executable), "-m", "pip"]
    place = Path(bin_env)
    if place.is_dir():
        for name in ("python", "python3"):
            for python in (place / name, place / "bin" / name):
                if os.access(python, os.X_OK) and python.is_file():
                    return [str(python), "-m", "pip"]
        raise CommandNotFoundError(f"Could not find a pip binary in virtualenv {bin_env}")
    if not os.access(place, os.X_OK):
        raise CommandNotFoundError(f"Access denied to {bin_env}, could not find a pip binary")
    return [str(place), "-m", "pip"] if PYTHON.fullmatch(place.name) else [str(place)]


def _run(
    words: list[Any],
    bin_env: str | None,
    user: str | None,
    cwd: str | None,
    context: Context,
    env_vars: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    env: dict[str, Any] = {}
    if bin_env and Path(bin_env).is_dir():
        env["VIRTUAL_ENV"] = bin_env
    env.update(env_vars or {})
    return run_program([*_pip(bin_env), *words], context, runas=user, cwd=cwd, env=env)


def _must(result: dict[str, Any]) -> str:
    if result["retcode"]:
        raise CommandExecutionError(result["stderr"] or result["stdout"])
    return str(result["stdout"])


def version(
    bin_env: str | None = None,
    cwd: str | None = None,
    user: str | None = None,
    *,
    context: Context,
) -> str | None:
    """Return the version of pip.

    CLI Example:

        greensalt-cli '*' pip.version
    """
    result = _run(["--version"], bin_env, user, cwd, context)
    if result["retcode"]:
        raise CommandNotFoundError("Could not find a `pip` binary")
    found = re.match(r"pip (\S+)", result["stdout"])
    return found[1] if found else None


def install(
    pkgs: Any = None,
    requirements: Any = None,
    bin_env: str | None = None,
    log: str | None = None,
    proxy: str | None = None,
    timeout: int | None = None,
    editable: Any = None,
    find_links: Any = None,
    index_url: str | None = None,
    extra_index_url: str | None = None,
    no_index: bool = False,
    build: str | None = None,
    target: str | None = None,
    source: str | None = None,
    upgrade: bool = False,
    force_reinstall: bool = False,
    ignore_installed: bool = False,
    exists_action: str | None = None,
    no_deps: bool = False,
    global_options: Any = None,
    user: str | None = None,
    cwd: str | None = None,
    pre_releases: bool = False,
    cert: str | None = None,
    saltenv: str = "base",
    env_vars: Mapping[str, Any] | None = None,
    trusted_host: Any = None,
    no_cache_dir: bool = False,
    extra_args: Any = None,
    cache_dir: str | None = None,
    no_binary: Any = None,
    disable_version_check: bool = False,
    *,
    context: Context,
) -> dict[str, Any]:
    """Install Python packages; return the pid, retcode, stdout and stderr of pip.

    ``pkgs`` and ``requirements`` (paths on the minion) are lists, or texts with commas between; the
    other arguments are pip's own options.

    CLI Example:

        greensalt-cli '*' pip.install <package name>,<package2 name>
        greensalt-cli '*' pip.install requirements=/path/to/requirements.txt
        greensalt-cli '*' pip.install <package name> bin_env=/path/to/virtualenv
    """
    given = locals()
    if not pkgs and not requirements and not editable:
        return {"retcode": 0, "stdout": "No packages to install."}
    if no_index and (index_url or extra_index_url):
        raise CommandExecutionError(
            "'no_index' and ('index_url' or 'extra_index_url') are mutually exclusive."
        )
    words: list[Any] = ["install", *_requirements(requirements)]
    for name, option in VALUES.items():
        words += [option, given[name]] if given[name] else []
    for name, option in SWITCHES.items():
        words += [option] if given[name] else []
    for name, option in LISTS.items():
        words += [word for item in split_list(given[name]) for word in (option, item)]
    if no_binary:
        words += ["--no-binary", ",".join(map(str, split_list(no_binary)))]
    # In a text commas stand between packages, so a semicolon stands for a comma.
    words += [str(pkg).replace(";", ",") for pkg in split_list(pkgs)]
    words += _extra(extra_args)
    return _run(words, bin_env, user, cwd, context, env_vars)


def _requirements(requirements: Any) -> list[str]:
    words = []
    for path in split_list(requirements):
        if "://" in str(path):
            raise CommandExecutionError(f"can't fetch {path}: give a path on the minion")
        words += ["--requirement", str(path)]
    return words


def _extra(arguments: Any) -> list[str]:
    """Further options: words, or dicts of an option and its value."""
    words: list[str] = []
    for item in split_list(arguments):
        if isinstance(item, Mapping):
            words += [str(word) for pair in item.items() for word in pair]
        else:
            words.append(str(item))
    return words


def uninstall(
    pkgs: Any = None,
    requirements: Any = None,
    bin_env: str | None = None,
    log: str | None = None,
    proxy: str | None = None,
    timeout: int | None = None,
    user: str | None = None,
    cwd: str | None = None,
    saltenv: str = "base",
    use_vt: bool = False,
    extra_args: Any = None,
    *,
    context: Context,
) -> dict[str, Any]:
    """Remove Python packages; return the pid, retcode, stdout and stderr of pip.

    CLI Example:

        greensalt-cli '*' pip.uninstall <package name>,<package2 name>
        greensalt-cli '*' pip.uninstall <package name> bin_env=/path/to/virtualenv
    """
    words = ["uninstall", "-y", *_requirements(requirements)]
    for option, value in (("--log", log), ("--proxy", proxy), ("--timeout", timeout)):
        words += [option, str(value)] if value else []
    words += [str(pkg) for pkg in split_list(pkgs)]
    return _run([*words, *_extra(extra_args)], bin_env, user, cwd, context)


def freeze(
    bin_env: str | None = None,
    user: str | None = None,
    cwd: str | None = None,
    use_vt: bool = False,
    env_vars: Mapping[str, Any] | None = None,
    *,
    context: Context,
) -> list[str]:
    """Return the installed packages as lines of a requirements file.

    CLI Example:

        greensalt-cli '*' pip.freeze bin_env=/home/code/path/to/virtualenv/
    """
    words = ["freeze", "--all", "--disable-pip-version-check"]
    return _must(_run(words, bin_env, user, cwd, context, env_vars)).splitlines()


def normalize(name: str) -> str:
    """Return the form of a package name in which all its spellings are the same.

    CLI Example:

        greensalt-cli '*' pip.normalize Typing_Extensions
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def list_(
    prefix: str | None = None,
    bin_env: str | None = None,
    user: str | None = None,
    cwd: str | None = None,
    env_vars: Mapping[str, Any] | None = None,
    *,
    context: Context,
) -> dict[str, str]:
    """Return the installed packages and their versions, or those whose name begins with a text.

    CLI Example:

        greensalt-cli '*' pip.list salt
    """
    words = ["list", "--format=json", "--disable-pip-version-check"]
    output = _must(_run(words, bin_env, user, cwd, context, env_vars))
    start = normalize(prefix) if prefix else ""
    found = {normalize(item["name"]): item["version"] for item in _read(output)}
    return {name: ver for name, ver in found.items() if name.startswith(start)}


def _read(output: str) -> Any:
    try:
        return json.loads(output)
    except ValueError as error:
        raise CommandExecutionError(f"Invalid JSON: {error}") from error


def list_upgrades(
    bin_env: str | None = None,
    user: str | None = None,
    cwd: str | None = None,
    *,
    context: Context,
) -> dict[str, str]:
    """Return the packages of which there are newer versions.

    CLI Example:

        greensalt-cli '*' pip.list_upgrades
    """
    words = ["list", "--outdated", "--disable-pip-version-check", "--format=json"]
    output = _must(_run(words, bin_env, user, cwd, context))
    return {
        item["name"]: f"{item['latest_version']} [{item['latest_filetype']}]"
        for item in _read(output)
    }


def is_installed(
    pkgname: str,
    bin_env: str | None = None,
    user: str | None = None,
    cwd: str | None = None,
    *,
    context: Context,
) -> bool:
    """Tell whether a package is installed.

    CLI Example:

        greensalt-cli '*' pip.is_installed salt
    """
    return normalize(pkgname) in list_(pkgname, bin_env, user, cwd, context=context)


def upgrade_available(
    pkg: str,
    bin_env: str | None = None,
    user: str | None = None,
    cwd: str | None = None,
    *,
    context: Context,
) -> bool:
    """Tell whether there is a newer version of a package.

    CLI Example:

        greensalt-cli '*' pip.upgrade_available <package name>
    """
    return pkg in list_upgrades(bin_env, user, cwd, context=context)


def upgrade(
    bin_env: str | None = None,
    user: str | None = None,
    cwd: str | None = None,
    use_vt: bool = False,
    *,
    context: Context,
) -> dict[str, Any]:
    """Upgrade all packages; return what changed.

    CLI Example:

        greensalt-cli '*' pip.upgrade
    """
    old = list_(None, bin_env, user, cwd, context=context)
    outcome: dict[str, Any] = {"changes": {}, "result": True, "comment": ""}
    for pkg in list_upgrades(bin_env, user, cwd, context=context):
        words = ["install", "-U", "--disable-pip-version-check", pkg]
        result = _run(words, bin_env, user, cwd, context)
        outcome["result"] = outcome["result"] and result["retcode"] == 0
        outcome["comment"] += result["stderr"]
    new = list_(None, bin_env, user, cwd, context=context)
    outcome["changes"] = _packages.changes(old, new)
    return outcome
