"""Stock Salt's own command line with a password and a token on a greensalt master; master_tops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests._daemons import (
    BIN,
    NEWEST,
    STOCK_VERSIONS,
    GreensaltMaster,
    GreensaltMinion,
    StockMinion,
    run,
    short_dir,
    stock_bin,
)

SECRET = "correct horse"
FRED = ("-a", "sharedsecret", "--username", "fred", "--password", SECRET)


@pytest.fixture(scope="module")
def where() -> Iterator[Path]:
    with short_dir() as path:
        yield path


@pytest.fixture(scope="module")
def master(where: Path) -> Iterator[GreensaltMaster]:
    script = where / "classify"
    script.write_text("#!/bin/sh\necho 'classes: [users, web.server]'\n")
    script.chmod(0o755)
    config: dict[str, Any] = {
        "auto_accept": True,
        "sharedsecret": SECRET,
        "external_auth": {"sharedsecret": {"fred": ["test.*", "@jobs"]}},
        "token_file": str(where / "token"),
        "master_tops": {"ext_nodes": str(script)},
    }
    with GreensaltMaster(where, **config) as master:
        minion = GreensaltMinion(where, "own", master.ret_port)
        with minion:
            yield master


def salt(master: GreensaltMaster, *words: str) -> str:
    """What stock's command line says of a job that it leaves to itself.

    It takes results from the files of a stock master on the same host, so that it can't show any.
    """
    done = run(stock_bin(NEWEST) / "salt", "-c", master.dir, "--async", *words)
    return done.stdout + done.stderr


def runner(master: GreensaltMaster, fun: str, **proof: str) -> Any:
    """What the master says to stock's RunnerClient, or its error as a text."""
    code = (
        "import json, sys, salt.config, salt.runner\n"
        "opts = salt.config.client_config(sys.argv[1])\n"
        "low = json.loads(sys.argv[2])\n"
        "try: found = salt.runner.RunnerClient(opts).cmd_async(low)\n"
        "except Exception as error: found = {'error': repr(error)}\n"
        "print(json.dumps(found))"
    )
    low = json.dumps({"fun": fun, **proof})
    done = run(stock_bin(NEWEST) / "python", "-c", code, master.dir / "master", low)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_stocks_command_line_takes_a_password(master: GreensaltMaster) -> None:
    said = salt(master, *FRED, "own", "test.ping")
    assert "Executed command with job ID: 2" in said
    jid = said.strip().rpartition(" ")[2]
    done = master.run_cli("--follow", jid, "--out=json", "--static")
    assert json.loads(done.stdout) == {"own": True}
    assert "Executed" not in salt(master, *FRED, "own", "cmd.run", "id")
    assert "Executed" not in salt(master, *FRED[:-1], "wrong", "own", "test.ping")


def test_stocks_command_line_makes_a_token(master: GreensaltMaster, where: Path) -> None:
    assert "Executed command" in salt(master, *FRED, "-T", "own", "test.ping")
    token = (where / "token").read_text()
    assert len(token) == 64
    kept = next((master.cache_dir / "tokens").iterdir())
    assert kept.stat().st_mode & 0o777 == 0o600
    assert token not in kept.read_text()


def test_stocks_runner_client_takes_a_password(master: GreensaltMaster) -> None:
    proof = {"eauth": "sharedsecret", "username": "fred", "password": SECRET}
    begun = runner(master, "jobs.list_jobs", **proof)
    assert begun["tag"] == f"salt/run/{begun['jid']}"
    done = master.run_cli("--follow", begun["jid"], "--out=json", "--static")
    (found,) = json.loads(done.stdout).values()
    assert begun["jid"] in found
    assert "Auth" in str(runner(master, "manage.up", **proof))
    assert "Auth" in str(runner(master, "jobs.list_jobs", **{**proof, "password": "wrong"}))


def test_stocks_run_command_takes_a_password_and_a_token(
    master: GreensaltMaster, where: Path
) -> None:
    """It reads results from a bus of stock Salt's own kind, so that it can't show any."""

    def begin(*words: str) -> str:
        command = (stock_bin(NEWEST) / "salt-run", "-c", master.dir, "--async")
        return run(*command, *words).stderr.partition("under tag salt/run/")[2][:20]

    def asker(jid: str) -> Any:
        done = run(BIN / "greensalt", "run", "-c", master.dir, "jobs.list_job", jid, "--out=json")
        return json.loads(done.stdout)["User"]

    (where / "token").unlink(missing_ok=True)  # that of another command
    assert asker(begin(*FRED, "jobs.list_jobs")) == "fred"
    assert not begin(*FRED, "manage.up")
    assert begin(*FRED, "-T", "jobs.list_jobs")
    # From now on it has a token, and root shows the master's key in its place, without a name.
    assert asker(begin("-a", "sharedsecret", "jobs.list_jobs")) == "root"


@pytest.mark.parametrize("version", STOCK_VERSIONS)
def test_a_stock_minion_gets_its_tops(master: GreensaltMaster, where: Path, version: str) -> None:
    with StockMinion(where, f"top-{version}", master.ret_port, version) as minion:
        answer = master.ask(minion.id, "state.show_top")
        assert answer == {minion.id: {"base": ["users", "web.server"]}}
