"""-a, -T, --username, --password of greensalt-cli and greensalt run: docs/access.md."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from greensalt.cli import main as greensalt
from greensalt.cli.salt import main
from tests._bench import Bench
from tests.client._fleet import Fleet

SECRET = "correct horse"
FRED = ("-a", "sharedsecret", "--username", "fred", "--password", SECRET)
PING = ("db1", "test.ping")
PONG = "db1:\n    True\n"


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def made(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Bench]:
    monkeypatch.setenv("HOME", str(tmp_path))
    rules = {"fred": ["test.*", "sys.*", "@runner"]}
    made = bench(auto_accept=True, external_auth={"sharedsecret": rules}, sharedsecret=SECRET)
    made.master.access.eauth._slowest_s = 0.05
    config = {
        "root_dir": str(made.root),
        "interface": "127.0.0.1",
        "ret_port": made.config.ret_port,
        "publish_port": made.config.publish_port,
        "timeout": 0.3,
        "gather_job_timeout": 0.5,
    }
    (made.root / "conf/master").write_text(yaml.safe_dump(config))
    with Fleet(made, ["db1"]):
        yield made


@pytest.fixture
def keyless(made: Bench) -> Bench:
    """Nobody has a key."""
    for key in made.config.cachedir.glob(".*_key"):
        key.unlink()
    return made


def run(made: Bench, *words: str) -> int:
    return main(["-c", str(made.root / "conf"), *words])


def test_a_password_on_the_command_line(keyless: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(keyless, *FRED, *PING) == 0
    assert capfd.readouterr().out == PONG
    assert run(keyless, *FRED, "db1", "cmd.run", "id") == 77
    assert "may not run" in capfd.readouterr().err
    assert run(keyless, *FRED[:-1], "wrong", *PING) == 77
    assert 'Authentication failure of type "eauth" occurred.' in capfd.readouterr().err
    assert run(keyless, *PING) == 77


def test_the_password_is_asked_for_at_a_terminal(
    keyless: Bench, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("fred\n"))
    asked: list[str] = []

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        return SECRET

    monkeypatch.setattr("getpass.getpass", getpass)
    assert run(keyless, "-a", "sharedsecret", *PING) == 0
    done = capfd.readouterr()
    assert (done.out, asked) == (PONG, ["password: "])
    assert done.err == "username: "
    monkeypatch.setattr("sys.stdin", Terminal("fred\n"))
    assert run(keyless, "-a", "sharedsecret", "--subset", "1", *PING) in (0, 2)
    assert len(asked) == 2  # once a command, however many requests it makes


@pytest.mark.parametrize("flags", [FRED[:2], FRED[:4]])
def test_without_a_terminal_nobody_is_asked(
    keyless: Bench,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("fred\nx\n"))
    assert run(keyless, *flags, *PING) == 77
    assert "there is no terminal to ask at" in capfd.readouterr().err


def test_a_token_is_kept_and_used_from_then_on(
    keyless: Bench,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert run(keyless, *FRED, "-T", *PING) == 0
    kept = tmp_path / ".salt_token"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert keyless.master.access.tokens.get(kept.read_text()) is not None
    monkeypatch.setattr("sys.stdin", io.StringIO())
    capfd.readouterr()
    assert run(keyless, "-a", "sharedsecret", *PING) == 0
    assert run(keyless, *PING) == 0  # who has no key is whom the token stands for
    assert capfd.readouterr().out == 2 * PONG
    assert run(keyless, "-a", "sharedsecret", "--username", "ann", *PING) == 77  # somebody else
    kept.write_text("0" * 64)
    assert run(keyless, "-a", "sharedsecret", *PING) == 77
    assert run(keyless, *PING) == 77


def test_who_has_a_key_uses_it_whatever_token_was_kept(
    made: Bench, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / ".salt_token").write_text("0" * 64)
    assert run(made, *PING) == 0
    assert capfd.readouterr().out == PONG


@pytest.mark.parametrize("flags", [("-T",), ("--username", "fred"), ("--password", "x")])
def test_flags_that_need_a_back_end_say_so(
    made: Bench, capfd: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    assert run(made, *flags, *PING) == 64
    assert "need -a with a back end" in capfd.readouterr().err


def test_runners_are_run_with_a_password(keyless: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["run", "-c", str(keyless.root / "conf"), *FRED, "test.arg", "x", "--out=json"]
    assert greensalt.main(words) == 0
    assert '"x"' in capfd.readouterr().out
    assert greensalt.main([*words[:-4], "wrong", *words[-3:]]) == 77
