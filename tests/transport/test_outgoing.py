"""Messages that leave together: `sockets.Outgoing`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import gevent
import pytest
import zmq

from greensalt.transport.sockets import Outgoing, Socket, new_context, plain_socket

Make = Callable[[int], Socket]


@pytest.fixture(name="make")
def _make() -> Iterator[Make]:
    context = new_context()
    sockets: list[Socket] = []

    def make(kind: int) -> Socket:
        sockets.append(plain_socket(context, kind))
        return sockets[-1]

    yield make
    for sock in sockets:
        sock.close(0)
    context.destroy(linger=0)


def _pair(make: Make) -> tuple[Socket, Socket]:
    one, other = make(zmq.PAIR), make(zmq.PAIR)
    one.set(zmq.LINGER, 0)
    one.bind("inproc://outgoing")
    other.connect("inproc://outgoing")
    return one, other


def _arrived(sock: Socket) -> list[list[bytes]]:
    messages = []
    while sock.poll(0):
        messages.append(sock.recv_multipart())
    return messages


def test_what_is_added_in_one_turn_leaves_together_and_in_order(make: Make) -> None:
    one, other = _pair(make)
    lots: list[int] = []
    outgoing = Outgoing(one, lambda: lots.append(1), _unexpected)
    for number in range(3):
        outgoing.add([b"%d" % number, b"x"])
    assert _arrived(other) == []
    gevent.sleep(0)
    assert _arrived(other) == [[b"0", b"x"], [b"1", b"x"], [b"2", b"x"]]
    assert lots == [1]
    outgoing.add([b"3"])
    gevent.sleep(0)
    assert _arrived(other) == [[b"3"]]
    assert lots == [1, 1]


def test_a_stop_sends_what_waits_at_once(make: Make) -> None:
    one, other = _pair(make)
    outgoing = Outgoing(one, lambda: None, _unexpected)
    outgoing.add([b"last"])
    outgoing.flush()
    assert _arrived(other) == [[b"last"]]
    gevent.sleep(0)  # nothing is left to send
    assert _arrived(other) == []


def test_a_message_that_is_refused_is_told_and_holds_up_no_other(make: Make) -> None:
    router = make(zmq.ROUTER)
    router.set(zmq.ROUTER_MANDATORY, 1)
    router.bind("inproc://router")
    peer = make(zmq.DEALER)
    peer.set(zmq.IDENTITY, b"peer")
    peer.connect("inproc://router")
    refused: list[bytes] = []
    outgoing = Outgoing(router, lambda: None, lambda frames, _: refused.append(frames[0]))
    peer.send(b"hello")
    router.recv_multipart()
    outgoing.add([b"gone", b"1"])
    outgoing.add([b"peer", b"2"])
    gevent.sleep(0)
    assert refused == [b"gone"]
    assert _arrived(peer) == [[b"2"]]


def _unexpected(frames: Sequence[bytes], error: zmq.ZMQError) -> None:
    raise AssertionError(f"{frames}: {error}")
