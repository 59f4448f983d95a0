"""Real daemons under attack and under load: what they promise holds, and they end in order."""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import gevent
import psutil
import pytest

from greensalt.client import LocalClient
from greensalt.errors import GreensaltError
from greensalt.transport.request import ReqChannel
from greensalt.wire.envelope import clear_request
from tests._daemons import READY_S, GreensaltMaster, GreensaltMinion, short_dir
from tests._load import MIB, end_s
from tests._zmtp import GREETING, MORE, Wire, frame, message

BAD_SIGNS = ("Traceback", "CRITICAL", "without its doorbell", "does not end")


@pytest.fixture
def master() -> Iterator[GreensaltMaster]:
    with short_dir() as where, GreensaltMaster(where, auto_accept=True) as made:
        yield made


def log_is_clean(master: GreensaltMaster) -> None:
    text = master.log.read_text(errors="replace")
    assert [sign for sign in BAD_SIGNS if sign in text] == []


def test_a_master_under_attack_serves_on_and_keeps_its_size(master: GreensaltMaster) -> None:
    with GreensaltMinion(master.dir.parent, "one", master.ret_port):
        assert master.ask("*", "test.ping") == {"one": True}
        process = psutil.Process(master.child.pid)
        before, descriptors = process.memory_info().rss, process.num_fds()
        for port in (master.ret_port, master.publish_port):
            attack(f"tcp://127.0.0.1:{port}")
        assert master.ask("*", "test.ping") == {"one": True}
        master.child.wait_until(lambda: process.num_fds() <= descriptors + 3, "closed", READY_S)
        assert process.memory_info().rss - before < 60 * MIB
    log_is_clean(master)


def attack(address: str) -> None:
    """What somebody may do who can reach the port, in small."""
    garbage = (b"GET / HTTP/1.0\r\n\r\n" * 50, b"\xff" * 1000, bytes(1000), os.urandom(5000))
    for data in garbage:
        with Wire(address) as wire, suppress(OSError):
            wire.send(data)
    for kind in ("REQ", "DEALER", "SUB", "ROUTER", "PUB", "NONSENSE", ""):
        with Wire(address) as wire, suppress(OSError):
            wire.greet(kind)
            wire.send(frame(b"x" * 300, MORE) * 200 + message(b"", b"\x01" * 200, b"y" * 70_000))
            wire.send(b"\x02" + (1 << 40).to_bytes(8, "big") + b"a terabyte is announced")
    half_open = [Wire(address) for _ in range(300)]
    for place, wire in enumerate(half_open):
        wire.send(GREETING[: place % len(GREETING)])
    for wire in half_open:
        wire.sock.close()
    for _ in range(1000):
        with Wire(address):
            pass


def test_a_stop_under_load_leaves_nothing_accepted_unanswered(master: GreensaltMaster) -> None:
    """Every return that the master said it has is there after its restart; it ends in time."""
    address = f"tcp://127.0.0.1:{master.ret_port}"
    stopping = False
    unanswered = 0

    def ask() -> None:
        nonlocal unanswered
        channel = ReqChannel(address)
        while not stopping:
            try:
                channel.request(clear_request({"cmd": "ping"}), 3)
            except GreensaltError:
                unanswered += 1
                break
        channel.close()

    clients = [gevent.spawn(ask) for _ in range(50)]
    stuck = [stuck_peer(address) for _ in range(3)]
    gevent.sleep(0.5)
    took_s = end_s(master.child)
    stopping = True
    assert master.child.returncode == 0
    assert took_s < 2
    gevent.killall(clients)
    for sock in stuck:
        sock.close()
    assert "could not be answered" not in master.child.text()
    log_is_clean(master)


def stuck_peer(address: str) -> socket.socket:
    """A peer that asks for much and reads nothing of it."""
    wire = Wire(address).greet("DEALER")
    body = clear_request({"cmd": "ping", "x": "x" * 30_000})
    wire.sock.settimeout(0.3)
    with suppress(TimeoutError):
        wire.send(message(b"", body) * 400)
    return wire.sock


def test_a_stopped_minion_delays_nobody_and_goes_on_later(master: GreensaltMaster) -> None:
    where = master.dir.parent
    with (
        GreensaltMinion(where, "one", master.ret_port) as one,
        GreensaltMinion(where, "two", master.ret_port) as two,
    ):
        os.kill(two.child.pid, signal.SIGSTOP)
        with LocalClient(master.dir) as client:
            jid = client.cmd_async("*", "test.echo", ["x"])
            one.child.wait_until(
                lambda: set(client.get_cache_returns(jid)) == {"one"}, "one's result", READY_S
            )
            os.kill(two.child.pid, signal.SIGCONT)
            two.child.wait_until(
                lambda: set(client.get_cache_returns(jid)) == {"one", "two"}, "all", READY_S
            )
    log_is_clean(master)


def test_a_minion_killed_with_results_in_its_outbox_delivers_each_once(
    master: GreensaltMaster, tmp_path: Path
) -> None:
    """Master stopped, minion killed, twice: results of many jobs arrive, none twice."""
    with GreensaltMinion(master.dir.parent, "one", master.ret_port) as minion:
        outbox = minion.root / "var/cache/salt/minion/outbox"
        gate = tmp_path / "gate"
        with LocalClient(master.dir) as client:
            wait = f"until [ -e {gate} ]; do sleep 0.05; done; echo"
            jids = [client.cmd_async("one", "cmd.run", [f"{wait} {n}"]) for n in range(8)]
        for jid in jids:
            minion.child.wait_for(f"job {jid}", READY_S)
        os.kill(master.child.pid, signal.SIGSTOP)  # takes connections in, answers nothing
        gate.touch()
        minion.child.wait_until(lambda: len(list(outbox.glob("*.p"))) == 8, "results", READY_S)
        for _ in range(2):
            minion.kill()
            minion.start(wait=False)
            minion.child.wait_for("results of an earlier run", READY_S)
        os.kill(master.child.pid, signal.SIGCONT)
        minion.child.wait_until(lambda: not any(outbox.iterdir()), "an empty outbox", READY_S)
        with LocalClient(master.dir) as client:
            for n, jid in enumerate(jids):
                assert {i: r["ret"] for i, r in client.get_cache_returns(jid).items()} == {
                    "one": str(n)
                }
    log_is_clean(master)


def test_a_master_on_a_full_disk_says_so_and_keeps_what_comes_when_there_is_room(
    master: GreensaltMaster,
) -> None:
    with (
        GreensaltMinion(
            master.dir.parent,
            "one",
            master.ret_port,
            return_retry_timer=1,
            return_retry_timer_max=1,
        ) as minion,
        LocalClient(master.dir) as client,
    ):
        jid = client.cmd_async("one", "cmd.run", ["sleep 0.3; echo kept"])
        minion.child.wait_for(f"job {jid}", READY_S)
        limits = resource.prlimit(master.child.pid, resource.RLIMIT_FSIZE, (0, -1))
        minion.child.wait_for("was not acknowledged", READY_S)
        resource.prlimit(master.child.pid, resource.RLIMIT_FSIZE, limits)
        minion.child.wait_until(
            lambda: client.get_cache_returns(jid).get("one", {}).get("ret") == "kept",
            "the result",
            READY_S,
        )
