"""greensalt-cli: what it prints, where, and the exit codes of `salt`."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gevent
import pytest
import yaml

from greensalt import __version__
from greensalt.cli.salt import main
from greensalt.cli.saltarguments import NOT_YET, build_parser, parse, read_words
from greensalt.client import link as linking
from greensalt.client.jobclient import JobClient
from greensalt.errors import TransportError
from greensalt.green import offload
from tests._bench import Bench
from tests._daemons import BIN, free_port
from tests.client._fleet import SILENT, Fleet

HINT = (
    "    The minions may not have all finished running and any remaining minions will return upon"
    " completion. To look up the return data for this job later, run the following command:\n"
    "    \n"
    "    greensalt-cli --follow "
)

SALT_FLAGS = """
--version -V --versions-report -h --help -c --config-dir --module-executors
--executor-opts -t --timeout --args-stdin --hard-crash --no-parse -s --static -p
--progress --failhard --async --subset -v --verbose --hide-timeout --show-jid -b
--batch --batch-size --batch-wait --batch-safe-limit --batch-safe-size --return
--return_config --return_kwargs -d --doc --documentation --args-separator --summary
--metadata --start-event --output-diff --config-dump --preview-target -H --hosts -E
--pcre -L --list -G --grain -P --grain-pcre -N --nodegroup -R --range -C --compound -I
--pillar -J --pillar-pcre -S --ipcidr --delimiter -a --auth --eauth --external-auth -T
--make-token --username --password --out --output --out-indent --output-indent
--out-file --output-file --out-file-append --output-file-append --no-color --no-colour
--force-color --force-colour --state-output --state_output --state-verbose
--state_verbose -l --log-level --log-file --log-file-level
"""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def made(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)
    made = bench(
        auto_accept=True,
        publisher_acl_blacklist={"modules": ["cmd.shell"]},
        gather_job_timeout=1,  # so often the master asks minions that don't return
    )
    configure(made)
    return made


def configure(made: Bench, **options: Any) -> None:
    config = {
        "root_dir": str(made.root),
        "interface": "127.0.0.1",
        "ret_port": made.config.ret_port,
        "publish_port": made.config.publish_port,
        "timeout": 0.3,
        "gather_job_timeout": 0.5,
        "nodegroups": {"webs": "web*"},
        **options,
    }
    (made.root / "conf/master").write_text(yaml.safe_dump(config))


@pytest.fixture
def fleet(made: Bench) -> Iterator[Fleet]:
    with Fleet(made, ("db1", "web1", "web2")) as fleet:
        yield fleet


@pytest.fixture
def cli(made: Bench, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Runs the command in this process."""

    def run(*words: str) -> Done:
        code = main(["-c", str(made.root / "conf"), *words])
        return Done(code, *capfd.readouterr())

    return run


def command(made: Bench, *words: str) -> list[str]:
    return [str(BIN / "greensalt-cli"), "-c", str(made.root / "conf"), *words]


def usage(cli: Cli, capfd: pytest.CaptureFixture[str], *words: str) -> Done:
    with pytest.raises(SystemExit) as ended:
        cli(*words)
    assert isinstance(ended.value.code, int)
    return Done(ended.value.code, *capfd.readouterr())


# -- results -----------------------------------------------------------------------------------


def test_results_are_plain_when_piped(fleet: Fleet, cli: Cli) -> None:
    assert cli("db1", "test.ping") == Done(0, "db1:\n    True\n", "")


def test_a_result_is_printed_the_moment_it_arrives(made: Bench, fleet: Fleet) -> None:
    fleet.answer = lambda minion_id, *_: SILENT if minion_id == "db1" else True
    words = command(made, "db1,web1", "test.x", "-L", "-t", "60", "--out=txt")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert offload(process.stdout.readline) == "web1: True\n"
        (jid,) = fleet.busy
        fleet.finish(jid, "db1", "late")
        assert offload(process.stdout.readline) == "db1: late\n"
        assert offload(process.wait, 10) == 0


