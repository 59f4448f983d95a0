"""Batches of real daemons: kills of the command line and of the master."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

from tests._daemons import BIN, READY_S, GreensaltMaster, GreensaltMinion, run, short_dir
from tests.e2e.test_fileserver_docs import commands

DOCUMENT = (Path(__file__).parents[2] / "docs/batch.md").read_text()
IDS = ("m0", "m1", "m2")


def test_a_batch_outlives_its_command_line_and_its_master() -> None:
    """Each minion writes a line when it runs; the first ones wait until they may go on."""
    with short_dir() as where, GreensaltMaster(where, auto_accept=True) as master:
        minions = [GreensaltMinion(where, each, master.ret_port) for each in IDS]
        try:
            for minion in minions:
                minion.start()
            _kill_both(where, master)
        finally:
            for minion in minions:
                minion.stop()


def _kill_both(where: Path, master: GreensaltMaster) -> None:
    began, go = where / "began", where / "go"
    job = f"echo ran >> {began}; while [ ! -e {go} ]; do sleep 0.1; done"
    words = [str(BIN / "greensalt-cli"), "-c", str(master.dir), "-b", "1", "*", "cmd.run", job]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as cli:
        wait = master.child.wait_until
        wait(began.exists, "the first minion to begin", READY_S)
        cli.send_signal(signal.SIGKILL)
    master.kill()
    master.start()
    go.touch()

    def state() -> str:
        done = run(BIN / "greensalt", "run", "-c", master.dir, "batch.list", "--out=json")
        (batch,) = json.loads(done.stdout).values()
        assert batch["counts"]["silent"] == 0
        return str(batch["state"])

    wait(lambda: state() == "complete", "the end of the batch", READY_S)
    assert began.read_text().splitlines() == ["ran"] * len(IDS)


def test_the_page_is_true() -> None:
    with short_dir() as where, GreensaltMaster(where) as master:
        ran = 0
        for words, output in commands(DOCUMENT):
            assert words[:2] == ["greensalt", "run"]
            done = run(BIN / "greensalt", "run", "-c", master.dir, *words[2:])
            assert json.loads(done.stdout) == json.loads(output)
            ran += 1
        assert ran == 1


def test_every_option_of_the_page_is_one_of_the_command() -> None:
    help_text = run(BIN / "greensalt-cli", "--help").stdout
    options = set(re.findall(r"--[a-z][a-z-]+", DOCUMENT)) - {"--out"}
    assert {each for each in options if each not in help_text} == set()
