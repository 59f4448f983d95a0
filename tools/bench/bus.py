"""How many events the bus takes, and whether subscribers that keep up lose any.

    python -m tools.bench.bus [--rate N] [--seconds N] [--subscribers N]

Three processes: one fires events of 1 KiB at a rate, one is the bus, one has all subscribers. These
are connections that only count the bytes that come in and look at the number of the last event of
each read, since all messages are of one length: subscribers that read event by event would take
more of the machine than the bus.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import zmq

from greensalt.transport.bus import STAMP, EventPublisher
from greensalt.transport.sockets import new_context
from greensalt.wire import tags
from tests._daemons import short_dir
from tools.bench import processes
from tools.bench.report import write
from tools.bench.zmtp import GREETING, frame, ready

EVENT = tags.pack_event("bench/event", {"padding": "x" * 1024, "_stamp": "2026"})
MESSAGE_BYTES = len(frame(EVENT, 1)) + len(frame(bytes(STAMP.size)))
READ_BYTES = 1 << 20
BEAT_S = 0.005
SILENCE_S = 5.0  # after which what has not come is lost
TIMEOUT_S = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=20_000, help="events per second (20000)")
    parser.add_argument("--seconds", type=float, default=5.0, help="so long (5)")
    parser.add_argument("--subscribers", type=int, default=10, help="of all events (10)")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    parser.add_argument("--role", choices=("bus", "listen"), help=argparse.SUPPRESS)
    parser.add_argument("--where", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "bus":
        return serve(args.where)
    if args.role == "listen":
        return listen(args.where, args.subscribers)
    with short_dir() as where:
        figures = measure(where, args.rate, args.seconds, args.subscribers)
    write(f"The event bus, {args.subscribers} subscribers", {"greensalt": figures}, args.out)
    return 0


def measure(where: Path, rate: int, seconds: float, subscribers: int) -> dict[str, float]:
    """The figures of one run."""
    bus = _process("bus", where)
    listeners = _process("listen", where, "--subscribers", str(subscribers))
    try:
        before = processes.cpu_s(bus.pid)
        before_listeners = processes.cpu_s(listeners.pid)
        began = time.monotonic()
        push: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        count = fire(push, where, rate, seconds)
        fired_s = time.monotonic() - began
        answer, _ = listeners.communicate(f"{count}\n", timeout=TIMEOUT_S)
        push.close(0)
        received, silent_s, listeners_cpu_s = (float(word) for word in answer.split())
        all_s = time.monotonic() - began - silent_s
        return {
            "events fired per second": count / fired_s,
            "events through to the last subscriber, per second": count / all_s,
            "events lost, all subscribers together": subscribers * count - received,
            "CPU of the bus per event, us": (processes.cpu_s(bus.pid) - before) / count * 1e6,
            "CPU of the bus, part of a core": (processes.cpu_s(bus.pid) - before) / all_s,
            "CPU of all subscribers, part of a core": (listeners_cpu_s - before_listeners) / all_s,
            "load average of the last minute": os.getloadavg()[0],
        }
    finally:
        for child in (bus, listeners):
            child.kill()
            child.communicate()


def _process(role: str, where: Path, *options: str) -> subprocess.Popen[str]:
    """One of the processes, once it is ready."""
    command = [sys.executable, "-m", __spec__.name, "--role", role, "--where", str(where), *options]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    if child.stdout.readline() != "ready\n":
        raise RuntimeError(f"the process {role} did not start")
    return child


def fire(push: zmq.Socket[bytes], where: Path, rate: int, seconds: float) -> int:
    """Fire events at an even rate; libzmq keeps those that the bus does not take at once."""
    push.set(zmq.SNDHWM, 0)
    push.connect(f"ipc://{where}/pull.ipc")
    count, began = 0, time.monotonic()
    while (passed_s := time.monotonic() - began) < seconds:
        while count < passed_s * rate:
            push.send(EVENT)
            count += 1
        time.sleep(BEAT_S)
    return count


def serve(where: Path) -> int:
    """The bus."""
    publisher = EventPublisher(new_context())
    publisher.bind(f"ipc://{where}/pub.ipc", f"ipc://{where}/pull.ipc", f"ipc://{where}/past.ipc")
    publisher.start()
    print("ready", flush=True)
    print("the bus has ended:", publisher.failed.get(), file=sys.stderr)
    return 1


class Subscriber:
    """One connection to `epub`. `received` counts its events, checked against their numbers."""

    def __init__(self, path: Path, number: int) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))
        self._into = memoryview(bytearray(READ_BYTES))
        self._first = self._last = self._bytes = 0
        self._tail = b""
        sync = f"{tags.SYNC_PREFIX}{number}".encode()
        self.sock.sendall(GREETING + ready(b"SUB"))
        self._await(b"READY")
        self.sock.sendall(frame(b"\x01bench/") + frame(b"\x01" + sync))
        self._await(sync)

    def _await(self, mark: bytes) -> None:
        """Read until `mark` has come and nothing more does: the bus says little by now."""
        before = b""
        while mark not in before or select.select([self.sock], [], [], 0.1)[0]:
            if not (data := self.sock.recv(READ_BYTES)):
                raise RuntimeError(f"the bus has closed the connection after {before!r}")
            before += data

    def read(self) -> None:
        size = self.sock.recv_into(self._into)
        data = self._tail + bytes(self._into[max(0, size - MESSAGE_BYTES) : size])
        self._bytes += size
        over = self._bytes % MESSAGE_BYTES
        if not self._first and self._bytes >= MESSAGE_BYTES:
            first = self._tail + bytes(self._into[:MESSAGE_BYTES])
            self._first = STAMP.unpack(first[MESSAGE_BYTES - STAMP.size : MESSAGE_BYTES])[1]
        end = len(data) - over
        if end >= STAMP.size:
            self._last = STAMP.unpack(data[end - STAMP.size : end])[1]
        self._tail = data[-MESSAGE_BYTES:]

    @property
    def received(self) -> int:
        return self._bytes // MESSAGE_BYTES

    def check(self, count: int) -> None:
        """That all were told is that the numbers have no gap."""
        if self.received == count and self._last - self._first + 1 != count:
            raise RuntimeError(f"{count} events with the numbers {self._first} to {self._last}")


def listen(where: Path, number: int) -> int:
    """All subscribers. Says how many events they got, how long it waited for none, and its CPU."""
    subscribers = {
        sub.sock.fileno(): sub for sub in (Subscriber(where / "pub.ipc", n) for n in range(number))
    }
    epoll, stdin = select.epoll(), sys.stdin.fileno()
    for fd in (*subscribers, stdin):
        epoll.register(fd, select.EPOLLIN)
    print("ready", flush=True)
    count, silent_s = sys.maxsize, 0.0
    while sum(sub.received for sub in subscribers.values()) < count * number:
        ready_fds = [fd for fd, _ in epoll.poll(SILENCE_S)]
        if stdin in ready_fds:
            count = int(sys.stdin.readline())
            epoll.unregister(stdin)
        elif not ready_fds and count < sys.maxsize:
            silent_s = SILENCE_S
            break
        for fd in ready_fds:
            if fd != stdin:
                subscribers[fd].read()
    for sub in subscribers.values():
        sub.check(count)
    cpu_s = sum(os.times()[:2])
    print(sum(sub.received for sub in subscribers.values()), silent_s, cpu_s, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
