from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests._calls import Caller


@pytest.fixture
def minion(tmp_path: Path) -> Caller:
    return Caller(tmp_path)


class Programs:
    """Stand-ins for programs that would change the machine: shell scripts, found first in PATH.

    Each notes how it was called.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def add(self, name: str, script: str = "") -> None:
        """A program that runs `script`; `$*` are its arguments."""
        log = self.directory / f"{name}.calls"
        path = self.directory / name
        path.write_text(f'#!/bin/sh\necho "$*" >> {log}\n{script}\n')
        path.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        """The arguments of each call so far, as one text each."""
        log = self.directory / f"{name}.calls"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    programs = Programs(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{programs.directory}{os.pathsep}{os.environ['PATH']}")
    return programs
