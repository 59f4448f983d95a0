from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest

from greensalt import __version__
from greensalt.cli import main as cli
from greensalt.errors import StoreError


def test_without_a_command_the_usage_tells_all_of_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main([]) == 64
    assert cli.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {name} " in printed for name in cli.COMMANDS)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"greensalt {__version__}\n"


def test_an_unknown_command_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["kye"]) == 64
    assert "unknown command 'kye'; did you mean 'key'?" in capsys.readouterr().err
    assert cli.main(["zzz"]) == 64
    assert "there are master, minion, key" in capsys.readouterr().err


def test_wrong_usage_has_salts_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["key", "--bogus"])
    assert caught.value.code == 64
    assert capsys.readouterr().err == (
        "usage: greensalt key [options]\ngreensalt key: error: unrecognized arguments: --bogus\n"
    )


def test_what_a_command_raises_on_purpose_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_args: Namespace) -> int:
        raise StoreError("the disk is full")

    assert cli.guarded("greensalt x", fail, Namespace()) == 1
    assert capsys.readouterr().err == "greensalt x: error: the disk is full\n"


def test_ctrl_c_is_no_traceback() -> None:
    def stop(_args: Namespace) -> int:
        raise KeyboardInterrupt

    assert cli.guarded("greensalt x", stop, Namespace()) == 130


def test_a_command_is_found_and_its_exit_code_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("--code", type=int)

    module = SimpleNamespace(add_arguments=add_arguments, run=lambda args: args.code)
    monkeypatch.setitem(sys.modules, "greensalt_command_of_a_test", module)
    command = cli.Command("greensalt_command_of_a_test", "do it")
    monkeypatch.setattr(cli, "COMMANDS", {"it": command})
    assert cli.main(["it", "--code", "7"]) == 7


def test_the_module_can_be_run(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "greensalt", "key", "-c", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_has_gone_away_is_no_traceback(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "greensalt", "key", "-c", str(tmp_path), "-L"]
    reader = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    reader.wait()
    done = subprocess.run(argv, stdout=reader.stdin, stderr=subprocess.PIPE, text=True, check=False)
    assert reader.stdin is not None
    reader.stdin.close()
    assert (done.returncode, done.stderr) == (141, "")
