"""greensalt call: what it prints, where, and its exit codes; beside a running minion, too."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from greensalt.client import RunnerClient
from greensalt.wire.jid import is_jid
from tests._daemons import BIN, GreensaltMaster, GreensaltMinion, free_port, run, short_dir

Done = subprocess.CompletedProcess[str]


def call(directory: Path, *words: str) -> Done:
    return run(BIN / "greensalt", "call", "-c", directory, *words)


@pytest.fixture(name="alone")
def _alone(short_dir: Path) -> Path:
    """The configuration of a minion that has no master."""
    config = {"root_dir": str(short_dir / "r"), "id": "hermit"}
    (short_dir / "minion").write_text(yaml.safe_dump(config))
    return short_dir


class Home(NamedTuple):
    """A master and the running minion m1."""

    master: GreensaltMaster
    minion: GreensaltMinion


@pytest.fixture(scope="module", name="home")
def _home() -> Iterator[Home]:
    with short_dir() as where:
        (where / "files").mkdir()
        (where / "files/hello").write_text("hello")
        (where / "pillars").mkdir()
        (where / "pillars/top.sls").write_text("base: {'*': [own]}")
        (where / "pillars/own.sls").write_text("colour: green")
        options: dict[str, Any] = {
            "keysize": 2048,
            "auto_accept": True,
            "file_roots": {"base": [str(where / "files")]},
            "pillar_roots": {"base": [str(where / "pillars")]},
        }
        with (
            GreensaltMaster(where, **options) as master,
            GreensaltMinion(where, "m1", master.ret_port) as minion,
        ):
            yield Home(master, minion)


def test_a_local_call_prints_what_salt_call_does(alone: Path) -> None:
    done = call(alone, "--local", "test.ping")
    assert (done.returncode, done.stdout, done.stderr) == (0, "local:\n    True\n", "")
    assert call(alone, "--local", "test.ping", "--out=txt").stdout == "local: True\n"


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (("test.nothing",), 255, "", "'test.nothing' is not available."),
        (("cmd.run", "exit 3"), 1, "local:", ""),
        (("--retcode-passthrough", "cmd.run", "exit 3"), 3, "local:", ""),
        (("test.echo",), 1, "", "missing 1 required positional argument"),
    ],
)
def test_exit_codes_are_those_of_salt_call(
    alone: Path, words: tuple[str, ...], code: int, out: str, err: str
) -> None:
    done = call(alone, "--local", *words)
    assert done.returncode == code
    assert out in done.stdout
    assert bool(done.stdout) == bool(out)
    assert err in done.stderr


def test_a_local_call_has_the_files_and_the_pillar_of_this_machine(alone: Path) -> None:
    (alone / "files").mkdir()
    (alone / "files/hello").write_text("hello")
    (alone / "pillars").mkdir()
    (alone / "pillars/top.sls").write_text("base: {'hermit': [own]}")
    (alone / "pillars/own.sls").write_text("id: {{ grains.id }}")
    roots = ("--file-root", str(alone / "files"), "--pillar-root", str(alone / "pillars"))
    done = call(alone, *roots, "--out=json", "pillar.get", "id", "unmask=True")
    assert json.loads(done.stdout) == {"local": "hermit"}
    got = alone / "got"
    done = call(alone, *roots, "--out=json", "cp.get_file", "salt://hello", str(got))
    assert json.loads(done.stdout) == {"local": str(got)}
    assert got.read_text() == "hello"
    assert json.loads(call(alone, *roots, "--out=json", "cp.list_master").stdout)["local"] == [
        "hello"
    ]


def test_id_grains_metadata_and_documentation(alone: Path) -> None:
    done = call(alone, "--local", "--id", "other", "-g", "--out=json")
    assert json.loads(done.stdout)["local"]["id"] == "other"
    done = call(alone, "--local", "--metadata", "--out=json", "test.echo", "x")
    shown = json.loads(done.stdout)["local"]
    assert is_jid(shown.pop("jid"))
    assert shown == {
        "fun": "test.echo",
        "fun_args": ["x"],
        "id": "hermit",
        "retcode": 0,
        "return": "x",
    }
    assert call(alone, "-d", "test.ping").stdout.startswith("test.ping:\n")
    assert call(alone).returncode == 64


def test_without_a_master_it_says_so(short_dir: Path) -> None:
    config = {
        "root_dir": str(short_dir / "r"),
        "id": "m9",
        "master": "127.0.0.1",
        "master_port": free_port(),
        "auth_timeout": 1,
    }
    (short_dir / "minion").write_text(yaml.safe_dump(config))
    done = call(short_dir, "test.ping")
    assert done.returncode == 69
    assert "has not let m9 in within 1 s" in done.stderr


def test_a_call_has_the_masters_files_and_pillar_and_is_a_job(home: Home, tmp_path: Path) -> None:
    done = call(home.minion.dir, "--out=json", "pillar.get", "colour", "unmask=True")
    assert json.loads(done.stdout) == {"local": "green"}, done.stderr
    got = tmp_path / "got"
    assert call(home.minion.dir, "cp.get_file", "salt://hello", str(got)).returncode == 0
    assert got.read_text() == "hello"
    with RunnerClient(home.master.dir) as runners:
        [jid] = runners.cmd("jobs.list_jobs", kwarg={"search_function": "pillar.get"})
        assert runners.cmd("jobs.lookup_jid", [jid]) == {"m1": "green"}


def test_a_call_that_shall_not_be_told_is_no_job(home: Home) -> None:
    assert call(home.minion.dir, "--no-return-event", "test.echo", "hush").returncode == 0
    with RunnerClient(home.master.dir) as runners:
        assert runners.cmd("jobs.list_jobs", kwarg={"search_function": "test.echo"}) == {}


def test_the_running_minion_of_the_same_id_is_not_disturbed(home: Home) -> None:
    before = home.minion.sign_ins()
    for _ in range(2):
        assert call(home.minion.dir, "test.ping").returncode == 0
    assert home.master.ask("m1", "test.ping") == {"m1": True}
    assert home.minion.sign_ins() == before


def test_what_a_call_fires_is_on_the_bus_of_the_running_minion(home: Home) -> None:
    done = call(home.minion.dir, "--out=json", "event.fire", "{a: 1}", "my/tag")
    assert json.loads(done.stdout) == {"local": True}, done.stderr
