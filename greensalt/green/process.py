"""Commands as child processes: started off the hub, their pipes and exit watched on it.

`subprocess.Popen` runs in the hub's thread pool, because starting a process takes milliseconds;
the pipes are read without blocking and the exit arrives through a pidfd, so that hundreds of
commands at once cost one parked greenlet each. Every command leads a process group of its own,
which is ended as a whole when its time is up or when the greenlet that waits for it is killed.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, NamedTuple

import gevent
from gevent.os import make_nonblocking, nb_read, nb_write

from greensalt.green import offload

log = logging.getLogger(__name__)

CHUNK_BYTES = 65536
# How long a group may take to end after SIGTERM before it gets SIGKILL, and after SIGKILL before
# the wait for it goes on in the background (a process in an uninterruptible sleep can't die).
TERM_GRACE_S = 0.5
KILL_GRACE_S = 2.0

Argv = str | Sequence[str]


class Identity(NamedTuple):
    """Whose rights a process gets: numeric user, group and supplementary groups."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class Completed(NamedTuple):
    """How a command ended. `returncode` is minus the signal's number if a signal ended it."""

    pid: int
    returncode: int
    stdout: bytes
    stderr: bytes


class CommandTimeout(Exception):
    """A command did not end in time; its process group was killed. `pid` was its leader."""

    def __init__(self, pid: int, timeout_s: float) -> None:
        super().__init__(f"timed out after {timeout_s} seconds")
        self.pid = pid
        self.timeout_s = timeout_s


def run(
    argv: Argv,
    *,
    shell: str | None = None,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout_s: float | None = None,
    identity: Identity | None = None,
    umask: int = -1,
    merge_stderr: bool = False,
) -> Completed:
    """Run a command to its end and give back what it wrote.

    With `shell` (the path of one) `argv` is a command line for it, otherwise a list of arguments.
    The command counts as ended when it has exited and closed its output, as in a pipeline: a
    child that it leaves behind with the same output is waited for too.

    Raises CommandTimeout when `timeout_s` passes, OSError when the command can't be started.
    """
    launch = _Launch(argv, shell, cwd, env, identity, umask)
    process = launch.start(
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merge_stderr else subprocess.PIPE,
    )
    watch = _Watch(process)
    pumps: list[gevent.Greenlet[..., bytes]] = []
    timer = gevent.Timeout.start_new(timeout_s)
    try:
        pumps = _start_pumps(process, stdin)
        gevent.joinall(pumps, raise_error=True)
        watch.wait()
    except BaseException as reason:
        if reason is timer:
            watch.end_group(gentle=False)
            raise CommandTimeout(process.pid, timeout_s or 0.0) from None
        # Killed, or out of somebody else's time: nobody waits for this command any more.
        watch.end_group(gentle=True)
        raise
    finally:
        timer.close()
        gevent.killall(pumps)
        _close_pipes(process)
        watch.close()
    stdout = pumps[0].value or b""
    stderr = b"" if merge_stderr else pumps[1].value or b""
    return Completed(process.pid, process.returncode, stdout, stderr)


def start(
    argv: Argv,
    *,
    shell: str | None = None,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    identity: Identity | None = None,
    umask: int = -1,
    timeout_s: float | None = None,
) -> int:
    """Start a command in the background, without input or output, and give back its pid.

    It outlives the calling greenlet; after `timeout_s` its group is killed.
    """
    launch = _Launch(argv, shell, cwd, env, identity, umask)
    nowhere = subprocess.DEVNULL
    process = launch.start(stdin=nowhere, stdout=nowhere, stderr=nowhere)
    gevent.spawn(_attend, process, timeout_s)
    return process.pid


def _attend(process: subprocess.Popen[bytes], timeout_s: float | None) -> None:
    """Wait for a background process, so that no zombie stays."""
    watch = _Watch(process)
    try:
        if not watch.wait(timeout_s):
            log.warning("the background command with pid %d took too long: killed", process.pid)
            watch.end_group(gentle=False)
    finally:
        watch.close()


