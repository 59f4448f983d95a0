"""Where the time of one return goes: `python -m loadtest._shares CONFIG`, a process of its own.

CONFIG is a JSON file: codecs, payloads, where (a directory for the store), output.

For each serializer and payload the parts of a return are done in this process, alone, and timed:
the serializer (the minion packs, the master unpacks), the encryption (seal and open), ZeroMQ (a
request of that size to an echo, over TCP of this host), the store (the commit of the return, as the
master does it). What a run measures beyond their sum is the rest: the master's and the minion's
Python, and waiting.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import gevent
import zmq

from greensalt.crypto.crypticle import Crypticle, generate_key_string
from greensalt.store.jobs import Job, JobStore, Return
from greensalt.store.sqlite import SqliteStore
from greensalt.transport.request import ReqChannel
from greensalt.transport.sockets import bind_tcp, green_socket, new_context
from loadtest import _codecs
from loadtest._payloads import payload, return_load

BUDGET_S: Final = 0.03
LEAST_ROUNDS: Final = 5
MOST_ROUNDS: Final = 2_000
JID: Final = "20260101000000000000"
TIMEOUT_S: Final = 10.0


class Share(NamedTuple):
    """The parts of one return in milliseconds (medians), and its size before encryption."""

    codec: str
    payload: str
    size: int
    dumps_ms: float
    loads_ms: float
    crypto_ms: float
    zmq_ms: float
    store_ms: float

    @property
    def known_ms(self) -> float:
        return self.dumps_ms + self.loads_ms + self.crypto_ms + self.zmq_ms + self.store_ms


def measure(codecs: list[str], payloads: list[str], where: Path) -> list[Share]:
    """The shares of every combination; `where` takes the store's file."""
    store = SqliteStore(where / "jobs.sqlite")
    echo = _Echo()
    try:
        return [
            _share(codec, name, number, store, echo)
            for number, (codec, name) in enumerate((c, p) for c in codecs for p in payloads)
        ]
    finally:
        echo.close()
        store.close()


def _share(codec: str, name: str, number: int, store: JobStore, echo: _Echo) -> Share:
    chosen = payload(name)
    load = return_load("load-0001", JID, chosen.fun, chosen.make())
    serializer, box = _codecs.plain(codec), Crypticle(generate_key_string())
    data = serializer.dumps(load)
    packet = box.encrypt(data)
    return Share(
        codec=codec,
        payload=name,
        size=len(data),
        dumps_ms=_timed(lambda _: serializer.dumps(load)),
        loads_ms=_timed(lambda _: serializer.loads(data)),
        crypto_ms=_timed(lambda _: box.decrypt(box.encrypt(data))),
        zmq_ms=_timed(lambda _: echo.ask(packet)),
        store_ms=_stored(store, number, load),
    )


def _stored(store: JobStore, number: int, load: dict[str, Any]) -> float:
    """One return after the other; a busy master commits many at once, which is cheaper for each."""
    jid = str(int(JID) + number)
    store.add_job(Job(jid, load["fun"], [], "*", "glob", "root", [], [], {}, 0.0))

    def add(turn: int) -> object:
        row = Return(0, jid, f"load-{turn}", load["fun"], load["return"], 0, True, 0.0, load)
        return store.add_return(row)

    return _timed(add)


def _timed(work: Callable[[int], object]) -> float:
    """The median of some rounds within a short time, in milliseconds."""
    work(-1)
    times: list[float] = []
    until = time.perf_counter() + BUDGET_S
    while len(times) < LEAST_ROUNDS or (time.perf_counter() < until and len(times) < MOST_ROUNDS):
        began = time.perf_counter()
        work(len(times))
        times.append(time.perf_counter() - began)
    return round(statistics.median(times) * 1e3, 5)


class _Echo:
    """Answers every request with a few bytes, as a master does."""

    def __init__(self) -> None:
        self._context = new_context()
        self._sock = green_socket(self._context, zmq.REP)
        address = bind_tcp(self._sock, "tcp://127.0.0.1:*")
        self._greenlet = gevent.spawn(self._serve)
        self._channel = ReqChannel(address, self._context)

    def ask(self, body: bytes) -> object:
        return self._channel.request(body, TIMEOUT_S)

    def close(self) -> None:
        self._channel.close()
        self._greenlet.kill()
        self._sock.close(0)

    def _serve(self) -> None:
        while True:
            self._sock.recv()
            self._sock.send(b"ok")


def main() -> int:
    config = json.loads(Path(sys.argv[1]).read_text())
    shares = measure(config["codecs"], config["payloads"], Path(config["where"]))
    Path(config["output"]).write_text(json.dumps(shares))
    return 0


if __name__ == "__main__":
    sys.exit(main())
