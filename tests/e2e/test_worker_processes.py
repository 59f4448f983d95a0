"""Worker processes of a real master: they do the work, and their death loses nothing of it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from greensalt.cli.children import Child
from greensalt.crypto.handshake import open_pillar_reply
from greensalt.transport.addresses import master_event_pub
from greensalt.transport.bus import BusClient
from greensalt.wire.envelope import (
    DEFAULT_ENC_ALGO,
    DEFAULT_SIG_ALGO,
    PillarReply,
    encrypted_request,
    parse_reply,
)
from tests._daemons import BIN, READY_S, GreensaltMaster, run
from tests._peer import TIMEOUT_S, Peer

CLIENTS = 12
SERVES = r"serves ipc://"


@pytest.fixture
def master(short_dir: Path) -> Iterator[GreensaltMaster]:
    """A master that is not started yet, with a pillar and a file."""
    master = GreensaltMaster(
        short_dir,
        auto_accept=True,
        pillar_roots={"base": [f"{short_dir}/m/r/srv/pillar"]},
        file_roots={"base": [f"{short_dir}/m/r/srv/salt"]},
    )
    for folder in ("srv/pillar", "srv/salt"):
        (master.root / folder).mkdir(parents=True)
    (master.root / "srv/pillar/top.sls").write_text("base: {'*': [data]}\n")
    write_pillar(master, 1)
    (master.root / "srv/salt/big").write_bytes(b"x" * 3_000_000)
    yield master
    master.stop()


def write_pillar(master: GreensaltMaster, version: int) -> None:
    numbers = "{% for n in range(500) %}n{{ n }}: {{ n * n }}\n{% endfor %}"
    text = f"version: {version}\nwho: {{{{ grains.id }}}}\n{numbers}"
    (master.root / "srv/pillar/data.sls").write_text(text)


def start(master: GreensaltMaster, processes: int) -> list[int]:
    """Start a master; the pids of its worker processes, once they have attached."""
    master.config["worker_processes"] = processes
    master.write_config()
    master.start()
    return wait_workers(master, processes) if processes else []


def wait_workers(master: GreensaltMaster, count: int) -> list[int]:
    """The pids of all worker processes so far, once there are `count`."""
    master.child.wait_for(SERVES, READY_S, count=count)
    return [int(pid) for pid in re.findall(r"worker (\d+) serves", master.child.text())]


def peer(master: GreensaltMaster, minion_id: str = "m1") -> Peer:
    made = Peer(f"tcp://127.0.0.1:{master.ret_port}", minion_id)
    made.sign_in()
    return made


def pillar(made: Peer, **grains: object) -> dict[str, object]:
    """The pillar of a minion, opened."""
    load = made.load("_pillar", grains={"os": "x", **grains}, saltenv=None, ver="2")
    packet = made.session.dumps(load)
    body = encrypted_request(made.id, packet, DEFAULT_ENC_ALGO, DEFAULT_SIG_ALGO)
    reply = parse_reply(made.channel.request(body, TIMEOUT_S))
    assert isinstance(reply, PillarReply)
    master_key = made.answer.master_key
    return open_pillar_reply(reply, load["nonce"], minion_key=made.key, master_key=master_key)


def done_by(master: GreensaltMaster) -> set[int]:
    """The pids of the worker processes that have said that they did something."""
    return {int(pid) for pid in re.findall(r"worker (\d+) did ", master.child.text())}


def listener(master: GreensaltMaster, prefix: str) -> BusClient:
    sock_dir = master.root / "var/run/salt/master"
    client = BusClient(master_event_pub(sock_dir))
    client.subscribe(prefix)
    client.sync(READY_S)
    return client


def test_worker_processes_serve_pillars_and_files(master: GreensaltMaster) -> None:
    pids = start(master, 2)
    client = peer(master)
    events = listener(master, "minion/refresh/")
    for number in range(6):
        answer = pillar(client, number=number)
        assert (answer["version"], answer["who"], answer["n7"]) == (1, "m1", 49)
    assert len(client.request("_serve_file", path="big", saltenv="base", loc=0)["data"]) > 1_000_000
    assert client.request("_file_list", saltenv="base", prefix="") == ["big"]
    assert done_by(master) == set(pids)
    # What is left to the master happened once for each.
    heard = [events.next(READY_S) for _ in range(6)]
    assert [tag for tag, _ in filter(None, heard)] == ["minion/refresh/m1"] * 6
    assert events.next(0.2) is None
    asked = master.run_cli("-I", "n7:49", "test.ping", "--async", "-v")
    assert asked.returncode == 0, asked.stderr  # the cached pillar names the minion
    events.close()
    client.close()


def test_a_changed_pillar_file_is_seen_in_each_process(master: GreensaltMaster) -> None:
    start(master, 2)
    client = peer(master)
    for version in range(2, 5):
        write_pillar(master, version)
        assert {pillar(client)["version"] for _ in range(8)} == {version}
    client.close()


def test_a_new_sign_in_with_another_session_key_is_served(master: GreensaltMaster) -> None:
    """A worker keeps nothing of a session: what is rotated in the master is rotated."""
    start(master, 1)
    client = peer(master)
    assert pillar(client)["version"] == 1
    session = client.session.key_string
    (master.cache_dir / "sessions" / "m1").unlink()
    master.key("-d", "m1", "-y")
    assert client.request("_file_list", saltenv="base", prefix="") == "bad load"
    client.sign_in()
    assert client.session.key_string != session
    assert pillar(client)["version"] == 1
    client.close()


def test_kill_9_of_worker_processes_under_load_loses_no_request(master: GreensaltMaster) -> None:
    pids = start(master, 2)
    clients = [peer(master, f"m{number}") for number in range(CLIENTS)]
    answered = dict.fromkeys(range(CLIENTS), 0)
    until = gevent.event.Event()

    def load(number: int) -> None:
        turn = 0
        while not until.is_set():
            turn += 1
            answer = pillar(clients[number], turn=turn)
            assert (answer["who"], answer["version"]) == (f"m{number}", 1)
            answered[number] += 1

    loads = [gevent.spawn(load, number) for number in range(CLIENTS)]

    def more(count: int) -> None:
        goals = {number: done + count for number, done in answered.items()}
        while any(answered[number] < goal for number, goal in goals.items()):
            assert not any(each.ready() for each in loads)  # a request without an answer
            gevent.sleep(0.01)

    with gevent.Timeout(120):
        for deaths in range(1, 4):
            more(2)
            os.kill(pids[-1], signal.SIGKILL)  # the youngest: the one of the last turn
            more(2)
            pids = wait_for_restart(master, 2 + deaths)
        more(2)
        until.set()
        gevent.joinall(loads, raise_error=True)
    assert "is started again in" in master.child.text()
    assert "requests are done here" in master.child.text()
    for client in clients:
        client.close()


def wait_for_restart(master: GreensaltMaster, count: int) -> list[int]:
    while len(found := re.findall(r"worker (\d+) serves", master.child.text())) < count:
        gevent.sleep(0.02)
    return [int(pid) for pid in found]


def test_worker_processes_end_with_their_master_however_it_ends(master: GreensaltMaster) -> None:
    pids = start(master, 2)
    os.kill(master.child.pid, signal.SIGKILL)
    for pid in pids:
        wait_gone(pid)
    master.child.wait(READY_S)
    master.start()
    pids = wait_workers(master, 2)
    assert master.stop() == 0
    for pid in pids:
        wait_gone(pid)


def wait_gone(pid: int) -> None:
    with gevent.Timeout(READY_S):
        while Path(f"/proc/{pid}").exists() and "Z" not in state(pid):
            gevent.sleep(0.02)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def next_figures(events: BusClient) -> dict[str, Any]:
    """What the master itself tells next."""
    while True:
        _, data = events.next(READY_S) or ("", {})
        if data["worker"] == "MWorker-default-0":
            return data


def test_every_process_tells_its_figures_on_the_bus(master: GreensaltMaster) -> None:
    master.config.update(master_stats=True, master_stats_event_iter=0.3)
    start(master, 1)
    events = listener(master, "salt/stats/")
    client = peer(master)
    seen: dict[str, dict[str, Any]] = {}
    while not all("_pillar" in seen.get(f"MWorker-default-{n}", {}) for n in (0, 1)):
        assert pillar(client)["version"] == 1
        tag, data = events.next(READY_S) or ("", {})
        assert tag == f"salt/stats/{data['worker']}"
        assert data["time"] >= 0.3
        assert data["hub"]["late"]["p50"] <= data["hub"]["late"]["max"]
        seen.setdefault(data["worker"], {}).update(data["stats"])
    for _ in range(2):  # the next one may have been on its way: now nothing is asked any more
        figures = next_figures(events)
    assert all(each["_pillar"]["runs"] >= 1 for each in seen.values())
    assert all(each["_pillar"]["mean"] > 0 for each in seen.values())
    assert figures["lanes"]["pillar"]["queued"]["count"] == figures["lanes"]["pillar"]["served"]
    assert figures["device"]["outside"]["asked"] == figures["workers"]["served"]["_pillar"]
    events.close()
    client.close()


def test_a_worker_started_by_hand_attaches_and_detaches(master: GreensaltMaster) -> None:
    start(master, 0)
    client = peer(master)
    argv = [str(BIN / "greensalt"), "worker", "-c", str(master.dir), "-l", "debug"]
    worker = Child("worker", argv, master.dir / "worker.log")
    worker.start()
    try:
        worker.wait_for(SERVES, READY_S)
        with gevent.Timeout(READY_S):
            turn = 0
            while not re.search(r"worker \d+ did ", worker.text()):
                turn += 1
                assert pillar(client, turn=turn)["version"] == 1
    finally:
        assert worker.stop() == 0
    assert pillar(client, turn=0)["version"] == 1
    client.close()


def test_a_worker_with_another_configuration_is_refused(master: GreensaltMaster) -> None:
    argv = (BIN / "greensalt", "worker", "-c", master.dir)
    early = run(*argv)
    assert early.returncode == 1
    assert "no master has been here" in early.stderr
    start(master, 0)
    master.config["pillar_merge_lists"] = True
    master.config["log_level"] = "info"  # which is a matter of each process
    master.write_config()
    refused = run(*argv)
    assert refused.returncode == 1
    assert "do not agree on the options pillar_merge_lists\n" in refused.stderr


def test_a_worker_ends_when_its_master_comes_back_with_another_configuration(
    master: GreensaltMaster,
) -> None:
    start(master, 0)
    argv = [str(BIN / "greensalt"), "worker", "-c", str(master.dir), "-l", "debug"]
    worker = Child("worker", argv, master.dir / "worker.log")
    worker.start()
    try:
        worker.wait_for(SERVES, READY_S)
        master.stop()
        master.config["pillar_merge_lists"] = True
        master.write_config()
        master.start()
        client = peer(master)
        with gevent.Timeout(READY_S):
            turn = 0
            while worker.alive:
                turn += 1
                assert pillar(client, turn=turn)["version"] == 1  # all the same
        assert worker.returncode == 1
        assert "another version or configuration" in worker.text()
        client.close()
    finally:
        worker.stop()
