from __future__ import annotations

import logging
import os
from pathlib import Path

import gevent
import pytest

from tests._calls import Caller
from tests._load import wait_for

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


def test_a_command_line_is_for_the_shell(minion: Caller) -> None:
    assert minion.job("cmd.run", "echo $((1 + 1)) | cat").ret == "2"


def test_the_exit_code_of_the_command_is_that_of_the_job(minion: Caller) -> None:
    outcome = minion.job("cmd.run", "echo no; exit 3")
    assert (outcome.ret, outcome.retcode, outcome.success) == ("no", 3, False)
    assert minion.job("cmd.retcode", "exit 4").retcode == 4
    assert minion.job("cmd.run_all", "exit 5").retcode == 5


def test_called_by_another_function_a_command_has_no_shell(minion: Caller) -> None:
    assert minion.context.call("cmd.run", "echo $HOME") == "$HOME"
    assert minion.context.call("cmd.run", "echo $HOME", python_shell=True) != "$HOME"


def test_cmd_safe_gives_the_shell_to_other_functions_too(tmp_path: Path) -> None:
    caller = Caller(tmp_path, others={"cmd_safe": False})
    assert caller.context.call("cmd.run", "echo $((1 + 1))") == "2"


def test_each_function_gives_its_part(minion: Caller) -> None:
    line = "echo out; echo err >&2; exit 3"
    assert minion.job("cmd.run", line).ret == "out\nerr"
    assert minion.job("cmd.run", line, redirect_stderr=False).ret == "out"
    assert minion.job("cmd.run_stdout", line).ret == "out"
    assert minion.job("cmd.run_stderr", line).ret == "err"
    assert minion.job("cmd.retcode", line).ret == 3
    everything = minion.job("cmd.run_all", line).ret
    assert everything.pop("pid") > 0
    assert everything == {"retcode": 3, "stdout": "out", "stderr": "err"}


def test_shell_always_has_a_shell(minion: Caller) -> None:
    assert minion.context.call("cmd.shell", "echo $((1 + 1))") == "2"


def test_directory_environment_and_input_are_as_told(minion: Caller, tmp_path: Path) -> None:
    assert minion.call("cmd.run", "pwd", cwd=str(tmp_path)) == str(tmp_path)
    assert minion.call("cmd.run", "echo $A$B", env={"A": 1, "B": None}) == "1"
    assert minion.call("cmd.run", "echo $A$B", env=[{"A": 1}, {"B": "two"}]) == "1two"
    assert minion.call("cmd.run", "cat", stdin="one\\ntwo") == "one\ntwo"
    assert minion.call("cmd.run", "cat", stdin="one\\ntwo", stdin_raw_newlines=True) == "one\\ntwo"
    assert minion.call("cmd.run", "umask", umask="077") == "0077"
    assert minion.call("cmd.run", "echo $PATH", prepend_path="/x/bin").startswith("/x/bin:")


def test_a_clean_environment_has_only_what_is_given(
    minion: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIDDEN", "yes")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    assert "HIDDEN=yes" in minion.call("cmd.run", "env")
    assert "NOTIFY_SOCKET" not in minion.call("cmd.run", "env")
    clean = minion.call("cmd.run", "/usr/bin/env", clean_env=True, env={"A": "b"})
    assert "HIDDEN" not in clean
    assert "A=b" in clean


def test_programs_speak_english_unless_told_otherwise(minion: Caller) -> None:
    assert "LC_MESSAGES=C" in minion.call("cmd.run", "env")
    assert "LC_MESSAGES=C" not in minion.call("cmd.run", "env", reset_system_locale=False)


@AS_ROOT
def test_a_command_runs_as_its_user_with_that_users_environment(minion: Caller) -> None:
    out = minion.call("cmd.run", "id -un; id -gn; echo $USER; pwd", runas="nobody")
    assert out.split("\n")[:3] == ["nobody", "nogroup", "nobody"]
    assert minion.call("cmd.run", "id -un; id -gn", group="daemon") == "root\ndaemon"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"cwd": "/no/such/dir"}, "Specified cwd '/no/such/dir' either not absolute or does not"),
        ({"cwd": "relative"}, "Specified cwd 'relative' either not absolute or does not exist"),
        ({"runas": "nobody-at-all"}, "User 'nobody-at-all' is not available"),
        ({"group": "no-such-group"}, "Group 'no-such-group' is not available"),
        ({"shell": "/bin/no-shell"}, "The shell /bin/no-shell is not available"),
        ({"umask": "0"}, "Zero umask is not allowed."),
        ({"umask": "x"}, "Invalid umask: 'x'"),
        ({"timeout": "soon"}, "Error: timeout soon must be a number"),
        ({"template": "jinja"}, "unavailable engine jinja"),
        ({"env": "A=b"}, "env must be a dict or a list of dicts"),
        ({"success_retcodes": "x"}, "success_retcodes must be a list of integers"),
        ({"output_encoding": "klingon"}, "unknown encoding: klingon"),
        ({"use_vt": True}, "use_vt is not available"),
    ],
)
def test_wrong_settings_are_named(minion: Caller, arguments: dict[str, str], text: str) -> None:
    outcome = minion.job("cmd.run", "echo x", **arguments)
    assert outcome.ret.startswith("ERROR")
    assert text in outcome.ret
    assert outcome.retcode == 1


