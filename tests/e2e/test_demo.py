"""`greensalt demo`: shows the answers of real minions and leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from greensalt.cli.children import Child
from tests._daemons import BIN, run, short_dir

Start = Callable[..., Child]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Start]:
    """Starts `greensalt demo ARGS...` and returns it when its cluster is up."""
    children: list[Child] = []

    def start(*args: str | Path) -> Child:
        argv = [str(BIN / "greensalt"), "demo", *map(str, args)]
        child = Child("demo", argv, tmp_path / "demo.log")
        children.append(child)
        child.start()
        child.wait_for("Ctrl-C stops the demo", 60)
        return child

    yield start
    for child in children:
        child.stop()


def processes(root: Path) -> dict[int, str]:
    """The processes whose command line names `root`, by pid."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(root) in command:
                found[int(path.name)] = command
    return found


def wait_gone(root: Path, timeout_s: float = 20) -> None:
    for pid, command in processes(root).items():
        with suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            try:
                assert select.select([fd], [], [], timeout_s)[0], f"still running: {command}"
            finally:
                os.close(fd)
    assert processes(root) == {}


def test_once_shows_the_answer_of_every_minion_and_ends() -> None:
    done = run(BIN / "greensalt", "demo", "--minions", "2", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "demo-1:\n    True\n" in done.stdout
    assert "demo-2:\n    True\n" in done.stdout
    assert "greensalt demo --minions 2" in done.stdout
    assert done.stderr == ""


def test_once_leaves_its_files_where_root_says_and_no_process(short_dir: Path) -> None:
    done = run(BIN / "greensalt", "demo", "--minions", "1", "--once", "--root", short_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (short_dir / "demo-1" / "minion").exists()
    assert processes(short_dir) == {}


def test_ctrl_c_stops_every_daemon(demo: Start, short_dir: Path) -> None:
    child = demo("--minions", "2", "--root", short_dir)
    assert len(processes(short_dir)) >= 4  # itself, the master and two minions
    os.kill(child.pid, signal.SIGINT)
    assert child.wait(20) == 0
    assert processes(short_dir) == {}


def test_a_killed_demo_takes_its_daemons_with_it(demo: Start, short_dir: Path) -> None:
    child = demo("--minions", "2", "--root", short_dir)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(20) == -signal.SIGKILL
    wait_gone(short_dir)


def test_the_printed_commands_work(demo: Start, short_dir: Path) -> None:
    child = demo("--minions", "1", "--root", short_dir)
    printed = [line.strip() for line in child.text().splitlines() if line.startswith("  ")]
    commands = [line for line in printed if f"-c {short_dir}/master" in line]
    assert len(commands) >= 4
    for command in commands:
        done = run("sh", "-c", command)
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
        assert done.stdout.strip(), f"{command} printed nothing"


def test_a_daemon_that_dies_ends_the_demo_and_is_named(demo: Start, short_dir: Path) -> None:
    child = demo("--minions", "1", "--root", short_dir)
    minion = next(pid for pid, cmd in processes(short_dir).items() if " minion " in cmd)
    os.kill(minion, signal.SIGKILL)
    assert child.wait(20) == 1
    assert "demo-1 ended with exit code -9" in child.text()
    assert f"{short_dir}/*/log" in child.text()


def test_no_minions_is_no_demo() -> None:
    done = run(BIN / "greensalt", "demo", "--minions", "0")
    assert done.returncode == 64
    assert "'0' is not a number of minions" in done.stderr


def test_a_root_too_deep_for_unix_sockets_is_refused() -> None:
    with short_dir() as where:
        done = run(BIN / "greensalt", "demo", "--once", "--root", where / ("x" * 60))
    assert done.returncode != 0
    assert "too long for unix sockets" in done.stderr
