"""A job reaches a minion that was away for a moment; with real sockets between real daemons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.server import StreamServer

from greensalt.config import MinionConfig
from greensalt.minion.daemon import Minion
from greensalt.transport.sockets import new_context
from tests._bench import Bench
from tests._daemons import free_port
from tests._peer import key

Make = Callable[..., Bench]


class Wire:
    """A connection between `port` and another one, that can be cut."""

    def __init__(self, to_port: int) -> None:
        self.port = free_port()
        self._to_port = to_port
        self._open: list[socket.socket] = []
        self._server: StreamServer | None = None
        self.mend()

    def mend(self) -> None:
        self._server = StreamServer(("127.0.0.1", self.port), self._carry)
        self._server.start()

    def cut(self) -> None:
        if self._server is not None:
            self._server.stop(timeout=0)
        self._server = None
        for sock in self._open:
            sock.close()
        self._open.clear()

    def _carry(self, sock: socket.socket, _address: object) -> None:
        other = socket.create_connection(("127.0.0.1", self._to_port))
        self._open += [sock, other]
        gevent.joinall([gevent.spawn(self._pump, *pair) for pair in ((sock, other), (other, sock))])

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass


class Join:
    """Makes started minions of a bench's master, all called m1; one at a time."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._context = new_context()
        self._present: Minion | None = None

    def __call__(self, master: Bench, **options: Any) -> Minion:
        config = MinionConfig.load(
            self._where / "conf",
            {
                "id": "m1",
                "root_dir": str(self._where / "m1"),
                "master": "127.0.0.1",
                "master_port": master.config.ret_port,
                "recon_default": 20,
                "recon_max": 50,
                "return_retry_timer": 1,
                "return_retry_timer_max": 1,
                **options,
            },
        )
        pem = config.pki_dir / "minion.pem"
        if not pem.exists():
            pem.parent.mkdir(mode=0o700, parents=True)
            pem.write_text(key(1).to_pem())
            pem.chmod(0o400)
        self._present = Minion(config, self._context)
        self._present.start()
        return self._present

    def leave(self) -> None:
        if self._present is not None:
            self._present.close()
        self._present = None

    def end(self) -> None:
        self.leave()
        self._context.destroy(linger=0)


@pytest.fixture
def join(short_dir: Path) -> Iterator[Join]:
    made = Join(short_dir)
    yield made
    made.end()


@pytest.fixture
def wire() -> Iterator[Callable[[Bench], Wire]]:
    made: list[Wire] = []

    def make(master: Bench) -> Wire:
        made.append(Wire(master.config.publish_port))
        return made[-1]

    yield make
    for each in made:
        each.cut()


def wait_until(look: Callable[[], object]) -> None:
    with gevent.Timeout(60):
        while not look():
            gevent.sleep(0.01)


def returned(master: Bench, jid: str) -> list[Any]:
    return [row["return"] for row in master.follow(jid)["load"]["returns"]]


def test_a_job_published_while_the_subscription_was_broken_runs_once(
    bench: Make, join: Join, wire: Callable[[Bench], Wire]
) -> None:
    master = bench(auto_accept=True)
    between = wire(master)
    minion = join(master, publish_port=between.port)
    between.cut()
    wait_until(lambda: not minion.link.is_up)
    jids = [master.job("m1", "test.echo", arg=[number]) for number in range(3)]
    between.mend()
    for number, jid in enumerate(jids):
        wait_until(lambda jid=jid: returned(master, jid))  # type: ignore[misc]  # bound at once
        assert returned(master, jid) == [number]
    asked = minion.missed.asked
    minion.missed.ask()
    assert minion.missed.asked == asked + 1
    assert (minion.inbox.counts["redelivered"], minion.executor.done) == (3, 3)


def test_a_job_published_during_a_minions_restart_runs_after_it(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    join(master)
    before = master.job("m1", "test.echo", arg=["before"])
    wait_until(lambda: returned(master, before))
    join.leave()
    meanwhile = master.job("m1", "test.echo", arg=["meanwhile"])
    again = join(master)
    wait_until(lambda: returned(master, meanwhile))
    assert returned(master, meanwhile) == ["meanwhile"]
    assert again.executor.done == 1


def test_a_minion_without_a_memory_gets_no_jobs_of_before_its_start(
    bench: Make, join: Join
) -> None:
    master = bench(auto_accept=True)
    minion = join(master)
    ran = master.job("m1", "test.ping")
    wait_until(lambda: returned(master, ran))
    join.leave()
    master.job("m1", "test.echo", arg=["meanwhile"])
    (minion.config.cachedir / "jobs").unlink()
    again = join(master)
    wait_until(lambda: again.missed.asked >= 2)
    assert again.executor.done == 0


def test_with_a_window_of_zero_nothing_is_asked_for(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    minion = join(master, job_redelivery_window=0)
    ran = master.job("m1", "test.ping")
    wait_until(lambda: returned(master, ran))
    assert minion.missed.asked == 0
