"""A child process that ends with its parent, started from a process with threads.

It holds the reading end of a pipe as its standard input: however its parent ends, the kernel closes
the other end, and the child sees it. (PR_SET_PDEATHSIG would tell of the death of the native thread
that started it, and to ask for it takes code between fork and exec, which threads forbid.)
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import gevent

from greensalt.green import offload, within

log = logging.getLogger(__name__)


class Attached:
    """A running child in a process group of its own; `told` is what it reads first.

    Its output goes where the parent's goes. Raises OSError when it can't be started.
    """

    def __init__(self, argv: Sequence[str], told: bytes) -> None:
        self._process = offload(_popen, argv)
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)
        with suppress(BrokenPipeError):  # it has died already, and `wait` will say so
            offload(self._tell, told)

    def _tell(self, told: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(told)

    def wait(self) -> int:
        """The exit code, or minus the number of the signal that ended it."""
        watcher = gevent.get_hub().loop.io(self._pidfd, 1)
        try:
            if self._process.poll() is None:
                gevent.get_hub().wait(watcher)
            return self._process.wait()
        finally:
            watcher.stop()
            watcher.close()

    def end(self, grace_s: float) -> None:
        """Close its standard input; what of its group lives after `grace_s` is killed."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        with within(grace_s):
            self.wait()
        # The leader called setsid: its pid names the group, as long as any member lives.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._pidfd)


def _popen(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, stdin=subprocess.PIPE, bufsize=0, start_new_session=True)
