"""Runs inside a stock Salt's interpreter: the grains of distributions that are not installed.

Reads a Python literal from stdin, {directory: [names]}: below directory/name are the files of one
distribution's /etc. Prints one JSON line, {name: grains}.
"""

from __future__ import annotations

import ast
import json
import logging
import platform
import sys
from pathlib import Path
from typing import Any

import salt.grains.core as core
import salt.utils.files
import salt.utils.platform

OPEN = salt.utils.files.fopen
# Stock Salt reads os-release with platform.freedesktop_os_release, whose paths are fixed.
PARSE: Any = vars(platform)["_parse_os_release"]


def os_grains(root: Path) -> dict[str, Any]:
    """What stock Salt would say on a machine with this root."""

    def fopen(path: str, *args: Any, **kwargs: Any) -> Any:
        return OPEN(root / path.lstrip("/"), *args, **kwargs)

    release = root / "etc/os-release"
    known = salt.utils.platform.distro.LinuxDistribution(
        include_lsb=False, include_uname=False, root_dir=str(root)
    )
    core._freedesktop_os_release = lambda: PARSE(release.open())
    core._linux_distribution = lambda: (
        known.name(),
        known.version(best=True),
        known.codename(),
    )
    salt.utils.files.fopen = fopen
    grains: dict[str, Any] = core._linux_distribution_data()
    if grains["osrelease"]:
        grains.update(core._osrelease_data(grains["os"], grains["osfullname"], grains["osrelease"]))
    return grains


if __name__ == "__main__":
    logging.disable()
    [(directory, names)] = ast.literal_eval(sys.stdin.read()).items()
    answer = {name: os_grains(Path(directory) / name) for name in names}
    sys.stdout.write(json.dumps(answer) + "\n")
