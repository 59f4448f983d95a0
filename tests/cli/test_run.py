"""greensalt run: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greensalt.client import RunnerClient, WheelClient
from greensalt.errors import RequestTimeout
from tests._daemons import BIN, GreensaltMaster, run, short_dir

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module", name="master")
def _master() -> Iterator[GreensaltMaster]:
    with short_dir() as where, GreensaltMaster(where, keysize=2048, id="house") as master:
        yield master


def greensalt_run(master: GreensaltMaster, *words: str) -> Done:
    return run(BIN / "greensalt", "run", "-c", master.dir, *words)


def as_json(master: GreensaltMaster, *words: str) -> Any:
    done = greensalt_run(master, "--out=json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_result_is_printed_nested_as_salt_run_does(master: GreensaltMaster) -> None:
    done = greensalt_run(master, "test.arg", "1", "a", "b=2")
    assert done.stdout == "args:\n    - 1\n    - a\nkwargs:\n    ----------\n    b:\n        2\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_flags_may_stand_anywhere_and_an_outputter_chosen(master: GreensaltMaster) -> None:
    done = greensalt_run(master, "test.arg", "x", "--out=json", "-l", "error", "y=1")
    assert json.loads(done.stdout) == {"args": ["x"], "kwargs": {"y": 1}}


def test_progress_is_shown_before_the_result(master: GreensaltMaster) -> None:
    done = greensalt_run(master, "test.stream", "count=2", "interval=0")
    words = [line.strip() for line in done.stdout.splitlines()]
    assert [word for word in words if word.startswith("Runner is")] == [
        "Runner is 50% done",
        "Runner is 100% done",
    ]
    assert words.count("progress") == 2
    assert words[-1] == "True"
    assert greensalt_run(master, "-q", "test.stream", "count=1").stdout == "True\n"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("test.nothing",), 1, "'test.nothing' is not available."),
        (("test.retcode", "3"), 3, "True"),
        (("test.exception", "no"), 1, "Exception occurred in runner test.exception: "),
        (("test.sleep", "1", "2", "3"), 1, "Passed invalid arguments to test.sleep: "),
    ],
)
def test_a_failure_is_printed_and_is_the_exit_code(
    master: GreensaltMaster, words: tuple[str, ...], code: int, text: str
) -> None:
    done = greensalt_run(master, *words)
    assert done.returncode == code
    assert text in done.stdout


def test_async_tells_the_tag_and_leaves_the_run_to_itself(master: GreensaltMaster) -> None:
    done = greensalt_run(master, "--async", "test.arg", "later")
    assert (done.returncode, done.stdout) == (0, "")
    jid = done.stderr.split("salt/run/")[1].split(".")[0]
    found = as_json(master, "jobs.lookup_jid", jid)
    assert not found or found["house"]["return"]["args"] == ["later"]


def test_who_waits_no_longer_is_told_where_the_result_will_be(master: GreensaltMaster) -> None:
    done = greensalt_run(master, "-t", "0.1", "test.sleep", "20")
    assert done.returncode == 69
    assert "The run goes on" in done.stderr
    assert "jobs.lookup_jid 2" in done.stderr


def test_the_documentation_of_runners_is_printed(master: GreensaltMaster) -> None:
    done = greensalt_run(master, "-d", "jobs.list_job")
    assert done.stdout.startswith("jobs.list_job:\n\n    Show one job")
    every = greensalt_run(master, "-d").stdout
    assert "\ntest.arg:\n" in every


def test_without_a_function_the_usage_is_wrong(master: GreensaltMaster) -> None:
    done = greensalt_run(master)
    assert done.returncode == 64
    assert "which function" in done.stderr


def test_without_a_master_it_says_so(tmp_path: Path) -> None:
    config = {"root_dir": str(tmp_path / "r"), "ret_port": 1}
    (tmp_path / "master").write_text(json.dumps(config))
    done = run(BIN / "greensalt", "run", "-c", tmp_path, "test.arg")
    assert done.returncode == 69
    assert "no master listens at" in done.stderr
    assert not done.stdout


def test_the_clients_have_salts_methods(master: GreensaltMaster) -> None:
    with RunnerClient(master.dir) as runners:
        assert runners.cmd("test.arg", [1], kwarg={"a": 2}) == {"args": [1], "kwargs": {"a": 2}}
        assert runners.cmd_sync({"fun": "test.arg", "arg": [3]})["args"] == [3]
        assert runners.cmd_sync({"fun": "test.arg", "b": 4})["kwargs"] == {"b": 4}
        begun = runners.cmd_async({"fun": "test.arg"})
        assert begun["tag"] == f"salt/run/{begun['jid']}"
        full = runners.cmd("test.retcode", [5], full_return=True)
        assert (full["fun"], full["return"], full["retcode"]) == ("runner.test.retcode", True, 5)
        with pytest.raises(RequestTimeout):
            runners.cmd("test.sleep", [20], timeout=0.1)
    with WheelClient(master.dir) as wheels:
        assert wheels.cmd("key.list_all")["minions"] == []
        full = wheels.cmd_sync({"fun": "key.list_all"}, full_return=True)
        assert (full["success"], full["fun"]) == (True, "wheel.key.list_all")


def test_runs_of_a_master_that_was_killed_are_over(tmp_path: Path) -> None:
    with short_dir() as where, GreensaltMaster(where, keysize=2048) as master:
        with RunnerClient(master.dir) as client:
            watch = client.watch("test.sleep", [60])
            master.kill()
            master.start()
            list(watch)
        assert watch.result is not None
        assert watch.result.ret == "The master was stopped while this was at work."
