from __future__ import annotations

import os
import sys
from pathlib import Path

import gevent
import psutil
import pytest
from gevent.event import Event

from greensalt.green import process
from greensalt.green.process import CommandTimeout, Completed, Identity

SH = "/bin/sh"


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pid_in(file: Path) -> int:
    """The pid that a command writes into a file, once it is there."""
    with gevent.Timeout(60):
        while not (file.exists() and file.read_text().strip()):
            gevent.sleep(0.005)
    return int(file.read_text())


def wait_gone(pid: int) -> None:
    with gevent.Timeout(60):
        while is_alive(pid):
            gevent.sleep(0.005)


def test_a_command_gives_its_output_its_errors_and_its_exit_code() -> None:
    ended = process.run("echo out; echo err >&2; exit 3", shell=SH)
    assert (ended.stdout, ended.stderr, ended.returncode) == (b"out\n", b"err\n", 3)
    assert ended.pid > 0


def test_merged_errors_come_in_the_order_they_were_written() -> None:
    ended = process.run("echo 1; echo 2 >&2; echo 3", shell=SH, merge_stderr=True)
    assert ended.stdout == b"1\n2\n3\n"
    assert ended.stderr == b""


def test_a_list_of_words_reaches_the_program_as_it_is() -> None:
    assert process.run(["printf", "%s|", "a b", "$HOME", "*"]).stdout == b"a b|$HOME|*|"


def test_more_input_than_a_pipe_holds_comes_back_whole() -> None:
    data = os.urandom(1 << 20)
    assert process.run(["cat"], stdin=data).stdout == data


def test_a_command_that_does_not_read_its_input_is_no_error() -> None:
    assert process.run(["true"], stdin=b"x" * (1 << 20)).returncode == 0


def test_without_input_a_command_reads_nothing() -> None:
    assert process.run(["cat"]).stdout == b""


def test_a_signal_that_ends_a_command_is_its_negative_exit_code() -> None:
    assert process.run("kill -9 $$", shell=SH).returncode == -9


def test_directory_environment_and_umask_are_as_told(tmp_path: Path) -> None:
    script = "pwd; echo $COLOUR; umask"
    ended = process.run(script, shell=SH, cwd=str(tmp_path), env={"COLOUR": "green"}, umask=0o27)
    assert ended.stdout.decode().split() == [str(tmp_path), "green", "0027"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_command_runs_with_the_rights_of_its_user() -> None:
    ended = process.run("id -u; id -g; id -G", shell=SH, identity=Identity(65534, 65533, (65532,)))
    assert ended.stdout.split() == [b"65534", b"65533", b"65533", b"65532"]


def test_a_program_that_does_not_exist_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        process.run(["there-is-no-such-program"])


def test_a_timeout_kills_the_whole_process_group(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with gevent.Timeout(50), pytest.raises(CommandTimeout) as caught:
        process.run(f"sleep 60 & echo $! > {file}; wait", shell=SH, timeout_s=0.3)
    assert caught.value.timeout_s == 0.3
    wait_gone(pid_in(file))
    assert not is_alive(caught.value.pid)


def test_killing_the_waiting_greenlet_kills_the_whole_process_group(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    job = gevent.spawn(process.run, f"sleep 60 & echo $! > {file}; wait", shell=SH)
    child = pid_in(file)
    job.kill()
    assert job.dead
    wait_gone(child)


def test_a_command_that_ignores_sigterm_is_killed_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    stubborn = f"trap '' TERM; echo $$ > {file}; while :; do sleep 60; done"
    job = gevent.spawn(process.run, stubborn, shell=SH)
    pid = pid_in(file)
    job.kill()
    wait_gone(pid)


def test_a_greenlet_killed_while_its_command_starts_leaves_nothing_behind(tmp_path: Path) -> None:
    mark = f"left-behind-{os.getpid()}"
    jobs = [gevent.spawn(process.run, ["sh", "-c", "sleep 60", mark]) for _ in range(5)]
    gevent.sleep(0)
    gevent.killall(jobs)
    with gevent.Timeout(60):
        while any(mark in child.cmdline() for child in _children()):
            gevent.sleep(0.01)


def _children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    ]


def test_somebody_elses_timeout_ends_the_command_and_passes_on(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    outer = gevent.Timeout(0.3)
    with pytest.raises(gevent.Timeout) as caught, outer:
        process.run(f"echo $$ > {file}; sleep 60", shell=SH, timeout_s=50)
    assert caught.value is outer
    wait_gone(pid_in(file))


def test_the_hub_goes_on_while_commands_run(tmp_path: Path) -> None:
    ticks = 0
    done = Event()

    def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            gevent.sleep(0.01)

    ticker = gevent.spawn(tick)
    # Each ends once all have begun: one after the other they would never end.
    meet = f"touch {tmp_path}/$$; until [ $(ls {tmp_path} | wc -l) = 20 ]; do sleep 0.05; done"
    with gevent.Timeout(50):
        jobs = [gevent.spawn(process.run, f"{meet}; sleep 0.3", shell=SH) for _ in range(20)]
        gevent.joinall(jobs, raise_error=True)
    done.set()
    ticker.join()
    assert ticks > 5


def test_no_descriptors_and_no_zombies_stay() -> None:
    process.run(["true"])
    before = psutil.Process().num_fds()
    for _ in range(5):
        process.run(["true"], stdin=b"x")
        with pytest.raises(CommandTimeout):
            process.run(["sleep", "60"], timeout_s=0.01)
    assert psutil.Process().num_fds() == before
    assert [c for c in psutil.Process().children() if c.status() == psutil.STATUS_ZOMBIE] == []


def test_a_background_command_outlives_the_greenlet_that_started_it(tmp_path: Path) -> None:
    file = tmp_path / "done"
    job = gevent.spawn(process.start, f"sleep 0.2; echo $$ > {file}", shell=SH)
    job.join()
    assert pid_in(file) == job.value
    wait_gone(job.value)


def test_a_background_command_is_killed_when_its_time_is_up() -> None:
    pid = process.start(["sleep", "60"], timeout_s=0.1)
    assert is_alive(pid)
    wait_gone(pid)


def test_output_of_a_child_that_outlives_its_parent_is_waited_for() -> None:
    ended = process.run("(sleep 0.2; echo late) & echo early", shell=SH)
    assert ended.stdout == b"early\nlate\n"


def test_python_finds_itself() -> None:
    ended: Completed = process.run([sys.executable, "-c", "print(6 * 7)"])
    assert ended.stdout == b"42\n"
