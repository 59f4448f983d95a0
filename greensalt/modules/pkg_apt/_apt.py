"""The programs of apt and dpkg, and what dpkg knows."""

from __future__ import annotations

from typing import Any, Final

import gevent

from greensalt.minion.context import Context
from greensalt.modules._commands import run_program
from greensalt.modules._packages import Installed

ENVIRONMENT: Final = {
    "APT_LISTBUGS_FRONTEND": "none",
    "APT_LISTCHANGES_FRONTEND": "none",
    "DEBIAN_FRONTEND": "noninteractive",
    "UCF_FORCE_CONFFOLD": "1",
}


LOCK_TRIES: Final = 10


LOCK_WAIT_S: Final = 5


def apt(context: Context, *words: str, **options: Any) -> dict[str, Any]:
    """Run a program of apt's; while another one holds the lock, wait for it."""
    for _ in range(LOCK_TRIES):
        result = run_program(words, context, env=ENVIRONMENT, **options)
        if "Could not get lock" not in result["stderr"]:
            break
        gevent.sleep(LOCK_WAIT_S)
    return result


def query(context: Context) -> dict[str, Installed]:
    """All packages that dpkg knows, by what it thinks of them."""
    form = "${Status} ${Package} ${Version} ${Architecture}\\n"
    result = run_program(["dpkg-query", f"--showformat={form}", "-W"], context)
    found: dict[str, Installed] = {"installed": {}, "removed": {}, "purge_desired": {}}
    native = context.grains.get("osarch")
    for line in result["stdout"].splitlines():
        fields = line.split()
        if len(fields) != 6:
            continue
        wanted, _, status, name, version, arch = fields
        if native and arch not in ("all", native):
            name = f"{name}:{arch}"
        if wanted in ("install", "hold") and status == "installed":
            kind = "installed"
        elif wanted == "deinstall":
            kind = "removed"
        elif wanted == "purge" and status == "installed":
            kind = "purge_desired"
        else:
            continue
        found[kind].setdefault(name, []).append(version)
    return found


def compare(first: str, operator: str, second: str, context: Context) -> bool:
    command = ["dpkg", "--compare-versions", first, operator, second]
    return bool(run_program(command, context, ignore_retcode=True)["retcode"] == 0)
