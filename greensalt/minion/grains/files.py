"""Small reads and commands that may fail: a grain is never worth an exception."""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

ROOT: Final = Path("/")
COMMAND_S: Final = 2.0


def read_text(path: Path) -> str:
    """The content of a file, stripped; empty if there is none, or none for us."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def command_output(*command: str) -> str | None:
    """What a command prints; None if it is missing, hangs, or fails without a word."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("%s: %s", " ".join(command), error)
        return None
    return done.stdout.strip() or None
