"""What state services are in, and which there are."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from typing import Any, Final

from greensalt.minion.context import Context
from greensalt.modules.service._systemctl import (
    UNKNOWN_UNIT,
    below,
    name_of,
    reload_if_changed,
    systemctl,
)

UNIT_DIRS: Final = (
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/systemd/system",
    "/run/systemd/system",
)


INIT_SCRIPTS: Final = "/etc/init.d"


LIST_UNITS: Final = ("--full", "--no-legend", "--no-pager")


def status(name: str, sig: str | None = None, *, context: Context) -> Any:
    """Tell whether a service runs; for a pattern a dict of all that match.

    CLI Example:

        greensalt-cli '*' service.status <service name>
        greensalt-cli '*' service.status 'ssh*'
    """
    if not re.search(r"\*|\?|\[.+\]", name):
        return _is_active(name, context)
    return {found: _is_active(found, context) for found in fnmatch.filter(get_all(), name)}


def _is_active(name: str, context: Context) -> bool:
    reload_if_changed(name, context)
    return bool(systemctl(context, "is-active", name=name, ignore_retcode=True)["retcode"] == 0)


def available_(name: str, *, context: Context) -> bool:
    """Tell whether there is a service of that name.

    CLI Example:

        greensalt-cli '*' service.available sshd
    """
    reload_if_changed(name, context)
    result = systemctl(context, "status", name=name, ignore_retcode=True, merge=True)
    return bool(0 <= result["retcode"] < UNKNOWN_UNIT)


def missing(name: str, *, context: Context) -> bool:
    """Tell whether there is no service of that name.

    CLI Example:

        greensalt-cli '*' service.missing sshd
    """
    return not available_(name, context=context)


def enabled(name: str, root: str | None = None, *, context: Context, **kwargs: Any) -> bool:
    """Tell whether a service starts when the machine does.

    CLI Example:

        greensalt-cli '*' service.enabled <service name>
    """
    result = systemctl(context, "is-enabled", name=name, root=root, ignore_retcode=True)
    if result["stdout"].strip() != "alias":
        return bool(result["retcode"] == 0)
    real = systemctl(context, "show", "-P", "Id", name=name, root=root)["stdout"].strip()
    again = systemctl(context, "is-enabled", name=real, root=root, ignore_retcode=True)
    return bool(again["retcode"] == 0)


def disabled(name: str, root: str | None = None, *, context: Context) -> bool:
    """Tell whether a service does not start when the machine does.

    CLI Example:

        greensalt-cli '*' service.disabled <service name>
    """
    return not enabled(name, root, context=context)


def get_all(root: str | None = None) -> list[str]:
    """Return the names of all services and other units.

    CLI Example:

        greensalt-cli '*' service.get_all
    """
    found: set[str] = set()
    for directory in UNIT_DIRS:
        path = below(directory, root)
        if path.is_dir() and not path.is_symlink():
            found.update(filter(None, (name_of(entry.name) for entry in path.iterdir())))
    scripts = below(INIT_SCRIPTS, root)
    if scripts.is_dir():
        found.update(script.name for script in scripts.iterdir() if os.access(script, os.X_OK))
    return sorted(found)


def _in_state(state: str, root: str | None, context: Context) -> list[str]:
    result = systemctl(context, *LIST_UNITS, "list-unit-files", root=root, ignore_retcode=True)
    found = set()
    for words in _words(result["stdout"]):
        name = name_of(words[0]) if len(words) > 1 and words[1] == state else None
        if name is not None:
            found.add(name)
    return sorted(found)


def _words(text: str) -> Iterator[list[str]]:
    return (words for line in text.splitlines() if (words := line.split()))


def get_enabled(root: str | None = None, *, context: Context) -> list[str]:
    """Return the services that start when the machine does.

    CLI Example:

        greensalt-cli '*' service.get_enabled
    """
    return _in_state("enabled", root, context)


def get_disabled(root: str | None = None, *, context: Context) -> list[str]:
    """Return the services that do not start when the machine does.

    CLI Example:

        greensalt-cli '*' service.get_disabled
    """
    return _in_state("disabled", root, context)


def get_static(root: str | None = None, *, context: Context) -> list[str]:
    """Return the services that start only when others need them.

    CLI Example:

        greensalt-cli '*' service.get_static
    """
    return _in_state("static", root, context)


def get_running(*, context: Context) -> list[str]:
    """Return the services that run.

    CLI Example:

        greensalt-cli '*' service.get_running
    """
    result = systemctl(context, *LIST_UNITS, ignore_retcode=True)
    found = set()
    for words in _words(result["stdout"]):
        if not words[0][0].isalnum():  # a mark before units that need attention
            words = words[1:]
        if len(words) > 3 and words[3] == "running" and (name := name_of(words[0])) is not None:
            found.add(name)
    return sorted(found)


def show(name: str, root: str | None = None, *, context: Context) -> dict[str, Any]:
    """Return the properties of a service.

    CLI Example:

        greensalt-cli '*' service.show <service name>
    """
    found: dict[str, Any] = {}
    for line in systemctl(context, "show", name=name, root=root)["stdout"].splitlines():
        key, _, value = line.partition("=")
        if value.startswith("{"):
            parts = (part.partition("=") for part in value.strip("{} ").split(" ; "))
            found[key] = {part.strip(): text.strip() for part, _, text in parts}
        elif key in ("Before", "After", "Wants"):
            found[key] = value.split()
        else:
            found[key] = value
    return found


def execs(root: str | None = None, *, context: Context) -> dict[str, str]:
    """Return the programs that services run.

    CLI Example:

        greensalt-cli '*' service.execs
    """
    found = {}
    for name in get_all(root):
        start_line = show(name, root, context=context).get("ExecStart")
        if isinstance(start_line, dict) and "path" in start_line:
            found[name] = start_line["path"]
    return found
