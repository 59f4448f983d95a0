"""Which files belong to which packages."""

from __future__ import annotations

from typing import Any

from greensalt.minion.context import Context
from greensalt.modules._commands import run_program
from greensalt.modules.pkg_dnf._dnf import installed_packages


def owner(*paths: str, context: Context, **kwargs: Any) -> Any:
    """Return the package that a file belongs to, or a dict of several.

    CLI Example:

        greensalt-cli '*' pkg.owner /usr/bin/apachectl
        greensalt-cli '*' pkg.owner /usr/bin/apachectl /usr/bin/basename
    """
    if not paths:
        return ""
    found = {}
    for path in paths:
        command = ["rpm", "-qf", "--queryformat=%{NAME}", path]
        result = run_program(command, context, ignore_retcode=True)
        found[path] = "" if result["retcode"] else result["stdout"]
    return found[paths[0]] if len(paths) == 1 else found


def file_list(*packages: str, context: Context, **kwargs: Any) -> dict[str, list[str]]:
    """Return the files of packages, all in one list.

    CLI Example:

        greensalt-cli '*' pkg.file_list httpd
    """
    found = file_dict(*packages, context=context)
    files = {file for names in found["packages"].values() for file in names}
    return {"errors": found["errors"], "files": sorted(files)}


def file_dict(*packages: str, context: Context, **kwargs: Any) -> dict[str, Any]:
    """Return the files of packages, by package.

    CLI Example:

        greensalt-cli '*' pkg.file_dict httpd
    """
    errors: list[str] = []
    found: dict[str, list[str]] = {}
    for package in packages or tuple(installed_packages(context)):
        result = run_program(["rpm", "-ql", package], context, ignore_retcode=True)
        if result["retcode"]:
            errors.append(f"package {package} is not installed")
        else:
            found[package] = [f for f in result["stdout"].splitlines() if f.startswith("/")]
    return {"errors": errors, "packages": found}