class _Launch:
    """A start in a native thread that leaves no process behind if its greenlet is killed."""

    def __init__(
        self,
        argv: Argv,
        shell: str | None,
        cwd: str | None,
        env: Mapping[str, str] | None,
        identity: Identity | None,
        umask: int,
    ) -> None:
        self._argv = argv
        self._shell = shell
        self._cwd = cwd
        self._env = env
        self._identity = identity
        self._umask = umask
        self._lock = threading.Lock()
        self._abandoned = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, stdin: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
        try:
            return offload(self._popen, stdin, stdout, stderr)
        except BaseException:
            with self._lock:
                self._abandoned = True
                process = self._process
            if process is not None:
                gevent.spawn(_discard, process)
            raise

    def _popen(self, stdin: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
        identity = self._identity
        process = subprocess.Popen(
            self._argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            bufsize=0,
            shell=self._shell is not None,
            executable=self._shell,
            cwd=self._cwd,
            env=self._env,
            start_new_session=True,
            umask=self._umask,
            user=None if identity is None else identity.uid,
            group=None if identity is None else identity.gid,
            extra_groups=None if identity is None else identity.groups,
        )
        with self._lock:
            if not self._abandoned:
                self._process = process
                return process
        _kill_group(process, signal.SIGKILL)
        process.wait()
        _close_pipes(process)
        return process


def _discard(process: subprocess.Popen[bytes]) -> None:
    watch = _Watch(process)
    watch.end_group(gentle=False)
    watch.close()
    _close_pipes(process)


class _Watch:
    """The exit of one process, seen through its pidfd on the hub."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        try:
            self._pidfd = os.pidfd_open(process.pid)
        except BaseException:
            _kill_group(process, signal.SIGKILL)
            process.wait()
            _close_pipes(process)
            raise
        self._handed_over = False

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the exit; False if `timeout_s` passes first."""
        timer = gevent.Timeout.start_new(timeout_s)
        hub = gevent.get_hub()
        watcher = hub.loop.io(self._pidfd, 1)
        try:
            # The pidfd turns readable at the exit and stays so.
            if self._process.poll() is None:
                hub.wait(watcher)
            self._process.wait()
            return True
        except gevent.Timeout as fired:
            if fired is not timer:
                raise
            return False
        finally:
            timer.close()
            watcher.stop()
            watcher.close()

    def end_group(self, *, gentle: bool) -> None:
        """End the process group: SIGTERM first if `gentle`, and SIGKILL for what remains."""
        try:
            if gentle and self._process.poll() is None:
                _kill_group(self._process, signal.SIGTERM)
                self.wait(TERM_GRACE_S)
        finally:
            # The leader may be gone while its children are not.
            _kill_group(self._process, signal.SIGKILL)
        if not self.wait(KILL_GRACE_S):
            log.warning("process %d does not die; waiting for it goes on", self._process.pid)
            self._handed_over = True
            gevent.spawn(_attend, self._process, None)

    def close(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if not self._handed_over:
            self._process.poll()


def _kill_group(process: subprocess.Popen[bytes], signum: int) -> None:
    # The leader called setsid: its pid names the group, as long as any member lives.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signum)


def _start_pumps(
    process: subprocess.Popen[bytes], stdin: bytes | None
) -> list[gevent.Greenlet[..., bytes]]:
    """One greenlet per pipe: stdout first, stderr second if it has a pipe of its own."""
    pumps: list[gevent.Greenlet[..., bytes]] = [
        gevent.spawn(_drain, pipe) for pipe in (process.stdout, process.stderr) if pipe is not None
    ]
    if process.stdin is not None:
        pumps.append(gevent.spawn(_feed, process.stdin, stdin or b""))
    return pumps


def _drain(pipe: IO[bytes]) -> bytes:
    fd = pipe.fileno()
    make_nonblocking(fd)
    chunks: list[bytes] = []
    while chunk := nb_read(fd, CHUNK_BYTES):
        chunks.append(chunk)
    return b"".join(chunks)


def _feed(pipe: IO[bytes], data: bytes) -> bytes:
    fd = pipe.fileno()
    make_nonblocking(fd)
    left = memoryview(data)
    # A command that does not read its input to the end is no error.
    with suppress(BrokenPipeError):
        while left:
            left = left[nb_write(fd, bytes(left[:CHUNK_BYTES])) :]
    pipe.close()
    return b""


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
