"""The asking side of a swarm: starts one as a child process and talks JSON lines with it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Self


class Generator:
    """A swarm of emulated minions; a context manager that starts and ends it."""

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tools.bench.swarm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()

    def ask(self, do: str, **question: Any) -> Any:
        self.tell(do, **question)
        return self.answer()

    def tell(self, do: str, **question: Any) -> None:
        """Ask, and leave the answer for later."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"do": do, **question}) + "\n")
        self._child.stdin.flush()

    def answer(self) -> Any:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError("the swarm has ended; what it said is above")
        return json.loads(line)
