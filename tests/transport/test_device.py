"""The device answers every request that is one, whatever the peers do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import zmq

from greensalt.green.deferred import Deferred
from greensalt.transport.device import IDLE_MOST, Device, split_envelope
from greensalt.transport.sockets import Context, Socket, green_socket, new_context


@pytest.fixture
def context() -> Iterator[Context]:
    context = new_context()
    yield context
    context.destroy(linger=0)


class Bench:
    """A device on free addresses and peers that talk to it."""

    def __init__(self, context: Context, tmp_path: Path, **options: Any) -> None:
        self.context = context
        self.device = Device(context, self.handle, **options)
        self.ipc = f"ipc://{tmp_path}/workers.ipc"
        self.device.bind_workers("inproc://workers", self.ipc)
        self.address = self.device.bind_clients("tcp://127.0.0.1:0")
        self.device.start()
        self.gate = gevent.event.Event()
        self.gate.set()
        self.later: list[Deferred[bytes | None]] = []

    def handle(self, body: bytes, _connection: int = -1) -> bytes | Deferred[bytes | None]:
        if body == b"boom":
            raise ValueError(body)
        if body == b"later":
            self.later.append(Deferred())
            return self.later[-1]
        if body.startswith(b"wait"):
            self.gate.wait()
        return b"re:" + body

    def peer(self, kind: int, **options: int) -> Socket:
        sock = green_socket(self.context, kind)
        sock.linger = 0
        for name, value in options.items():
            setattr(sock, name, value)
        sock.connect(self.address)
        return sock


@pytest.fixture
def bench(context: Context, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(context, tmp_path, **options))
        return made[0]

    yield make
    for each in made:
        each.gate.set()
        each.device.stop(1.0)


def ask(sock: Socket, *frames: bytes) -> list[bytes]:
    sock.send_multipart(frames)
    with gevent.Timeout(60):
        return list(sock.recv_multipart())


def test_a_req_peer_gets_the_reply_to_its_own_request(bench: Callable[..., Bench]) -> None:
    peers = [bench().peer(zmq.REQ) for _ in range(1)]
    for number in range(200):
        assert ask(peers[0], b"%d" % number) == [b"re:%d" % number]


def test_correlated_and_proxied_envelopes_come_back_whole(bench: Callable[..., Bench]) -> None:
    made = bench()
    assert ask(made.peer(zmq.REQ, req_correlate=1, req_relaxed=1), b"a") == [b"re:a"]
    two_hops = ask(made.peer(zmq.DEALER), b"hop1", b"hop2", b"", b"b")
    assert two_hops == [b"hop1", b"hop2", b"", b"re:b"]


def test_malformed_messages_are_counted_and_harm_nobody(bench: Callable[..., Bench]) -> None:
    made = bench()
    dealer = made.peer(zmq.DEALER)
    for frames in ([b"alone"], [b"no", b"delimiter"], [b"", b"x", b"extra"], [b"a"] * 20):
        dealer.send_multipart(frames)
    assert ask(dealer, b"", b"ok") == [b"", b"re:ok"]
    assert made.device.malformed == 4


def test_a_handler_that_raises_is_answered_and_the_worker_lives(
    bench: Callable[..., Bench],
) -> None:
    req = bench(workers_most=1).peer(zmq.REQ)
    assert ask(req, b"boom") == [b""]
    assert ask(req, b"next") == [b"re:next"]


def test_no_request_waits_behind_a_busy_worker(bench: Callable[..., Bench]) -> None:
    made = bench()
    made.gate.clear()
    busy, quick = made.peer(zmq.DEALER), made.peer(zmq.REQ)
    for _ in range(50):
        busy.send_multipart([b"", b"wait"])
    assert ask(quick, b"quick") == [b"re:quick"]
    made.gate.set()
    with gevent.Timeout(60):
        assert [busy.recv_multipart()[1] for _ in range(50)] == [b"re:wait"] * 50


def test_a_full_queue_pushes_back_and_then_every_request_is_answered(
    bench: Callable[..., Bench],
) -> None:
    made = bench(workers_most=2, queue_most=10)
    made.gate.clear()
    dealer = made.peer(zmq.DEALER)
    for number in range(500):
        dealer.send_multipart([b"", b"wait%d" % number])
    with gevent.Timeout(60):
        while made.device.waiting < 10:
            gevent.sleep(0.001)
    assert made.device.waiting == 10
    made.gate.set()
    with gevent.Timeout(60):
        replies = {dealer.recv_multipart()[1] for _ in range(500)}
    assert replies == {b"re:wait%d" % number for number in range(500)}


def test_a_request_that_the_handler_drops_is_counted_and_not_answered(
    context: Context, tmp_path: Path
) -> None:
    made = Bench(context, tmp_path)
    made.device._handle = lambda body, _: None if body == b"drop" else body
    dealer = made.peer(zmq.DEALER)
    for body in (b"drop", b"kept"):
        dealer.send_multipart([b"", body])
    with gevent.Timeout(60):
        assert dealer.recv_multipart() == [b"", b"kept"]
    assert made.device.dropped == 1
    made.device.stop(1.0)


def test_stop_answers_what_was_accepted(context: Context, tmp_path: Path) -> None:
    made = Bench(context, tmp_path)
    made.gate.clear()
    dealer = made.peer(zmq.DEALER)
    for _ in range(30):
        dealer.send_multipart([b"", b"wait"])
    with gevent.Timeout(60):
        while made.device._busy + made.device.waiting < 30:
            gevent.sleep(0.001)
    gevent.spawn_later(0.1, made.gate.set)
    assert made.device.stop(60) == 0
    with gevent.Timeout(60):
        assert [dealer.recv_multipart()[1] for _ in range(30)] == [b"re:wait"] * 30


def test_a_reply_that_comes_later_holds_no_worker(bench: Callable[..., Bench]) -> None:
    made = bench(workers_most=1)
    dealer = made.peer(zmq.DEALER)
    for body in (b"later", b"later", b"now"):
        dealer.send_multipart([b"", body])
    with gevent.Timeout(5):
        assert dealer.recv_multipart() == [b"", b"re:now"]
    first, second = made.later
    second.resolve(b"second")
    first.resolve(None)
    with gevent.Timeout(5):
        assert dealer.recv_multipart() == [b"", b"second"]
    assert (made.device.served, made.device.dropped) == (3, 1)


def test_what_is_answered_later_counts_into_what_is_accepted(bench: Callable[..., Bench]) -> None:
    made = bench(queue_bytes_most=10)
    dealer = made.peer(zmq.DEALER)
    for body in (b"later", b"later", b"now"):
        dealer.send_multipart([b"", body])
    with gevent.Timeout(5):
        while len(made.later) < 2:
            gevent.sleep(0.001)
    gevent.sleep(0.05)
    assert made.device.served == 0  # ten bytes are in: the third is not read
    for each in made.later:
        each.resolve(b"done")
    with gevent.Timeout(5):
        replies = [dealer.recv_multipart()[1] for _ in range(3)]
    assert replies == [b"done", b"done", b"re:now"]


def test_stop_waits_for_what_is_answered_later(context: Context, tmp_path: Path) -> None:
    made = Bench(context, tmp_path)
    dealer = made.peer(zmq.DEALER)
    for _ in range(2):
        dealer.send_multipart([b"", b"later"])
    with gevent.Timeout(5):
        while len(made.later) < 2:
            gevent.sleep(0.001)
    gevent.spawn_later(0.1, made.later[0].resolve, b"done")
    assert made.device.stop(0.5) == 1
    with gevent.Timeout(5):
        assert dealer.recv_multipart() == [b"", b"done"]


def test_workers_that_are_no_longer_needed_end(bench: Callable[..., Bench]) -> None:
    made = bench()
    made.gate.clear()
    dealer = made.peer(zmq.DEALER)
    for _ in range(3 * IDLE_MOST):
        dealer.send_multipart([b"", b"wait"])
    with gevent.Timeout(5):
        while made.device._busy < 3 * IDLE_MOST:
            gevent.sleep(0.001)
        made.gate.set()
        for _ in range(3 * IDLE_MOST):
            assert dealer.recv_multipart()[1] == b"re:wait"
    assert ask(made.peer(zmq.REQ), b"next") == [b"re:next"]
    assert made.device._workers == len(made.device._idle) == IDLE_MOST


@pytest.mark.parametrize(
    ("frames", "split"),
    [
        ([b"id", b"", b"body"], ([b"id", b""], b"body")),
        ([b"id", b"req", b"", b"body"], ([b"id", b"req", b""], b"body")),
        ([b"id", b"body"], None),
        ([b"id", b"", b"body", b"more"], None),
        ([b"id", b"", b"", b"body"], None),
        ([b"id"] * 30 + [b"", b"body"], None),
    ],
)
def test_an_envelope_ends_with_its_empty_frame(
    frames: list[bytes], split: tuple[list[bytes], bytes] | None
) -> None:
    assert split_envelope(frames) == split
