"""The programs dnf and rpm, and what rpm knows."""

from __future__ import annotations

from typing import Any, Final

from greensalt.minion.context import Context
from greensalt.modules._commands import run_program
from greensalt.modules._data import split_list
from greensalt.modules._packages import Installed

FORM: Final = "%{NAME}|%{EPOCH}|%{VERSION}|%{RELEASE}|%{ARCH}\\n"


UPGRADES_AVAILABLE: Final = 100  # exit code of check-update


def dnf(context: Context, *words: str, **options: Any) -> dict[str, Any]:
    return run_program(["dnf", "--quiet", "-y", *words], context, **options)


def installed_packages(context: Context) -> Installed:
    result = run_program(["rpm", "-qa", f"--queryformat={FORM}"], context)
    found: Installed = {}
    for line in result["stdout"].splitlines():
        fields = line.strip().split("|")
        if len(fields) == 5:
            name, epoch, version, release, arch = fields
            versions = found.setdefault(full_name(name, arch, context), [])
            versions.append(full_version(epoch, version, release))
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def full_name(name: str, arch: str, context: Context) -> str:
    """Packages of another architecture than the machine's bear it in their names."""
    native = context.grains.get("osarch")
    foreign = native is not None and arch not in (native, "noarch", "(none)")
    return f"{name}.{arch}" if foreign else name


def full_version(epoch: str, version: str, release: str) -> str:
    prefix = "" if epoch in ("(none)", "0", "") else f"{epoch}:"
    return f"{prefix}{version}-{release}"


def repo_options(kwargs: dict[str, Any], fromrepo: str | None = None) -> list[str]:
    """The options that choose repositories: fromrepo, enablerepo, disablerepo and the like."""
    options: list[str] = []
    source = fromrepo or kwargs.get("fromrepo") or kwargs.get("repo")
    if source:
        options += ["--disablerepo=*", f"--enablerepo={source}"]
    else:
        for name in ("disablerepo", "enablerepo"):
            if kwargs.get(name):
                options.append(f"--{name}={','.join(map(str, split_list(kwargs[name])))}")
    options += [f"--exclude={item}" for item in split_list(kwargs.get("disableexcludes"))]
    return options
