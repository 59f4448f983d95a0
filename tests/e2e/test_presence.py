"""Presence with real minions: killed, stopped, cut off, and after a restart of the master."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests._daemons import BIN, READY_S, GreensaltMaster, GreensaltMinion, run, short_dir
from tests._proxy import Proxy

# A process of a busy machine may be away for a second, and is not down for that.
OPTIONS: dict[str, Any] = {"zmq_heartbeat_ivl": 300, "zmq_heartbeat_timeout": 2000}


def manage(master: GreensaltMaster, what: str, *args: str) -> Any:
    """The result of a function of the runner `manage`."""
    options = ("-c", master.dir, "--out=json")
    done = run(BIN / "greensalt", "run", *options, f"manage.{what}", *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def up(master: GreensaltMaster, minion: str) -> dict[str, str]:
    """How the master knows that the minion is up; empty if it is not."""
    answer: dict[str, str] = manage(master, "up", f"tgt={minion}", "how=True")
    return answer


def until(master: GreensaltMaster, minion: str, is_up: bool) -> None:
    master.child.wait_until(
        lambda: bool(up(master, minion)) is is_up or None, f"{minion} up: {is_up}", READY_S
    )


@pytest.fixture(scope="module")
def master() -> Iterator[GreensaltMaster]:
    with short_dir() as where, GreensaltMaster(where, auto_accept=True, **OPTIONS) as made:
        yield made


def test_a_killed_minion_is_down_and_one_that_comes_back_is_up(master: GreensaltMaster) -> None:
    with GreensaltMinion(master.dir, "killed", master.ret_port) as minion:
        until(master, "killed", True)
        assert up(master, "killed") == {"killed": "connected"}
        minion.kill()
        until(master, "killed", False)
        assert manage(master, "status", "tgt=killed") == {"up": [], "down": ["killed"]}
        minion.start()
        until(master, "killed", True)


def test_a_minion_that_hangs_is_down_as_soon_as_its_heartbeats_fail(
    master: GreensaltMaster,
) -> None:
    with GreensaltMinion(master.dir, "hangs", master.ret_port) as minion:
        until(master, "hangs", True)
        os.kill(minion.child.pid, signal.SIGSTOP)
        try:
            until(master, "hangs", False)
        finally:
            os.kill(minion.child.pid, signal.SIGCONT)
        until(master, "hangs", True)


def test_a_minion_behind_a_cut_is_down_until_the_cut_is_mended(master: GreensaltMaster) -> None:
    with (
        Proxy(master.ret_port) as proxy,
        GreensaltMinion(master.dir, "far", proxy.port) as minion,
    ):
        until(master, "far", True)
        proxy.cut()
        until(master, "far", False)
        assert manage(master, "down", "tgt=far") == ["far"]
        proxy.mend()
        assert master.ask("far", "test.ping") == {"far": True}
        assert up(master, "far") == {"far": "connected"}
        assert minion.sign_ins() == 1


def test_after_a_restart_of_the_master_its_minions_are_known_at_once(
    master: GreensaltMaster,
) -> None:
    with GreensaltMinion(master.dir, "stays", master.ret_port) as minion:
        until(master, "stays", True)
        master.restart()
        master.child.wait_until(
            lambda: up(master, "stays") == {"stays": "connected"} or None,
            "the hello of a minion",
            READY_S,
        )
        assert minion.sign_ins() == 1
