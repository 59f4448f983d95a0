"""Peers that break the rules of the wire, or keep none of its manners, harm nobody else."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
import psutil
import pytest
import zmq
from gevent.event import Event

from greensalt.green import offload
from greensalt.transport.device import Device
from greensalt.transport.publish import Publisher
from greensalt.transport.sockets import Context, Socket, green_socket, new_context
from tests._load import MIB, Turns, loop_turns, rss, wait_for
from tests._zmtp import MORE, Wire, frame, message


@pytest.fixture
def context() -> Iterator[Context]:
    context = new_context()
    with gevent.Timeout(60):
        yield context
    context.destroy(linger=0)


class Bench:
    """A device on free addresses; requests that begin with "wait" wait for `gate`."""

    def __init__(self, context: Context, where: Path, **options: Any) -> None:
        self.context = context
        self.device = Device(context, self.handle, **options)
        self.device.bind_workers("inproc://workers", f"ipc://{where}/workers.ipc")
        self.address = self.device.bind_clients("tcp://127.0.0.1:0")
        self.device.start()
        self.gate = Event()
        self.gate.set()

    def handle(self, body: bytes, _connection: int) -> bytes:
        if body.startswith(b"wait"):
            self.gate.wait()
        return b"re:" + body

    def ask(self, body: bytes) -> bytes:
        """The reply to somebody well-behaved."""
        peer = self.peer(zmq.REQ)
        peer.send(body)
        with gevent.Timeout(60):
            reply: bytes = peer.recv()
        peer.close()
        return reply

    def peer(self, kind: int) -> Socket:
        sock = green_socket(self.context, kind)
        sock.linger = 0
        sock.connect(self.address)
        return sock


@pytest.fixture
def bench(context: Context, short_dir: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(context, short_dir, **options))
        return made[-1]

    yield make
    for each in made:
        each.gate.set()
        if not each.device.clients.closed:
            each.device.stop(1.0)


def _turns(seconds: float) -> int:
    before = loop_turns()
    gevent.sleep(seconds)
    return loop_turns() - before


def test_a_device_that_holds_back_does_not_spin(bench: Callable[..., Bench]) -> None:
    usual = _turns(1.3)  # the timers that other tests have left behind
    made = bench(workers_most=1, queue_most=1)
    made.gate.clear()
    dealer = made.peer(zmq.DEALER)
    for number in range(5):
        dealer.send_multipart([b"", b"wait%d" % number])
    wait_for(lambda: made.device.waiting == 1)
    others = [made.peer(zmq.REQ) for _ in range(3)]  # connections ring the doorbell, too
    for other in others:
        other.send(b"more")
    gevent.sleep(0.05)
    assert _turns(1.3) < usual + 50  # hundreds or thousands when it spins
    assert made.device.missed == 0
    made.gate.set()
    with gevent.Timeout(60):
        assert [dealer.recv_multipart()[1] for _ in range(5)] == [
            b"re:wait%d" % number for number in range(5)
        ]
        assert [other.recv() for other in others] == [b"re:more"] * 3


def test_a_message_of_very_many_frames_stops_nobody(bench: Callable[..., Bench]) -> None:
    made = bench()
    with Wire(made.address).greet("DEALER") as wire, Turns() as hub:
        for _ in range(4):
            wire.send(frame(b"x", MORE) * 100_000)
        wire.send(message(b"", b"end") + message(b"", b"next"))
        assert made.ask(b"well-behaved") == b"re:well-behaved"
        wait_for(lambda: made.device.malformed == 1)
        reply = message(b"", b"re:next")
        assert wire.read(len(reply)) == reply
    assert hub.longest_s < hub.total_s / 4  # nearly all of it when it is read at once


def test_who_does_not_read_replies_does_not_fill_the_memory(bench: Callable[..., Bench]) -> None:
    made = bench()
    assert made.ask(b"first") == b"re:first"
    before = rss()
    with Wire(made.address).greet("DEALER") as wire:
        for _ in range(4000):
            wire.send(message(b"", bytes(40_000)))
        wait_for(lambda: made.device.served == 4001)
        assert rss() - before < 80 * MIB  # 160 MB were sent


def test_requests_that_wait_are_bounded_in_bytes(bench: Callable[..., Bench]) -> None:
    made = bench(queue_bytes_most=4 * MIB)
    made.gate.clear()
    requests = message(b"", b"wait" + bytes(MIB)) * 100
    before = rss()
    with Wire(made.address).greet("DEALER") as wire:
        sender = gevent.spawn(wire.send, requests)
        gevent.sleep(0.5)
        assert made.device.served == 0
        assert not sender.ready()
        assert rss() - before < 50 * MIB
        made.gate.set()
        reader = gevent.spawn(wire.read, 200 * MIB)
        wait_for(lambda: made.device.served == 100)
        reader.kill()
        sender.kill()


def test_a_peer_that_is_not_zmtp_is_dropped(bench: Callable[..., Bench]) -> None:
    made = bench()
    for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20, bytes(500), b"\xff" * 500):
        with Wire(made.address) as wire:
            wire.send(garbage)
            assert made.ask(b"x") == b"re:x"
    with Wire(made.address).greet("PUB") as wire:
        assert wire.is_closed()


def test_connections_opened_and_dropped_leave_no_descriptor(bench: Callable[..., Bench]) -> None:
    made = bench()
    made.ask(b"x")
    process = psutil.Process()
    before = process.num_fds()
    for round_ in range(5):
        wires = [Wire(made.address) for _ in range(200)]
        for place, wire in enumerate(wires):
            if place % 3 == 0:
                wire.greet("REQ")
                wire.send(message(b"", b"wait") if place % 2 else frame(b"", MORE))
            elif place % 3 == 1:
                wire.send(b"\xff\0\0")
        for wire in wires:
            wire.sock.close()
        assert made.ask(b"round %d" % round_) == b"re:round %d" % round_
    wait_for(lambda: process.num_fds() <= before + 2)


def test_one_identity_for_many_connections_harms_nobody(bench: Callable[..., Bench]) -> None:
    # Who takes an identity over cuts off the one that had it, with what had not been read of it
    # by then. How many of the older are served is chance; the newest is, and everybody else.
    made = bench()
    wires = []
    for number in range(100):
        wire = Wire(made.address).greet("DEALER", b"same")
        wire.send(message(b"", b"%d" % number))
        wires.append(wire)
    assert made.ask(b"x") == b"re:x"
    newest = message(b"", b"re:99")
    assert wires[-1].read(len(newest)) == newest
    for wire in wires:
        wire.sock.close()
    assert made.ask(b"y") == b"re:y"


@pytest.fixture
def publisher(context: Context, short_dir: Path) -> Iterator[tuple[Publisher, str]]:
    made = Publisher(context, hwm=1000, backlog=100)
    address = made.bind("tcp://127.0.0.1:0", f"ipc://{short_dir}/pull.ipc")
    made.start()
    yield made, address
    made.stop()


def test_a_subscriber_cant_make_the_publisher_remember_much(
    publisher: tuple[Publisher, str], context: Context, short_dir: Path
) -> None:
    _, address = publisher
    push = green_socket(context, zmq.PUSH)
    push.connect(f"ipc://{short_dir}/pull.ipc")
    before = rss()
    with Wire(address).greet("SUB") as wire:
        with suppress(ConnectionError):
            wire.send(frame(b"\x01" + bytes(range(256)) * 40_000))
        for _ in range(20):
            push.send(b"job")
            gevent.sleep(0.01)
        assert wire.is_closed()
    assert rss() - before < 30 * MIB
    with Wire(address).greet("SUB") as wire:
        wire.send(frame(b"\x01"))
        wait_for(lambda: _arrives(push, wire))
    push.close(0)


def _arrives(push: Socket, wire: Wire) -> bool:
    push.send(b"job")
    wire.sock.settimeout(0.1)
    try:
        return wire.read(5) == message(b"job")
    except TimeoutError:
        return False


def test_a_stop_in_the_middle_of_load_answers_what_was_accepted(
    bench: Callable[..., Bench],
) -> None:
    """New requests all the time must not keep the device from coming to an end."""
    made = bench(workers_most=20)
    handled: list[bytes] = []
    answered: list[bytes] = []

    def handle(body: bytes, _connection: int) -> bytes:
        gevent.sleep(0.02)
        handled.append(body)
        return body

    def load(name: int) -> None:
        sock = made.peer(zmq.REQ)
        for number in range(10_000):
            sock.send(b"%d/%d" % (name, number))
            answered.append(sock.recv())

    made.device._handle = handle
    clients = [gevent.spawn(load, name) for name in range(40)]
    wait_for(lambda: len(answered) > 100)
    before = len(handled)
    assert made.device.stop(30) == 0
    # What came in the moment of the last call, and one more of each: not what came ever after.
    assert len(handled) - before < 400
    wait_for(lambda: sorted(answered) == sorted(handled))
    gevent.killall(clients)


class Large(bytearray):
    """Something whose end can be noticed."""


def test_what_was_passed_to_a_failed_call_is_free_soon() -> None:
    def fail(_: Large) -> None:
        raise ValueError

    def refuse() -> weakref.ref[Large]:
        large = Large(10)
        with suppress(ValueError):
            offload(fail, large)
        return weakref.ref(large)

    gc.disable()
    try:
        large = refuse()
        wait_for(lambda: large() is None)
    finally:
        gc.enable()
