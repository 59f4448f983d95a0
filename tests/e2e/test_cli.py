"""greensalt-cli and LocalClient with real masters and minions: the whole way of a job."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from greensalt.client import LocalClient
from tests._daemons import BIN, READY_S, GreensaltMaster, GreensaltMinion, run, short_dir


@dataclass
class Pair:
    """A greensalt master with the minions `one` and `two`."""

    master: GreensaltMaster
    one: GreensaltMinion
    two: GreensaltMinion

    def cli(self, *words: str) -> subprocess.Popen[str]:
        """A command that runs beside the test."""
        argv = [str(BIN / "greensalt-cli"), "-c", str(self.master.dir), *words]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with (
        short_dir() as where,
        GreensaltMaster(where, auto_accept=True, timeout=1, gather_job_timeout=2) as master,
        GreensaltMinion(where, "one", master.ret_port) as one,
        GreensaltMinion(where, "two", master.ret_port) as two,
    ):
        yield Pair(master, one, two)


def test_a_ping_of_all(pair: Pair) -> None:
    done = pair.master.run_cli("*", "test.ping")
    assert sorted(done.stdout.split()) == ["True", "True", "one:", "two:"]
    assert (done.returncode, done.stderr) == (0, "")


def test_the_exit_code_of_a_command_on_a_minion_counts(pair: Pair) -> None:
    done = pair.master.run_cli("one", "cmd.run", "echo out; exit 3")
    assert done.stdout == "one:\n    out\n"
    assert (done.returncode, done.stderr) == (
        1,
        "ERROR: Minions returned with non-zero exit code\n",
    )


def test_typed_arguments_arrive_as_they_were_meant(pair: Pair) -> None:
    answer = pair.master.ask("one", "test.arg", "1", "two words", "a={b: [c, null]}", "d=010")
    assert answer["one"]["args"] == [1, "two words"]
    kwargs = {key: answer["one"]["kwargs"][key] for key in ("a", "d")}
    assert kwargs == {"a": {"b": ["c", None]}, "d": 10}


def test_several_functions_and_a_target_by_grain(pair: Pair) -> None:
    answer = pair.master.ask("id:o*", "test.ping,test.echo", ",", "hi", options=("-G",))
    assert answer == {"one": {"test.ping": True, "test.echo": "hi"}}


def test_a_long_job_is_waited_for_beyond_the_timeout(pair: Pair) -> None:
    done = pair.master.run_cli("one", "test.sleep", "3", "-t", "1", "-v")
    assert done.returncode == 0
    assert done.stdout.endswith("one:\n    True\n")
    assert "Execution is still running on one\n" in done.stderr


def test_a_job_that_takes_much_longer_than_its_timeouts_is_waited_for(pair: Pair) -> None:
    done = pair.master.run_cli("one", "cmd.run", "sleep 15; echo done", "-t", "2", "--out=txt")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one: done\n", "")


def test_a_minion_that_is_killed_in_the_middle_is_told_to_all_who_watch(
    pair: Pair, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    script = f"touch {begun}; exec sleep 600"
    published = pair.master.run_cli("two", "cmd.run", script, "--async")
    jid = published.stdout.split()[-1]
    try:
        pair.two.child.wait_until(begun.exists, "the job", READY_S)
        with pair.cli("--follow", jid, "-t", "1") as first, pair.cli("--follow", jid) as second:
            pair.two.child.wait_until(lambda: has_asked(pair, jid), "a question", READY_S)
            pair.two.kill()
            for watcher in (first, second):
                out, err = watcher.communicate(timeout=READY_S)
                assert out.startswith("two:\n    Minion did not return. [No response]\n"), err
                assert watcher.returncode == 1
    finally:
        pair.two.start()


def has_asked(pair: Pair, jid: str) -> bool:
    """Whether anybody has been asked for a job."""
    words = ("jobs.list_jobs", "search_function=saltutil.find_job")
    done = run(BIN / "greensalt", "run", "-c", pair.master.dir, "--out=json", *words)
    return any(job["Arguments"] == [jid] for job in json.loads(done.stdout).values())


def test_a_batch_of_one_runs_one_after_the_other(pair: Pair, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"echo begin >> {log}; sleep 0.3; echo end >> {log}"
    done = pair.master.run_cli("*", "cmd.run", script, "-b", "1")
    assert done.returncode == 0
    assert log.read_text().split() == ["begin", "end", "begin", "end"]


def test_a_subset_and_documentation(pair: Pair) -> None:
    done = pair.master.run_cli("*", "test.ping", "--subset=1", "--out=json", "--static")
    assert list(json.loads(done.stdout).values()) == [True]
    docs = pair.master.run_cli("*", "-d", "test.ping").stdout
    assert re.fullmatch(r"test\.ping:\n\n    \w(.|\n)+\n\n", docs)


def test_a_kill_of_the_master_in_the_middle_costs_the_waiting_user_nothing(
    pair: Pair, tmp_path: Path
) -> None:
    """The command line finds the results in the store of the new master."""
    begun = tmp_path / "begun"
    script = f"echo x >> {begun}; sleep 2; echo survived"
    with pair.cli("*", "cmd.run", script, "--out=txt", "-t", "20") as waiting:
        pair.one.child.wait_until(
            lambda: begun.exists() and begun.read_text() == "x\nx\n", "both jobs", READY_S
        )
        pair.master.kill()
        pair.master.start()
        out, err = waiting.communicate(timeout=READY_S)
    assert sorted(out.splitlines()) == ["one: survived", "two: survived"], err
    assert waiting.returncode == 0


def test_a_minion_that_is_gone_is_named_and_the_others_are_not_kept_waiting(pair: Pair) -> None:
    pair.two.stop()
    try:
        with pair.cli("*", "test.ping", "--out=txt") as waiting:
            assert waiting.stdout is not None
            assert waiting.stdout.readline() == "one: True\n"
            assert waiting.stdout.readline() == "two: Minion did not return. [No response]\n"
            waiting.communicate(timeout=READY_S)
        assert waiting.returncode == 1
        done = pair.master.run_cli("*", "test.ping", "-b", "1", "--out=txt")
        assert done.stdout == "one: True\n"
        assert "Minion two did not respond. No job will be sent.\n" in done.stderr
    finally:
        pair.two.start()


def test_the_python_api(pair: Pair) -> None:
    with LocalClient(pair.master.dir) as client:
        assert client.cmd("*", "test.ping") == {"one": True, "two": True}
        assert client.cmd("one", "test.echo", ["x"], kwarg=None) == {"one": "x"}
        jid = client.cmd_async("*", "test.echo", ["later"])
        later = {"one": {"ret": "later"}, "two": {"ret": "later"}}
        assert client.get_full_returns(jid, ["one", "two"]) == later
        assert list(client.cmd_batch("one", "test.ping", batch="50%")) == [{"one": True}]
