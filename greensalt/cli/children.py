"""Child processes that never outlive their parent.

The demo, the benchmarks and the tests start real daemons. A `Child` is one of them: its output
goes to a file, the lines in that file tell when it is ready, and however its parent ends, even by
SIGKILL, the kernel tells the child to end as well.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from greensalt.errors import ChildFailed

PR_SET_PDEATHSIG: Final = 1
POLL_S: Final = 0.02
TAIL_LINES: Final = 25

T = TypeVar("T")


class Child:
    """A program that runs as a child process, in a process group of its own.

    `output` is the file that takes its standard output and error, appended to on every start.
    Errors: `ChildFailed` when the program ends or stays silent where a sign of life was due.
    """

    def __init__(
        self, name: str, argv: Sequence[str], output: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.output = output
        self._env = None if env is None else {**os.environ, **env}
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit code; negative signal number; None while it runs or before its first start."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        if self.alive:
            raise ChildFailed(f"{self.name} is already running")
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("ab") as sink:
            self._started_at = sink.tell()
            # A session of its own: Ctrl-C reaches the parent alone, which then stops in order,
            # and the whole group can be killed without a look at anybody else's processes.
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
                preexec_fn=_die_with_parent(),  # noqa: PLW1509  # it only makes system calls
            )

    def text(self) -> str:
        """What the child has written since its last start."""
        with self.output.open("rb") as file:
            file.seek(self._started_at)
            return file.read().decode(errors="replace")

    def tail(self) -> str:
        return "\n".join(self.text().splitlines()[-TAIL_LINES:])

    def wait_for(self, pattern: str, timeout_s: float, count: int = 1) -> str:
        """Wait until `pattern` (a regular expression) stands `count` times in the output.

        Returns the line of its last occurrence.
        """
        regex = re.compile(pattern)

        def seen() -> str | None:
            lines = [line for line in self.text().splitlines() if regex.search(line)]
            return lines[-1] if len(lines) >= count else None

        return self.wait_until(seen, f"{pattern!r} in its output", timeout_s)

    def wait_until(self, look: Callable[[], T | None], what: str, timeout_s: float) -> T:
        """Ask `look` again and again until it answers something true, while the child lives."""
        deadline = time.monotonic() + timeout_s
        while True:
            ended = self.returncode
            if answer := look():
                return answer
            if ended is not None:
                raise ChildFailed(
                    f"{self.name} ended with exit code {ended} before {what}:\n{self.tail()}"
                )
            if time.monotonic() > deadline:
                raise ChildFailed(
                    f"{self.name}: no {what} within {timeout_s:.0f} s:\n{self.tail()}"
                )
            time.sleep(POLL_S)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); does not wait."""
        if self.alive:
            self._running().terminate()

    def wait(self, timeout_s: float) -> int:
        """The exit code, waited for. Error: `ChildFailed` when it runs on."""
        try:
            return self._running().wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"{self.name} did not end within {timeout_s:.0f} s") from None

    def stop(self, grace_s: float = 5.0) -> int | None:
        """SIGTERM, then SIGKILL for its whole group when `grace_s` is over; the exit code."""
        if self._process is None:
            return None
        self.terminate()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            pass
        # Also after a clean end: what it left behind in its group ends with it.
        self.kill()
        return self._process.returncode

    def kill(self) -> None:
        """SIGKILL for the child and its whole process group."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ChildFailed(f"{self.name} was never started")
        return self._process


def _die_with_parent() -> Callable[[], None]:
    """What a child does before it becomes its program: ask for SIGTERM at its parent's death.

    The C library is opened here, in the parent: after a fork only system calls are safe.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def hook() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the request was made
            os.kill(os.getpid(), signal.SIGTERM)

    return hook
