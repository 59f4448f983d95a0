"""The versions of greensalt, of what it needs and of the system."""

from __future__ import annotations

import platform
import sys

import greensalt

DEPENDENCIES = (
    *("gevent", "greenlet", "pyzmq", "msgpack", "orjson", "pycryptodome", "PyYAML"),
    *("psutil", "distro"),
)


def information() -> dict[str, dict[str, str]]:
    """The versions, by kind and name."""
    return {
        "Greensalt Version": {"Greensalt": greensalt.__version__},
        "Dependency Versions": {
            "Python": sys.version.replace("\n", " "),
            **{name: _installed(name) for name in DEPENDENCIES},
        },
        "System Versions": {
            "machine": platform.machine(),
            "release": platform.release(),
            "system": platform.system(),
            "version": platform.version(),
        },
    }


def _installed(name: str) -> str:
    # Imported late: it is large, and test.ping needs none of it.
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "Not Installed"


def report() -> str:
    """The versions as a text."""
    lines = []
    for title, versions in information().items():
        width = max(map(len, versions))
        lines += [f"{title}:", *(f"{name:>{width}}: {value}" for name, value in versions.items())]
        lines.append(" ")
    return "\n".join(lines)
