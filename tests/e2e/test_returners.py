"""Returners of real daemons: a master that is killed loses nothing of what they wait for."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests._daemons import BIN, GreensaltMaster, GreensaltMinion, run, short_dir
from tests.e2e.test_fileserver_docs import commands
from tests.master._hook import Hook

WAIT_S = 30
DOCUMENT = (Path(__file__).parents[2] / "docs/returners.md").read_text()


@pytest.fixture(name="hook")
def _hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.stop()


def is_printed(master: GreensaltMaster, words: list[str], output: str) -> bool:
    """Whether a `greensalt run` of the page prints what it says."""
    assert words[:2] == ["greensalt", "run"]
    done = run(BIN / "greensalt", "run", "-c", master.dir, *words[2:])
    return bool(json.loads(done.stdout) == json.loads(output))


def test_a_kill_of_the_master_loses_no_return(hook: Hook) -> None:
    """Once while the other end is away, and once while it has a return in its hands."""
    returner = {"url": hook.url, "type": "webhook", "retry_first": 0.05, "retry_most": 0.1}
    with (
        short_dir() as where,
        GreensaltMaster(where, auto_accept=True, master_returners={"hook": returner}) as master,
        GreensaltMinion(where, "m1", master.ret_port),
    ):
        for number in range(3):
            assert master.ask("m1", "test.echo", f"{number}") == {"m1": number}
        master.kill()
        held, let_go = threading.Event(), threading.Event()

        def hold(_: list[dict[str, Any]]) -> int:
            held.set()
            let_go.wait(WAIT_S)
            return 500

        hook.answer = hold
        hook.start()
        master.start()
        assert held.wait(WAIT_S)
        master.kill()
        let_go.set()
        hook.answer = lambda _: 200
        master.start()
        wanted = [0, 1, 2]
        master.child.wait_until(
            lambda: len(hook.taken) >= len(wanted), "all returns at the other end", WAIT_S
        )
        assert [each["return"] for each in hook.taken] == wanted
        assert len(set(hook.keys())) == len(wanted)
        # What was in its hands when the master died came again under the same keys.
        assert {each["key"] for each in hook.refused} <= set(hook.keys())


def test_a_returner_that_hangs_does_not_hold_up_the_stop(hook: Hook) -> None:
    held, let_go = threading.Event(), threading.Event()

    def hold(_: list[dict[str, Any]]) -> int:
        held.set()
        let_go.wait(WAIT_S)
        return 200

    hook.answer = hold
    hook.start()
    returner = {"url": hook.url, "type": "webhook", "timeout": WAIT_S}
    try:
        with (
            short_dir() as where,
            GreensaltMaster(where, auto_accept=True, master_returners={"hook": returner}) as master,
            GreensaltMinion(where, "m1", master.ret_port),
        ):
            assert master.ask("m1", "test.ping") == {"m1": True}
            assert held.wait(WAIT_S)
            assert master.stop() == 0
    finally:
        let_go.set()


def test_the_example_of_events_of_the_documentation_is_true(hook: Hook) -> None:
    """And a master that is killed keeps the events that wait."""
    _, text = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    _, printed = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
    config = yaml.safe_load(text.replace("https://hooks.example.com/events", hook.url))
    (shown,) = json.loads(printed)["events"]
    data = {key: value for key, value in shown["data"].items() if key != "_stamp"}
    with short_dir() as where, GreensaltMaster(where, auto_accept=True, **config) as master:
        for tag in (shown["tag"], "deploy/web/debug", "else/where", "deploy/web/end"):
            run(BIN / "greensalt", "run", "-c", master.dir, "event.send", tag, f"data={data}")

        def waiting() -> int:
            said = run(BIN / "greensalt", "run", "-c", master.dir, "--out=json", "returners.status")
            return int(json.loads(said.stdout)["audit/events"]["backlog"])

        master.child.wait_until(lambda: waiting() == 2, "two events that wait", WAIT_S)
        master.kill()
        hook.start()
        master.start()
        master.child.wait_until(lambda: len(hook.taken) == 2, "their delivery", WAIT_S)
        assert [event["tag"] for event in hook.taken] == [shown["tag"], "deploy/web/end"]
        got = hook.taken[0]
        assert got.keys() == shown.keys()
        assert got["data"].keys() == shown["data"].keys()
        assert data.items() <= got["data"].items()


def test_the_example_of_the_documentation_is_true(hook: Hook) -> None:
    found = re.search(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    printed = re.search(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None
    assert printed is not None
    with short_dir() as where, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(where / "log"))
        text = found[1].replace("https://hooks.example.com/salt", hook.url)
        config = yaml.safe_load(text.replace("/dev/log", str(where / "log")))
        hook.start()
        with (
            GreensaltMaster(where, auto_accept=True, **config) as master,
            GreensaltMinion(where, "web1", master.ret_port),
        ):
            assert master.ask("web1", "test.ping") == {"web1": True}
            assert master.ask("web1", "test.echo", "hello") == {"web1": "hello"}
            master.child.wait_until(lambda: hook.taken, "a delivery", WAIT_S)
            (got,) = hook.taken
            assert hook.headers[0]["Authorization"] == "Bearer 3b1f0c"
            assert got.keys() == json.loads(printed[1])["returns"][0].keys()
            shown = json.loads(printed[1])["returns"][0]
            alike = ("id", "fun", "fun_args", "return", "retcode", "success")
            assert {key: got[key] for key in alike} == {key: shown[key] for key in alike}
            ear.settimeout(WAIT_S)
            lines = [ear.recv(9999).decode() for _ in range(2)]
            for words, output in commands(DOCUMENT):
                shown = partial(is_printed, master, words, output)
                master.child.wait_until(shown, f"the answer of {words}", WAIT_S)
        assert [json.loads(line.partition("]: ")[2])["fun"] for line in lines] == [
            "test.ping",
            "test.echo",
        ]
