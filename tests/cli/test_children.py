"""Child processes: started, watched, stopped, and never left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greensalt.cli.children import Child
from greensalt.errors import ChildFailed

SLEEPER = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "child"


@pytest.fixture
def sleeper(log: Path) -> Iterator[Child]:
    child = Child("sleeper", python(SLEEPER), log)
    child.start()
    yield child
    child.kill()


def wait_gone(pid: int, timeout_s: float = 20) -> None:
    """Wait for the end of a process that need not be a child of ours."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], timeout_s)[0], f"process {pid} lives on"
    finally:
        os.close(fd)


def test_a_child_is_ready_when_its_output_says_so(sleeper: Child) -> None:
    assert sleeper.wait_for("^ready$", 20) == "ready"
    assert sleeper.alive
    assert sleeper.returncode is None


def test_stop_ends_a_child_by_sigterm(sleeper: Child) -> None:
    sleeper.wait_for("ready", 20)
    assert sleeper.stop() == -signal.SIGTERM
    assert not sleeper.alive


def test_stop_kills_a_child_that_ignores_sigterm(log: Path) -> None:
    child = Child("stubborn", python(STUBBORN), log)
    child.start()
    child.wait_for("ready", 20)
    assert child.stop(grace_s=0.1) == -signal.SIGKILL


def test_stop_kills_what_a_child_has_left_in_its_process_group(log: Path) -> None:
    code = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])"
    child = Child("parent", python(f"{code}; print('pid', p.pid, flush=True); p.wait()"), log)
    child.start()
    grandchild = int(child.wait_for(r"^pid", 20).split()[1])
    child.wait_for("ready", 20)
    child.stop()
    wait_gone(grandchild)


def test_stop_of_a_child_that_was_never_started_does_nothing(log: Path) -> None:
    assert Child("never", python("pass"), log).stop() is None


def test_a_child_that_ends_too_early_is_told_with_its_last_words(log: Path) -> None:
    child = Child("early", python("print('no such port'); raise SystemExit(3)"), log)
    child.start()
    with pytest.raises(ChildFailed, match=r"(?s)early ended with exit code 3 .*no such port"):
        child.wait_for("ready", 20)


def test_a_silent_child_is_told_after_the_timeout(sleeper: Child) -> None:
    with pytest.raises(ChildFailed, match=r"sleeper: no 'never' in its output within 0 s"):
        sleeper.wait_for("never", 0.1)


def test_a_restarted_child_is_ready_by_its_new_output_only(sleeper: Child) -> None:
    sleeper.wait_for("ready", 20)
    sleeper.stop()
    sleeper.start()
    sleeper.wait_for("ready", 20, count=1)
    assert sleeper.text() == "ready\n"
    assert sleeper.output.read_text() == "ready\nready\n"


def test_a_running_child_is_not_started_twice(sleeper: Child) -> None:
    with pytest.raises(ChildFailed, match="sleeper is already running"):
        sleeper.start()


def test_a_child_ends_when_its_parent_is_killed(log: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from greensalt.cli.children import Child;"
        f"c = Child('sleeper', [sys.executable, '-c', {SLEEPER!r}], Path({str(log)!r}));"
        "c.start(); c.wait_for('ready', 20); print(c.pid, flush=True); c.wait(60)"
    )
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        parent.kill()
    wait_gone(orphan)
