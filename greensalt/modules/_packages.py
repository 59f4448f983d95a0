"""What package managers have in common: targets, versions, and what changed."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.modules._data import split_list

Installed = dict[str, list[str]]


def joined(packages: Installed) -> dict[str, str]:
    """Each package with its versions as one text."""
    return {name: ",".join(versions) for name, versions in packages.items()}


def versions_of(names: tuple[str, ...], packages: Installed, as_list: bool) -> Any:
    """The installed versions of packages, which may be patterns.

    One name gives its version alone, several a dict; a package that is missing has none.
    """
    found: dict[str, Any] = {}
    for name in names:
        if "*" in name:
            found.update({match: packages[match] for match in fnmatch.filter(packages, name)})
        else:
            found[name] = packages.get(name, [])
    result: dict[str, Any] = found if as_list else dict(joined(found))
    if len(names) == 1 and "*" not in names[0]:
        return result[names[0]]
    return result


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is different: name -> {old, new}, with an empty text for what is missing."""
    return {
        name: {"old": old.get(name, ""), "new": new.get(name, "")}
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    }


def targets(name: Any, pkgs: Any, version: Any = None) -> dict[str, str | None]:
    """The packages that a call means, each with its wanted version.

    `name` is one or several with commas between; `pkgs` a list of names and of dicts name: version.
    """
    if not pkgs:
        names = [item for item in split_list(name) if item]
        return {item: str(version) if version and len(names) == 1 else None for item in names}
    found: dict[str, str | None] = {}
    for item in split_list(pkgs):
        if isinstance(item, Mapping):
            found.update({str(k): None if v is None else str(v) for k, v in item.items()})
        else:
            found[str(item)] = None
    return found


def local_packages(sources: Any) -> list[str]:
    """The paths of `sources`, a list of dicts name: path; they must be on this machine."""
    if not isinstance(sources, list) or not all(isinstance(item, Mapping) for item in sources):
        raise SaltInvocationError("sources must be a list of dicts, each with a name and a path")
    paths = [str(path) for item in sources for path in item.values()]
    for path in paths:
        if not Path(path).is_absolute() or not Path(path).is_file():
            raise CommandExecutionError(
                f"can't fetch {path}: a package file must be on the minion so far"
            )
    return paths


def failure(message: str, **info: Any) -> CommandExecutionError:
    """An error that tells what went wrong in detail, and what changed all the same."""
    details = yaml.safe_dump(info, default_flow_style=False, sort_keys=False)
    return CommandExecutionError(f"{message}. Additional info follows:\n\n{details}")


def hold_targets(name: Any, pkgs: Any, sources: Any) -> list[str]:
    """The names of the packages to hold or to release."""
    if not name and not pkgs and not sources:
        raise SaltInvocationError("One of name, pkgs, or sources must be specified.")
    if pkgs and sources:
        raise SaltInvocationError("Only one of pkgs or sources can be specified.")
    return list(targets(name, pkgs or sources))