def test_static_prints_one_piece_of_data_at_the_end(fleet: Fleet, cli: Cli) -> None:
    done = cli("*", "test.ping", "--static", "--out=json")
    assert done.code == 0
    assert json.loads(done.out) == {"db1": True, "web1": True, "web2": True}
    assert cli("*", "test.ping", "-s").out == "".join(
        f"{minion_id}:\n    True\n" for minion_id in ("db1", "web1", "web2")
    )


def test_an_empty_text_is_not_a_line(fleet: Fleet, cli: Cli) -> None:
    fleet.answer = lambda *_: ""
    assert cli("db1", "test.echo", "", "--out=txt").out == ""
    assert cli("db1", "test.echo", "", "--out=quiet").out == ""
    assert cli("db1", "test.echo", "", "--out=raw").out == "{'db1': ''}\n"


def test_the_function_names_its_outputter_unless_the_user_does(
    made: Bench, fleet: Fleet, cli: Cli
) -> None:
    fleet.answer = lambda *_: SILENT
    words = command(made, "db1", "x.y", "-t", "60")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        while not fleet.busy:
            gevent.sleep(0.01)
        (jid,) = fleet.busy
        fleet.peers["db1"].returns(jid, ["no"], out="highstate")
        out, _ = offload(process.communicate, None, 10)
    assert out == "db1:\n    Data failed to compile:\n----------\n    no\n"
    assert cli("--follow", jid, "--out=txt").out == "db1: ['no']\n"


