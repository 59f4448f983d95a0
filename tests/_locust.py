"""`locust -f loadtest/` as a child process, and all the processes that it starts in turn.

Locust monkey-patches whoever imports it, and so no test imports it.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Self

import psutil

from greensalt.cli.children import Child
from tests._daemons import BIN, READY_S, ROOT

GONE_S = 15.0


class Locust:
    """One `locust` command on this tree's loadtest/; a context manager that leaves nothing."""

    def __init__(self, where: Path, *args: str, cwd: Path = ROOT) -> None:
        self.record_path = where / "record.json"
        self.csv = where / "out"
        argv = [
            *(str(BIN / "locust"), "-f", str(ROOT / "loadtest"), "--only-summary"),
            *("--record", str(self.record_path), "--csv", str(self.csv)),
            *args,
        ]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        self.child = Child("locust", argv, where / "log", {"PYTHONPATH": path, "PWD": str(cwd)})
        self.started: list[psutil.Process] = []

    def __enter__(self) -> Self:
        self.child.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.note_children()
        self.child.stop(10)
        for process in self.living():
            process.kill()

    def wait_started(self) -> None:
        """Until the masters and fleets stand; notes which processes there are."""
        self.child.wait_for(r" ready after ", READY_S)
        self.note_children()

    def note_children(self) -> None:
        if self.child.alive:
            family = psutil.Process(self.child.pid).children(recursive=True)
            self.started += [process for process in family if process not in self.started]

    def find(self, word: str) -> psutil.Process:
        """The process that has `word` in its command line."""
        self.note_children()
        (found,) = [each for each in self.living() if word in " ".join(each.cmdline())]
        return found

    def living(self) -> list[psutil.Process]:
        """Those of the noted processes that still run; a dead one that nobody reaps is dead."""
        return [
            process
            for process in self.started
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        ]

    def wait_gone(self) -> None:
        """Every process that locust has started ends."""
        assert self.started
        until = time.monotonic() + GONE_S
        while self.living():
            assert time.monotonic() < until, self.living()
            time.sleep(0.02)

    def record(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.record_path.read_text())
        return loaded

    def rows(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The rows of the record by (lane, name)."""
        return {(row["lane"], row["name"]): row for row in self.record()["rows"]}
