"""`_pillar` on the wire: docs/protocol.md 4.4, 6.2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from greensalt.crypto.handshake import open_pillar_reply
from greensalt.wire.envelope import (
    DEFAULT_ENC_ALGO,
    DEFAULT_SIG_ALGO,
    PillarReply,
    encrypted_request,
    parse_reply,
)
from tests._bench import Bench
from tests._peer import TIMEOUT_S, Peer, key
from tests.master.pillar._compiling import write_tree

Make = Callable[..., Bench]

TREE = {
    "top.sls": "base: {'*': [all], 'role:db': [{match: grain}, db]}",
    "all.sls": "you: {{ grains.id }}\nsecret: of-{{ grains.id }}\nrole: {{ grains.get('role', 'none') }}",  # noqa: E501
    "db.sls": "password: hunter2",
}


def pillar_of(peer: Peer, **fields: Any) -> dict[str, Any]:
    """The pillar that a request gets, opened as a minion does."""
    load = peer.load("_pillar", **{"grains": {}, "saltenv": None, "ver": "2", **fields})
    packet = peer.session.dumps(load)
    body = encrypted_request(peer.id, packet, DEFAULT_ENC_ALGO, DEFAULT_SIG_ALGO)
    reply = parse_reply(peer.channel.request(body, TIMEOUT_S))
    assert isinstance(reply, PillarReply)
    return open_pillar_reply(reply, load["nonce"], minion_key=peer.key, master_key=key(99).public)


@pytest.fixture
def made(bench: Make, tmp_path: Path) -> Bench:
    write_tree(tmp_path, TREE)
    return bench(auto_accept=True, pillar_roots={"base": [str(tmp_path)]})


def test_a_minion_gets_the_pillar_of_its_grains(made: Bench) -> None:
    peer = made.peer("m1")
    assert pillar_of(peer) == {"you": "m1", "secret": "of-m1", "role": "none"}
    assert pillar_of(peer, grains={"role": "db"})["password"] == "hunter2"


def test_a_minion_gets_nobody_elses_pillar(made: Bench) -> None:
    """Neither the load's id nor the grains say who asks: the session does."""
    made.peer("m2")
    peer = made.peer("m1", 1)
    assert pillar_of(peer, grains={"id": "m2"})["secret"] == "of-m1"
    assert pillar_of(peer, grains={}, minion_id="m2", ext={"git": ["x"]})["secret"] == "of-m1"
    refused = peer.send_load(peer.load("_pillar", grains={}, id="m2"))
    assert refused == "bad load"


def test_the_request_overrides_last(made: Bench) -> None:
    pillar = pillar_of(made.peer("m1"), pillar_override={"you": "cli", "new": [1]})
    assert pillar["you"] == "cli"
    assert pillar["new"] == [1]


def test_errors_come_in_the_pillar(made: Bench, tmp_path: Path) -> None:
    write_tree(tmp_path, {"all.sls": "a: {{ nothing }}"})
    assert pillar_of(made.peer("m1")) == {
        "_errors": ["Rendering SLS 'all' failed. Please see master log for details."]
    }


def test_jobs_can_be_sent_by_pillar(made: Bench) -> None:
    pillar_of(made.peer("m1"), grains={"role": "db"})
    pillar_of(made.peer("m2", 1))
    reply = made.publish("password:hunter2", tgt_type="pillar")
    assert reply["load"]["minions"] == ["m1"]


@pytest.mark.parametrize("environment", [7, ["base"], "x" * 300])
def test_an_environment_that_is_no_name_is_refused(made: Bench, environment: Any) -> None:
    peer = made.peer("m1")
    assert peer.request("_pillar", grains={}, pillarenv=environment) == ""
    assert peer.request("_pillar", grains=7) == ""


def test_nobody_waits_while_a_pillar_is_compiled(bench: Make, tmp_path: Path) -> None:
    plugin = (
        "import pathlib, time\n"
        "def ext_pillar(minion_id, pillar, gate):\n"
        "    while not pathlib.Path(gate).exists():\n        time.sleep(0.01)\n"
        "    return {'passed': True}\n"
    )
    write_tree(tmp_path, {"ext/pillar/gate.py": plugin})
    made = bench(
        auto_accept=True,
        pillar_roots={"base": [str(tmp_path)]},
        extension_modules=str(tmp_path / "ext"),
        ext_pillar=[{"gate": str(tmp_path / "open")}],
    )
    slow, other = made.peer("m1"), made.peer("m2", 1)
    asking = gevent.spawn(pillar_of, slow)
    for _ in range(20):
        assert other.request("_mine_flush") is False
    assert not asking.ready()
    (tmp_path / "open").touch()
    assert asking.get(timeout=TIMEOUT_S)["passed"] is True