def test_results_go_to_a_file(fleet: Fleet, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "out"
    for _ in range(2):
        assert cli("db1", "test.ping", f"--out-file={path}") == Done(0, "", "")
    assert path.read_text() == "db1:\n    True\n"
    cli("db1", "test.ping", f"--out-file={path}", "--out-file-append")
    assert path.read_text() == "db1:\n    True\n" * 2
    fleet.asked.clear()
    done = cli("db1", "test.ping", f"--out-file={tmp_path}/no/out")
    assert done.code == 1
    assert "no/out can't be opened: No such file" in done.err
    assert fleet.asked == []


def test_indentation_and_state_output_of_flags_and_configuration(
    made: Bench, fleet: Fleet, cli: Cli
) -> None:
    assert cli("db1", "test.ping", "--out=json", "--out-indent=-1").out == '{"db1": true}\n'
    configure(made, output="json", output_indent=2)
    assert cli("db1", "test.ping").out == '{\n  "db1": true\n}\n'
    states = {"t_|-i_|-i_|-f": {"result": True, "comment": "", "changes": {}, "__run_num__": 0}}
    fleet.answer = lambda *_: states
    out = ("--out=highstate", "--state-output=terse")
    assert "  Name: i - Function: t.f" in cli("db1", "state.x", *out).out
    assert "Name: i" not in cli("db1", "state.x", *out, "--state-verbose=False").out
    assert "Name: i" not in cli("db1", "state.x", *out, "--output-diff").out
    configure(made, state_output="terse")
    assert "  Name: i - Function: t.f" in cli("db1", "state.x", "--out=highstate").out


# -- who is missing, exit codes ----------------------------------------------------------------


def test_a_failure_is_one(fleet: Fleet, cli: Cli) -> None:
    fleet.answer = lambda minion_id, *_: ("bad", 3) if minion_id == "db1" else True
    done = cli("*", "test.x", "--static", "--out=json")
    assert json.loads(done.out)["db1"] == "bad"
    assert (done.code, done.err) == (1, "ERROR: Minions returned with non-zero exit code\n")


def test_no_minion_is_two(fleet: Fleet, cli: Cli) -> None:
    assert cli("nobody", "test.ping") == Done(
        2,
        "No minions matched the target. No command was sent, no jid was assigned.\n",
        "ERROR: No return received\n",
    )
    assert cli("nobody", "test.ping", "--async").code == 2
    assert cli("nobody", "test.ping", "-b", "1").code == 2
    assert cli("nobody", "test.ping", "--subset=1").code == 2


def test_a_wrong_target_is_explained(fleet: Fleet, cli: Cli) -> None:
    done = cli("-C", "web1 and (", "test.ping")
    assert done.code == 2
    assert "ERROR: the compound target ends after '('" in done.err


def test_minions_that_do_not_return_are_named_at_the_end(fleet: Fleet, cli: Cli) -> None:
    fleet.down.add("web1")
    done = cli("-L", "db1,web1,gone", "test.ping")
    assert done.code == 1
    db1, gone, web1 = re.split(r"(?m)^(?=\w)", done.out)[1:]
    assert db1 == "db1:\n    True\n"
    for minion_id, text in (("gone", gone), ("web1", web1)):
        wanted = f"{minion_id}:\n    Minion did not return. [No response]\n{HINT}"
        assert text.startswith(wanted)
        assert re.fullmatch(r"[0-9]{20}\n", text.removeprefix(wanted))


def test_hidden_minions_count_neither(fleet: Fleet, cli: Cli) -> None:
    fleet.down.add("web1")
    assert cli("-L", "db1,web1", "test.ping", "--hide-timeout") == Done(0, "db1:\n    True\n", "")
    assert cli("web1", "test.ping", "--hide-timeout") == Done(2, "", "ERROR: No return received\n")


def test_static_data_stays_data_when_somebody_is_missing(fleet: Fleet, cli: Cli) -> None:
    fleet.down.add("web1")
    done = cli("*", "test.ping", "--static", "--out=json")
    assert sorted(json.loads(done.out)) == ["db1", "web2"]
    assert done.err.startswith("web1: Minion did not return. [No response]\n")
    assert done.code == 1


def test_a_minion_that_still_works_is_waited_for_and_told(fleet: Fleet, cli: Cli) -> None:
    fleet.answer = lambda *_: SILENT

    def finish_when_asked() -> None:
        while len(fleet.finds) < 2:
            gevent.sleep(0.02)
        (jid,) = fleet.busy
        fleet.finish(jid, "db1", "done")

    finisher = gevent.spawn(finish_when_asked)
    done = cli("db1", "test.sleep", "9", "-t", "0.2", "-v", "--out=txt")
    finisher.get()
    assert done.code == 0
    assert done.out.endswith("db1: done\n")
    assert set(done.err.splitlines()) == {"Execution is still running on db1"}


def test_the_summary(fleet: Fleet, cli: Cli) -> None:
    fleet.answer = lambda minion_id, *_: ("bad", 3) if minion_id == "db1" else True
    fleet.down.add("web1")
    done = cli("*", "test.x", "--summary", "--out=quiet")
    rule = "-------------------------------------------"
    assert done.out == (
        f"\n\n{rule}\nSummary\n{rule}\n# of minions targeted: 3\n# of minions returned: 2\n"
        f"# of minions that did not return: 1\n# of minions with errors: 1\n{rule}\n"
    )


def test_the_jid_is_told_when_asked_for(fleet: Fleet, cli: Cli) -> None:
    jid = "[0-9]{20}"
    pattern = rf"Executing job with jid {jid}\n-{{43}}\n\ndb1:\n    True\n"
    assert re.fullmatch(pattern, cli("db1", "test.ping", "-v").out)
    assert re.fullmatch(rf"jid: {jid}\ndb1:\n    True\n", cli("db1", "test.ping", "--show-jid").out)


# -- other kinds of runs -----------------------------------------------------------------------


def test_async_tells_the_jid_and_follow_shows_its_results(fleet: Fleet, cli: Cli) -> None:
    done = cli("db1", "test.ping", "--async")
    found = re.fullmatch(r"Executed command with job ID: ([0-9]{20})\n", done.out)
    assert found is not None
    assert (done.code, done.err) == (0, "")
    assert cli("--follow", found[1]) == Done(0, "db1:\n    True\n", "")


def test_following_a_job_that_is_not_there(cli: Cli) -> None:
    done = cli("--follow", "20200101000000000000")
    assert (done.code, done.out) == (2, "")
    assert "the master has no job 20200101000000000000" in done.err
    assert cli("--follow", "x").code == 64


def test_a_batch_prints_results_only_on_stdout(fleet: Fleet, cli: Cli) -> None:
    done = cli("*", "test.ping", "-b", "1", "--out=txt")
    assert done.out == "db1: True\nweb1: True\nweb2: True\n"
    assert done.err.count("Executing run on ['") == 3
    assert done.code == 0


def test_a_batch_is_left_to_the_master_and_followed_later(fleet: Fleet, cli: Cli) -> None:
    fleet.answer = lambda _id, fun, _arg: SILENT if fun == "cmd.run" else True
    done = cli("*", "cmd.run", "x", "-b", "1", "--async", "--out=txt")
    found = re.fullmatch(r"Executed batch command with job ID: (\d{20})\n", done.out)
    assert done.code == 0
    assert found is not None
    jid = found[1]
    assert done.err == f"greensalt-cli --follow {jid}\ngreensalt run batch.status {jid}\n"

    def finish_all() -> None:
        while True:
            for minion_id in sorted(fleet.busy.get(jid, ())):
                fleet.finish(jid, minion_id, True)
            gevent.sleep(0.01)

    finisher = gevent.spawn(finish_all)
    followed = cli("--follow", jid, "--out=txt")
    finisher.kill()
    assert (followed.code, followed.out) == (0, "db1: True\nweb1: True\nweb2: True\n")
    again = cli("--follow", jid, "--out=txt")
    assert (again.code, again.out) == (0, followed.out)


def test_a_batch_that_is_left_names_what_is_wrong_with_it_at_once(fleet: Fleet, cli: Cli) -> None:
    nobody = cli("nobody*", "test.ping", "-b", "1", "--async")
    assert (nobody.code, "No minions matched" in nobody.out) == (2, True)
    assert cli("*", "test.ping", "-b", "many", "--async").code == 64
    safe = ("--batch-safe-limit=3", "--batch-safe-size=1", "--async")
    assert cli("*", "test.ping", *safe).out.startswith("Executed batch command with job ID: ")
    assert cli("web*", "test.ping", *safe).out.startswith("Executed command with job ID: ")


def test_a_batch_is_not_left_to_a_master_that_leads_none(
    fleet: Fleet, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobClient, "batch", lambda *_, **__: None)
    done = cli("*", "test.ping", "-b", "1", "--async")
    assert (done.code, done.out) == (1, "")
    assert "the master leads no batches" in done.err
    assert fleet.asked == []


def test_of_very_many_minions_a_batch_names_some(
    fleet: Fleet, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greensalt.master.batch.run.NAMES_MOST", 1)
    fleet.answer = lambda minion_id, fun, _arg: ("bad", 7) if fun == "x.y" else True
    done = cli("*", "x.y", "-b", "1", "--failhard", "--out=txt")
    assert (done.code, done.out) == (7, "db1: bad\n")
    assert "No job was sent to: web1 and 1 others (greensalt run batch.status 2" in done.err


def test_of_very_many_that_are_down_a_batch_names_some(
    fleet: Fleet, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greensalt.master.batch.run.NAMES_MOST", 1)
    fleet.down.update(("web1", "web2"))
    done = cli("*", "test.ping", "-b", "1", "--summary", "--out=txt")
    assert "Minion web1 did not respond. No job will be sent.\n1 minions and 1 others" in done.err
    assert "# of minions targeted: 3\n# of minions returned: 1\n" in done.out
    assert done.code == 1


def test_a_batch_names_who_is_down_and_fails_with_the_worst_exit_code(
    fleet: Fleet, cli: Cli
) -> None:
    fleet.answer = lambda minion_id, fun, _arg: ("bad", 7) if fun == "x.y" else True
    fleet.down.add("web1")
    done = cli("*", "x.y", "-b", "50%", "--summary", "--out=quiet")
    assert done.code == 7
    assert "Minion web1 did not respond. No job will be sent.\n" in done.err
    assert "# of minions targeted: 3\n# of minions returned: 2\n" in done.out
    fleet.answer = lambda *_: True
    assert cli("*", "x.y", "-b", "50%").code == 1


def test_failhard_says_to_whom_no_job_was_sent(fleet: Fleet, cli: Cli) -> None:
    fleet.answer = lambda minion_id, fun, _arg: ("bad", 7) if fun == "x.y" else True
    done = cli("*", "x.y", "-b", "1", "--failhard", "--out=txt")
    assert (done.code, done.out) == (7, "db1: bad\n")
    assert "Batch run stopped due to failhard\nNo job was sent to: web1, web2\n" in done.err


def test_the_safe_limit_makes_large_jobs_batches(fleet: Fleet, cli: Cli) -> None:
    safe = ("--batch-safe-limit=3", "--batch-safe-size=1")
    assert cli("*", "test.ping", *safe).err.count("Executing run on") == 3
    assert cli("web*", "test.ping", *safe) == Done(0, *cli("web*", "test.ping", *safe)[1:])
    assert "Executing" not in cli("web*", "test.ping", *safe).err


def test_a_wrong_batch_size_is_said_before_anything_runs(fleet: Fleet, cli: Cli) -> None:
    done = cli("*", "test.ping", "-b", "many")
    assert done.code == 64
    assert "the batch size 'many' is neither" in done.err
    assert fleet.asked == []


def test_documentation_of_all_minions_is_merged(fleet: Fleet, cli: Cli) -> None:
    docs = {
        "db1": {"b.f": "\n    B.\n\n        b\n    "},
        "web1": {"a.f": "A.\n\n    More.\n", "n.n": None},
        "web2": "broken",
    }
    fleet.answer = lambda minion_id, *_: docs[minion_id]
    done = cli("*", "-d")
    assert done.out == "a.f:\n\n    A.\n\n    More.\n\nb.f:\n\n    B.\n\n        b\n\n"
    assert (done.code, done.err) == (0, "web2: broken\n")
    assert json.loads(cli("web1", "-d", "--out=json").out) == docs["web1"]
    done = cli("nobody", "-d", "test")
    assert (done.code, done.err) == (2, "No minions found to gather docs from\n")


def test_a_subset(fleet: Fleet, cli: Cli) -> None:
    fleet.answer = lambda _id, fun, _arg: ["x.y"] if fun == "sys.list_functions" else True
    assert cli("*", "x.y", "--subset=2").out.count("True") == 2
    assert cli("*", "x.y", "--subset=2", "-b", "1").out.count("True") == 2
    fleet.asked.clear()
    jid = cli("*", "x.y", "--subset=2", "--async").out.split()[-1]
    assert cli("--follow", jid).out.count("True") == 2
    assert sum(fun == "x.y" for _, fun in fleet.asked) == 2


def test_the_targets_flag_tells_its_type(made: Bench, fleet: Fleet, cli: Cli) -> None:
    for words in (
        ("-E", "web[12]"),
        ("-L", "web1 web2"),
        ("-N", "webs"),
        ("-C", "web* and N@webs"),
    ):
        assert cli(*words, "test.ping", "--out=txt").out.count("True") == 2, words


def test_everything_about_the_job_reaches_the_master(made: Bench, fleet: Fleet, cli: Cli) -> None:
    listener = made.listen("salt/job/")
    cli(
        *("db1", "test.arg", "1", "a={b: c}", "--return", "slack", "--metadata", "{ticket: 7}"),
        *("--module-executors", "[sudo]", "--executor-opts", "{x: 1}", "--start-event"),
        *("--return_config", "alt", "--return_kwargs", "{db: 1}", "--async"),
    )
    tag, publish = "", dict[str, Any]()
    while not tag.endswith("/publish"):
        tag, publish = listener.next(60) or pytest.fail("the job was not published")
    assert publish["arg"] == [1, {"__kwarg__": True, "a": {"b": "c"}}]
    assert publish["ret"] == "slack"
    assert publish["metadata"] == {"ticket": 7}
    assert publish["module_executors"] == ["sudo"]
    assert publish["executor_opts"] == {"x": 1}
    assert (publish["ret_config"], publish["ret_kwargs"]) == ("alt", {"db": 1})


# -- command lines -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "fun", "args"),
    [
        (["test.ping"], "test.ping", []),
        (["test.arg", "1", "a=b", "x,y"], "test.arg", [1, "x,y", {"__kwarg__": True, "a": "b"}]),
        (["test.arg", "-5"], "test.arg", [-5]),
        (["cmd.run", "ls -l"], "cmd.run", ["ls -l"]),
        (["cmd.run", "--", "-x", "--static"], "cmd.run", ["-x", "--static"]),
        (["a.b,c.d"], ["a.b", "c.d"], [[], []]),
        (["a.b, c.d", "x", ",", "y", "z=1"], ["a.b", "c.d"], [["x"], ["y", {"z": 1}]]),
        (["a.b,c.d", "x,", "y"], ["a.b", "c.d"], [["x"], ["y"]]),
        (["a.b,c.d", "x", ",y"], ["a.b", "c.d"], [["x"], ["y"]]),
        (["a.b,c.d", "x,y"], ["a.b", "c.d"], [["x"], ["y"]]),
        (["a.b,c.d", ",", ""], ["a.b", "c.d"], [[], [""]]),
        (["a.b,c.d", "x,1", "++", "y", "--args-separator", "++"], None, [["x,1"], ["y"]]),
        (["test.arg", "a=1", "b=1", "--no-parse=a"], None, [{"a": "1", "b": 1}]),
    ],
)
def test_functions_and_their_arguments(words: list[str], fun: Any, args: list[Any]) -> None:
    read = read_words(parse(["-t", "3", "web*", *words]))
    plain = json.loads(json.dumps(read.args).replace('"__kwarg__": true, ', ""))
    wanted = json.loads(json.dumps(args).replace('"__kwarg__": true, ', ""))
    assert (read.tgt, read.fun, plain) == ("web*", fun or read.fun, wanted)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "without defining a target"),
        (["*"], "without defining a function"),
        (["*", "a.b,c.d", "x"], "without defining all arguments"),
        (["*", "a.b,", ",", "x"], "without defining all arguments"),
        (["*", "-d", "a.b", "c.d"], "documentation for one method at one time"),
    ],
)
def test_an_incomplete_command_line_is_42(
    cli: Cli, capfd: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    done = usage(cli, capfd, *words)
    assert (done.code, done.out) == (42, "")
    assert message in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["-t", "soon"], "invalid seconds value: 'soon'"),
        (["-t", "-1"], "-t"),
        (["-E", "-L"], "not allowed with argument"),
        (["--out=bogus"], "invalid choice: 'bogus' (choose from"),
        (["--state-verbose=maybe"], "--state-verbose"),
        (["--summ"], "unrecognized arguments: --summ"),
    ],
)
def test_a_wrong_command_line_is_64(
    cli: Cli, capfd: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    done = usage(cli, capfd, *words, "*", "test.ping")
    assert (done.code, done.out) == (64, "")
    assert message in done.err


@pytest.mark.parametrize("flag", NOT_YET)
def test_what_is_not_supported_yet_says_what_to_do(
    cli: Cli, capfd: pytest.CaptureFixture[str], flag: str
) -> None:
    words = [flag, "pam"] if flag == "-a" else [flag]
    done = usage(cli, capfd, *words, "*", "test.ping")
    assert done.code == 64
    assert NOT_YET[flag][1] in done.err


def test_more_words_come_from_stdin(
    fleet: Fleet, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    fleet.answer = lambda _id, _fun, arg: arg
    monkeypatch.setattr(sys, "stdin", io.StringIO("two words\n--out=raw\n"))
    assert cli("db1", "test.arg", "--args-stdin").out == "{'db1': ['two words']}\n"


def test_the_flags_of_salt_are_all_there() -> None:
    known = build_parser()._option_string_actions
    flags = SALT_FLAGS.split()
    assert [flag for flag in flags if flag not in known] == []


def test_versions(cli: Cli) -> None:
    assert cli("--version").out == f"greensalt-cli {__version__}\n"
    report = cli("--versions-report").out
    for name in ("Python", "gevent", "pyzmq", "msgpack", "system"):
        assert re.search(rf"(?m)^ +{name}: \S", report)


def test_the_configuration_can_be_printed(made: Bench, cli: Cli) -> None:
    dumped = yaml.safe_load(cli("--config-dump").out)
    assert (dumped["timeout"], dumped["ret_port"]) == (0.3, made.config.ret_port)


def test_logs_go_to_stderr_and_to_a_file(made: Bench, fleet: Fleet, tmp_path: Path) -> None:
    words = command(made, "db1", "test.ping", "-l", "info", f"--log-file={tmp_path}/log")
    sock_dir = str(made.root / "elsewhere")
    configure(made, sock_dir=sock_dir)
    done = offload(
        lambda: subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    )
    assert done.stdout == "db1:\n    True\n"
    for text in (done.stderr, (tmp_path / "log").read_text()):
        assert "is not open to this user; looking for results instead" in text


# -- errors ------------------------------------------------------------------------------------


def test_a_master_that_does_not_listen_is_69(
    made: Bench, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "RESTART_S", 0.1)
    port = free_port()
    configure(made, ret_port=port, sock_dir=str(made.root / "elsewhere"))
    done = cli("*", "test.ping")
    assert (done.code, done.out) == (69, "")
    assert f"no master listens at tcp://127.0.0.1:{port} (Connection refused)" in done.err
    with pytest.raises(TransportError):
        cli("*", "test.ping", "--hard-crash")


def test_a_user_who_may_not_is_77(made: Bench, fleet: Fleet, cli: Cli) -> None:
    done = cli("*", "cmd.shell", "id")
    assert (done.code, done.out) == (77, "")
    assert "cmd.shell is black-listed" in done.err
    (made.config.cachedir / f".{made.config.user}_key").unlink()
    done = cli("*", "test.ping")
    assert done.code == 77
    assert "_key for user" in done.err


def test_an_unknown_nodegroup_is_64(cli: Cli) -> None:
    done = cli("-N", "dbs", "test.ping")
    assert done.code == 64
    assert "Node group dbs unavailable in " in done.err


def test_a_wrong_configuration_is_one_line(made: Bench, cli: Cli) -> None:
    configure(made, timeout="soon")
    done = cli("*", "test.ping")
    assert done.code == 1
    assert re.fullmatch(r"greensalt-cli: error: .*timeout must be .*\n", done.err)


# -- the terminal ------------------------------------------------------------------------------


def test_a_reader_that_goes_away_ends_it_quietly(made: Bench, fleet: Fleet) -> None:
    words = command(made, "*", "test.ping")
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(words, stdout=writer, stderr=subprocess.PIPE, text=True) as process:
        os.close(writer)
        _, err = offload(process.communicate, None, 20)
    assert (process.returncode, err) == (141, "")


def test_ctrl_c_tells_the_jid_and_how_to_find_the_job(made: Bench, fleet: Fleet) -> None:
    fleet.answer = lambda *_: SILENT
    words = command(made, "db1", "test.sleep", "9", "-t", "60")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        while not fleet.busy:
            gevent.sleep(0.01)
        (jid,) = fleet.busy
        process.send_signal(signal.SIGINT)
        _, err = offload(process.communicate, None, 20)
    assert process.returncode == 130
    assert err.startswith(f"\nExiting gracefully on Ctrl-c\nThis job's jid is: {jid}\n")
    assert err.endswith(f"\n\ngreensalt-cli --follow {jid}\n")


def on_a_terminal(made: Bench, *words: str) -> str:
    """What a terminal shows of a command, stdout and stderr together."""
    screen, keyboard = pty.openpty()

    def read() -> str:
        shown = b""
        while True:
            try:
                data = os.read(screen, 65536)
            except OSError:  # Linux's end of file on a terminal
                return shown.decode()
            shown += data

    with subprocess.Popen(command(made, *words), stdout=keyboard, stderr=keyboard) as process:
        os.close(keyboard)
        shown = offload(read)
        offload(process.wait, 20)
    os.close(screen)
    return shown.replace("\r\n", "\n")


def test_a_terminal_has_colours(made: Bench, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    colored = "\x1b[0;36mdb1\x1b[0;0m:\n    \x1b[0;1;33mTrue\x1b[0;0m\n"
    assert on_a_terminal(made, "db1", "test.ping") == colored
    assert on_a_terminal(made, "db1", "test.ping", "--no-color") == "db1:\n    True\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert on_a_terminal(made, "db1", "test.ping") == "db1:\n    True\n"


def test_colours_can_be_had_in_a_pipe(fleet: Fleet, cli: Cli) -> None:
    colored = "\x1b[0;36mdb1\x1b[0;0m:\n    \x1b[0;1;33mTrue\x1b[0;0m\n"
    assert cli("db1", "test.ping", "--force-color").out == colored


def test_a_terminal_shows_the_progress_of_a_job_that_takes_a_moment(
    made: Bench, fleet: Fleet
) -> None:
    fleet.answer = lambda minion_id, *_: SILENT if minion_id == "db1" else True

    def finish() -> None:
        made.until(lambda: bool(fleet.busy))
        gevent.sleep(3)  # it shows the progress of what takes a second
        (jid,) = fleet.busy
        fleet.finish(jid, "db1", True)

    finisher = gevent.spawn(finish)
    shown = on_a_terminal(made, "*", "test.x", "-t", "60", "--no-color", "--out=txt")
    finisher.get()
    line = "\r\x1b[K2 of 3 minions have returned"
    assert line in shown
    rest = shown.replace(line, "").split("\r\x1b[K")
    assert sorted(rest[0].splitlines()) == ["web1: True", "web2: True"]
    assert rest[1:] == ["db1: True\n"]


# -- start-up ----------------------------------------------------------------------------------


def test_a_plain_job_imports_nothing_it_does_not_need(made: Bench, fleet: Fleet) -> None:
    code = (
        "import sys; from greensalt.cli.salt import main; main(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, *command(made, "db1", "test.ping")[1:]]
    done = offload(
        lambda: subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    )
    assert done.stdout == "db1:\n    True\n"
    loaded = set(done.stderr.split())
    unwanted = {
        *("greensalt.target", "greensalt.crypto", "greensalt.store", "greensalt.master"),
        *("greensalt.minion", "greensalt.modules", "greensalt.client.local"),
        *("greensalt.client.batch", "greensalt.cli.logs", "greensalt.client.outputters.highstate"),
        *("sqlite3", "psutil", "orjson", "Crypto", "logging.handlers", "asyncio", "email"),
        *("importlib.metadata", "difflib", "gevent.socket", "gevent.subprocess"),
    }
    assert loaded & unwanted == set()