def test_a_program_that_is_missing_is_named_without_its_secrets(minion: Caller) -> None:
    outcome = minion.job(
        "cmd.run", "no-such-program", python_shell=False, env={"TOKEN": "s3cret"}, stdin="s3cret"
    )
    assert outcome.ret.startswith("ERROR: Unable to run command '['no-such-program']' with the")
    assert "No such file or directory" in outcome.ret
    assert "s3cret" not in outcome.ret


def test_logs_tell_neither_arguments_nor_environment_nor_input(
    minion: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        minion.job(
            "cmd.run",
            "cat >/dev/null; test -n s3cret && exit 1",
            env={"TOKEN": "s3cret"},
            stdin="s3cret",
        )
        minion.job("cmd.run", "echo s3cret; exit 1", output_loglevel="quiet")
    assert "Executing command 'cat'" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_command_that_takes_too_long_is_killed(minion: Caller, tmp_path: Path) -> None:
    command = f"echo $$ > {tmp_path}/pid; sleep infinity"
    outcome = minion.job("cmd.run", command, timeout=0.5)
    assert outcome.ret == f"{command} : Timed out after 0.5 seconds"
    assert outcome.retcode == 1
    wait_for(lambda: not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists())
    everything = minion.job("cmd.run_all", ["sleep", "60"], timeout=0.2).ret
    assert everything["stdout"] == "['sleep', '60'] : Timed out after 0.2 seconds"


def test_killing_a_job_kills_its_command(minion: Caller, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    job = gevent.spawn(minion.job, "cmd.run", f"echo $$ > {file}; sleep 60")
    with gevent.Timeout(60):
        while not (file.exists() and file.read_text()):
            gevent.sleep(0.01)
        job.kill()
        while Path(f"/proc/{file.read_text().strip()}").exists():
            gevent.sleep(0.01)


def test_what_counts_as_a_success_can_be_chosen(minion: Caller) -> None:
    assert minion.job("cmd.run", "exit 3", ignore_retcode=True).retcode == 0
    assert minion.job("cmd.retcode", "exit 3", success_retcodes=[3, 4]).ret == 0
    assert minion.job("cmd.retcode", "exit 3", success_retcodes="2,3").ret == 0
    assert minion.job("cmd.retcode", "echo fine; exit 3", success_stdout="fine").ret == 0
    assert minion.job("cmd.run_all", "echo fine >&2; exit 3", success_stderr="fine").retcode == 0


def test_raise_err_turns_a_failure_into_an_error(minion: Caller) -> None:
    assert minion.job("cmd.run", "echo no; exit 3", raise_err=True).ret == "ERROR: no"


def test_output_can_be_hidden_kept_whole_or_decoded_otherwise(minion: Caller) -> None:
    assert minion.call("cmd.run", "echo x", hide_output=True) == ""
    assert minion.call("cmd.run_all", "echo x", hide_output=True)["stdout"] == ""
    assert minion.call("cmd.run", "printf 'x \\n'", rstrip=False) == "x \n"
    assert minion.call("cmd.run", "printf '\\344'", output_encoding="latin-1") == "ä"
    assert minion.call("cmd.run", "printf '\\344'") == "\ufffd"


def test_a_command_in_the_background_returns_at_once(minion: Caller, tmp_path: Path) -> None:
    """Neither of the two could end before the test opens the gate."""
    file, gate = tmp_path / "done", tmp_path / "gate"
    os.mkfifo(gate)
    with gevent.Timeout(60):
        pid = minion.call("cmd.run_bg", f"read go < {gate}; echo $$ > {file}")["pid"]
        assert minion.call("cmd.run", f"read go < {gate}", bg=True) == ""
    assert not file.exists()
    opened = os.open(gate, os.O_RDWR)
    os.write(opened, b"go\ngo\n")
    wait_for(lambda: file.exists() and file.read_text())
    os.close(opened)
    assert int(file.read_text()) == pid


def test_a_list_of_words_needs_no_shell(minion: Caller) -> None:
    assert minion.call("cmd.run", ["echo", "a b", "$HOME", 3]) == "a b $HOME 3"


def test_forbidden_commands_are_refused_to_jobs(tmp_path: Path) -> None:
    caller = Caller(tmp_path, others={"cmd_blacklist_glob": ["rm *"]})
    ret = caller.job("cmd.run", "rm -rf /tmp/x").ret
    assert ret == 'ERROR: The shell command "rm -rf /tmp/x" is not permitted'
    assert caller.job("cmd.run", "echo rm").success
    caller = Caller(tmp_path, others={"cmd_whitelist_glob": "echo *"})
    assert caller.job("cmd.run", "echo x").success
    assert not caller.job("cmd.run_all", "ls").success


def test_arguments_may_be_given_by_position_or_by_name(minion: Caller) -> None:
    assert minion.call("cmd.run", "cat", "/", "stdin") == "stdin"
    assert minion.call("cmd.run", cmd="echo x") == "x"
    assert "got multiple values for argument 'cmd'" in minion.job("cmd.run", "x", cmd="y").ret
    assert "missing 1 required positional argument: 'cmd'" in minion.job("cmd.run_all").ret
    ret = minion.job("cmd.retcode", *"x" * 40).ret
    assert "positional arguments but 40 were given" in ret


def test_a_script_runs_with_its_arguments_and_leaves_no_copy(
    minion: Caller, tmp_path: Path
) -> None:
    script = tmp_path / "hello.sh"
    script.write_text('#!/bin/sh\necho "$0 $1-$2"; exit 3\n')
    ret = minion.job("cmd.script", str(script), args="one 'two three'").ret
    copy, _, rest = ret["stdout"].partition(" ")
    assert rest == "one-two three"
    assert ret["retcode"] == 3
    assert copy != str(script)
    assert not Path(copy).exists()
    assert minion.job("cmd.script_retcode", f"file://{script}").ret == 3


def test_a_script_that_names_no_interpreter_is_for_the_shell(
    minion: Caller, tmp_path: Path
) -> None:
    script = tmp_path / "plain"
    script.write_text("echo plain $1\n")
    assert minion.call("cmd.script", str(script), args=["a b"])["stdout"] == "plain a b"


@AS_ROOT
def test_a_script_of_roots_can_run_as_somebody_else(minion: Caller, tmp_path: Path) -> None:
    script = tmp_path / "who.sh"
    script.write_text("#!/bin/sh\nid -un\n")
    assert minion.call("cmd.script", str(script), runas="nobody")["stdout"] == "nobody"


def test_a_script_that_cannot_be_fetched_is_told_of(minion: Caller) -> None:
    minion.ear.replies["_file_hash"] = ""
    for source in ("/no/such/script", "salt://x.sh"):
        assert minion.call("cmd.script", source) == {
            "pid": 0,
            "retcode": 1,
            "stdout": "",
            "stderr": "",
            "cache_error": True,
        }
    assert "can't fetch http://x.sh" in minion.job("cmd.script", "http://x.sh").ret
    assert "must be absolute" in minion.job("cmd.script", "x.sh").ret


def test_code_is_run_by_the_interpreter_of_its_language(minion: Caller) -> None:
    assert minion.call("cmd.exec_code", "sh", "echo $1", args=["x"]) == "x"
    assert minion.call("cmd.exec_code_all", "sh", "exit 0")["retcode"] == 0


def test_programs_are_found_in_the_path(minion: Caller) -> None:
    assert minion.call("cmd.which", "sh").endswith("/sh")
    assert minion.call("cmd.which", "no-such-program") is None
    assert minion.call("cmd.has_exec", "sh") is True
    assert minion.call("cmd.which_bin", ["no-such-program", "sh"]).endswith("/sh")
    assert minion.call("cmd.which_bin", "sh") is None
    assert "/bin/sh" in minion.call("cmd.shells")
