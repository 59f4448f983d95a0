"""What is given to workers elsewhere comes back, or is done here: nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import zmq
from gevent.event import Event

from greensalt.transport.device import Device
from greensalt.transport.outside import RepWorker
from greensalt.transport.sockets import Context, Socket, green_socket, new_context

# A worker that takes one request, says so, and never answers.
MUTE = """
import sys, zmq
rep = zmq.Context().socket(zmq.REP)
rep.connect(sys.argv[1])
print(rep.recv(), flush=True)
sys.stdin.read()
"""


class Bench:
    """A device whose handler gives to workers elsewhere whatever they have room for."""

    def __init__(self, tmp_path: Path, **options: Any) -> None:
        self.context: Context = new_context()
        self.device = Device(self.context, self.handle, **options)
        self.ipc = f"ipc://{tmp_path}/workers.ipc"
        self.device.bind_workers("inproc://workers", self.ipc)
        self.address = self.device.bind_clients("tcp://127.0.0.1:0")
        self.device.start()
        self.outside = self.device.outside
        self.serving: list[tuple[RepWorker, gevent.Greenlet[..., Any]]] = []
        self.here: list[bytes] = []

    def handle(self, body: bytes, _connection: int = -1) -> bytes:
        if self.outside.reserve():
            answer = self.outside.ask(body)
            if answer is not None:
                return answer
        self.here.append(body)
        return b"here:" + body

    def work(self, handle: Callable[[bytes], bytes]) -> RepWorker:
        worker = RepWorker(self.context, self.ipc, handle)
        self.serving.append((worker, gevent.spawn(worker.run)))
        self.until(lambda: self.outside.workers == len(self.serving))
        return worker

    def ask(self, *bodies: bytes) -> Socket:
        dealer = green_socket(self.context, zmq.DEALER)
        dealer.linger = 0
        dealer.connect(self.address)
        for body in bodies:
            dealer.send_multipart([b"", body])
        return dealer

    def until(self, seen: Callable[[], bool]) -> None:
        with gevent.Timeout(60):
            while not seen():
                gevent.sleep(0.002)

    def close(self) -> None:
        for worker, greenlet in self.serving:
            greenlet.kill()
            worker.close()
        self.device.stop(0.5)
        self.context.destroy(linger=0)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def replies(dealer: Socket, count: int) -> list[bytes]:
    with gevent.Timeout(60):
        return sorted(dealer.recv_multipart()[1] for _ in range(count))


def test_without_workers_there_is_no_room_elsewhere(bench: Callable[..., Bench]) -> None:
    made = bench()
    assert replies(made.ask(b"a", b"b"), 2) == [b"here:a", b"here:b"]
    assert made.outside.asked == 0


def test_a_worker_elsewhere_answers_and_gets_no_more_than_it_has_sockets(
    bench: Callable[..., Bench],
) -> None:
    made = bench()
    gate = Event()

    def slow(body: bytes) -> bytes:
        gate.wait()
        return b"there:" + body

    made.work(slow)
    made.work(slow)
    dealer = made.ask(*(b"%d" % number for number in range(6)))
    assert replies(dealer, 4) == [b"here:%d" % number for number in (2, 3, 4, 5)]
    assert made.outside.out == 2
    gate.set()
    assert replies(dealer, 2) == [b"there:0", b"there:1"]
    assert (made.outside.answered, made.outside.lost) == (2, 0)


def mute(made: Bench) -> subprocess.Popen[bytes]:
    """A worker in a process of its own that has connected."""
    process = subprocess.Popen(
        [sys.executable, "-c", MUTE, made.ipc], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    made.until(lambda: made.outside.workers == 1)
    return process


def test_a_killed_worker_process_costs_no_request(bench: Callable[..., Bench]) -> None:
    made = bench(silent_s=1000)
    with mute(made) as process:
        dealer = made.ask(b"a")
        assert process.stdout is not None
        gevent.get_hub().threadpool.apply(process.stdout.readline)  # it has the request
        process.kill()
    assert replies(dealer, 1) == [b"here:a"]
    assert (made.outside.lost, made.outside.workers, made.outside.out) == (1, 0, 0)
    assert replies(made.ask(b"b"), 1) == [b"here:b"]


def test_what_a_silent_worker_has_is_done_here_and_it_gets_no_more(
    bench: Callable[..., Bench],
) -> None:
    made = bench(silent_s=0.2)
    with mute(made) as process:
        assert replies(made.ask(b"a"), 1) == [b"here:a"]
        assert replies(made.ask(b"b", b"c"), 2) == [b"here:b", b"here:c"]
        assert made.outside.asked == 1
        process.kill()


def test_a_reply_that_comes_too_late_is_dropped_and_opens_the_way_again(
    bench: Callable[..., Bench],
) -> None:
    made = bench(silent_s=0.1)
    gate = Event()

    def slow(body: bytes) -> bytes:
        gate.wait()
        return b"there:" + body

    made.work(slow)
    dealer = made.ask(b"a")
    assert replies(dealer, 1) == [b"here:a"]
    gate.set()
    made.until(lambda: made.outside.late == 1)
    dealer.send_multipart([b"", b"b"])
    assert replies(dealer, 1) == [b"there:b"]  # and not a second answer to the first one
