"""REQ channel, Publisher and Subscriber on real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
import zmq
from gevent.queue import Queue

from greensalt.errors import RequestTimeout, TransportError
from greensalt.transport.device import Device
from greensalt.transport.publish import Publisher, Pusher, Subscriber
from greensalt.transport.request import ReqChannel
from greensalt.transport.sockets import Context, new_context


@pytest.fixture
def context() -> Iterator[Context]:
    context = new_context()
    yield context
    context.destroy(linger=0)


def echo(context: Context, address: str = "tcp://127.0.0.1:0") -> tuple[Device, str]:
    def handle(body: bytes, _connection: int) -> bytes:
        if body == b"slow":
            gevent.sleep(0.3)
        return body

    device = Device(context, handle)
    device.start()
    return device, device.bind_clients(address)


def test_greenlets_share_a_channel_and_each_gets_its_own_reply(context: Context) -> None:
    device, address = echo(context)
    channel = ReqChannel(address, context)
    asked = [gevent.spawn(channel.request, b"%d" % n, 5) for n in range(100)]
    gevent.joinall(asked, raise_error=True)
    assert [greenlet.value for greenlet in asked] == [b"%d" % n for n in range(100)]
    channel.close()
    device.stop(1)


def test_a_channel_is_usable_after_a_lost_reply(context: Context) -> None:
    device, address = echo(context)
    channel = ReqChannel(address, context)
    with pytest.raises(RequestTimeout, match=r"no reply from tcp://.* in 0.05 s"):
        channel.request(b"slow", 0.05)
    assert channel.request(b"next", 5) == b"next"
    channel.close()
    device.stop(1)


def test_a_channel_finds_a_server_that_comes_back(context: Context) -> None:
    device, address = echo(context)
    channel = ReqChannel(address, context)
    assert channel.request(b"a", 5) == b"a"
    device.stop(1)
    with pytest.raises(RequestTimeout):
        channel.request(b"b", 0.2)
    device, _ = echo(context, address)
    assert channel.request(b"c", 5) == b"c"
    channel.close()
    device.stop(1)


def test_a_closed_channel_says_so(context: Context) -> None:
    channel = ReqChannel("tcp://127.0.0.1:1", context)
    channel.close()
    with pytest.raises(TransportError, match="is closed"):
        channel.request(b"x", 1)


def test_an_address_that_is_none_is_a_transport_error(context: Context) -> None:
    with pytest.raises(TransportError, match="can't connect to"):
        ReqChannel("tcp://127.0.0.1", context).request(b"x", 1)


class Link:
    """A publisher, a pusher and subscribers."""

    def __init__(self, context: Context, directory: Path) -> None:
        self.context = context
        self.pull = f"ipc://{directory}/publish_pull.ipc"
        self.start("tcp://127.0.0.1:0")

    def start(self, address: str) -> None:
        self.publisher = Publisher(self.context, hwm=1000, backlog=100)
        self.address = self.publisher.bind(address, self.pull)
        self.publisher.start()
        self.pusher = Pusher(self.context, self.pull)

    def stop(self) -> None:
        self.pusher.close()
        self.publisher.stop()

    def subscriber(self, *topics: bytes) -> tuple[Subscriber, Queue[list[bytes]], Queue[bool]]:
        jobs: Queue[list[bytes]] = Queue()
        moves: Queue[bool] = Queue()
        subscriber = Subscriber(
            self.context,
            identity="m1",
            topics=topics,
            reconnect_ms=20,
            reconnect_max_ms=50,
            take=jobs.put,
            moved=moves.put,
        )
        subscriber.start(self.address)
        assert moves.get(timeout=60) is True
        return subscriber, jobs, moves

    def push_until(self, frames: list[bytes], jobs: Queue[list[bytes]]) -> list[bytes]:
        """A subscription takes a moment after the handshake; nothing tells when it is there."""
        for _ in range(500):
            self.pusher.push(frames)
            gevent.sleep(0.01)
            if not jobs.empty():
                break
        return jobs.get(timeout=60)


@pytest.fixture
def link(context: Context, tmp_path: Path) -> Iterator[Link]:
    made = Link(context, tmp_path)
    yield made
    made.stop()


def test_what_is_pushed_reaches_every_subscriber_in_order(link: Link) -> None:
    first, second = link.subscriber(b""), link.subscriber(b"")
    for _, jobs, _ in (first, second):
        assert link.push_until([b"warm"], jobs) == [b"warm"]
    for number in range(200):
        link.pusher.push([b"job %d" % number])
    for subscriber, jobs, _ in (first, second):
        received: list[list[bytes]] = []
        while len(received) < 200:
            frames = jobs.get(timeout=60)
            if frames != [b"warm"]:
                received.append(frames)
        assert received == [[b"job %d" % number] for number in range(200)]
        subscriber.stop()


def test_a_topic_is_a_filter(link: Link) -> None:
    subscriber, jobs, _ = link.subscriber(b"mine")
    assert link.push_until([b"mine", b"body"], jobs) == [b"mine", b"body"]
    link.pusher.push([b"other", b"body"])
    link.pusher.push([b"mine", b"last"])
    while (frames := jobs.get(timeout=60)) == [b"mine", b"body"]:
        pass
    assert frames == [b"mine", b"last"]
    subscriber.stop()


def test_a_subscriber_tells_that_its_link_broke_and_stands_again(link: Link) -> None:
    subscriber, jobs, moves = link.subscriber(b"")
    link.stop()
    assert moves.get(timeout=60) is False
    link.start(link.address)
    assert moves.get(timeout=60) is True
    assert link.push_until([b"again"], jobs) == [b"again"]
    subscriber.stop()


def test_messages_of_more_than_two_frames_are_counted_and_not_published(link: Link) -> None:
    subscriber, jobs, _ = link.subscriber(b"")
    link.pusher.push([b"a", b"b", b"c"])
    assert link.push_until([b"ok"], jobs) == [b"ok"]
    assert link.publisher.malformed == 1
    subscriber.stop()


def test_a_plain_socket_comes_from_the_green_context(context: Context) -> None:
    from greensalt.transport.sockets import plain_socket

    sock = plain_socket(context, zmq.PULL)
    assert type(sock) is zmq.Socket
    sock.close()
