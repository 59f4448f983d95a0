"""How many events the bus takes, and whether subscribers that keep up lose any.

    python -m tools.bench.bus [--rate N] [--seconds N] [--subscribers N]

Three processes: one fires events of 1 KiB at a rate, one is the bus, one has all subscribers, each
of which reads every event and looks at its number. On two cores the subscribers, not the bus, are
what limits the events that get through: they read each event once for each subscriber.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import zmq

from greensalt.transport.bus import STAMP, SUBSCRIBER_HWM, EventPublisher
from greensalt.transport.sockets import new_context
from greensalt.wire import tags
from tests._daemons import short_dir
from tools.bench import processes
from tools.bench.report import write

EVENT_BYTES = 1024
BEAT_S = 0.01
LAST = "bench/last"
TIMEOUT_S = 60.0


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
        began = time.monotonic()
        count = fire(where, rate, seconds)
        took_s = time.monotonic() - began
        answer, _ = listeners.communicate(timeout=TIMEOUT_S)
        all_s = time.monotonic() - began
        return {
            "events fired per second": count / took_s,
            "events through to the last subscriber, per second": count / all_s,
            "events lost, all subscribers together": float(answer),
            "CPU of the bus per event, us": (processes.cpu_s(bus.pid) - before) / count * 1e6,
        }
    finally:
        for child in (bus, listeners):
            child.kill()
            child.communicate()


def _process(role: str, where: Path, *options: str) -> subprocess.Popen[str]:
    """One of the processes, once it is ready."""
    command = [sys.executable, "-m", __spec__.name, "--role", role, "--where", str(where), *options]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    if child.stdout.readline() != "ready\n":
        raise RuntimeError(f"the process {role} did not start")
    return child


def fire(where: Path, rate: int, seconds: float) -> int:
    """Fire events at an even rate, as fast as the bus takes them if that is slower."""
    push: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
    push.set(zmq.SNDHWM, 0)
    push.connect(f"ipc://{where}/pull.ipc")
    event = tags.pack_event("bench/event", {"_stamp": "", "padding": "x" * EVENT_BYTES})
    count, began = 0, time.monotonic()
    while (passed_s := time.monotonic() - began) < seconds:
        while count < passed_s * rate:
            push.send(event)
            count += 1
        time.sleep(BEAT_S)
    push.send(tags.pack_event(LAST, {"_stamp": ""}))
    push.close(int(TIMEOUT_S) * 1000)
    return count + 1


def serve(where: Path) -> int:
    """The bus."""
    publisher = EventPublisher(new_context())
    publisher.bind(f"ipc://{where}/pub.ipc", f"ipc://{where}/pull.ipc")
    publisher.start()
    print("ready", flush=True)
    print("the bus has ended:", publisher.failed.get(), file=sys.stderr)
    return 1


def listen(where: Path, subscribers: int) -> int:
    """All subscribers; says how many events did not reach them."""
    poller, last = zmq.Poller(), LAST.encode()
    for _ in range(subscribers):
        sub: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        sub.set(zmq.RCVHWM, SUBSCRIBER_HWM)
        sub.connect(f"ipc://{where}/pub.ipc")
        sub.subscribe(b"bench/")
        sub.subscribe(f"{tags.SYNC_PREFIX}{id(sub)}".encode())
        sub.recv_multipart()  # the answer of the bus: all subscriptions are live
        poller.register(sub, zmq.POLLIN)
    print("ready", flush=True)
    lost, sequences = 0, dict[zmq.Socket[bytes], int]()
    while subscribers:
        for sub, _ in poller.poll():
            for _ in range(100):
                try:
                    event, stamp = sub.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                sequence = STAMP.unpack(stamp)[1]
                lost += sequence - sequences.get(sub, sequence - 1) - 1
                sequences[sub] = sequence
                subscribers -= event.startswith(last)
    print(lost, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
