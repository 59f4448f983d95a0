"""A fleet of emulated minions in a process of its own: `python -m loadtest._fleet CONFIG`.

CONFIG is a JSON file: host, ret_port, prefix, codecs, minions (of each codec), payloads, timeout_s,
control (the path of a unix socket), where (the directory of the run's files). The process joins the
master, prints one line when all minions stand, and then serves the control socket: JSON lines, one
answer for each question.

    {"do": "acks", "jid": J, "count": N, "timeout_s": S}   what became of the returns of a job
    {"do": "sign_in", "codec": C}                          one more sign-in: how long it took
    {"do": "event", "codec": C, "tag": T}                  fire an event: when it was sent

Moments are those of the host's monotonic clock, which all processes of a host share. It is a
process of its own so that the load's generator does not do the minions' work, and is not
monkey-patched.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gevent
from gevent import socket
from gevent.event import Event
from gevent.pool import Pool
from gevent.queue import Queue
from gevent.server import StreamServer

from greensalt.crypto.handshake import Accepted, tok
from greensalt.crypto.keypair import PrivateKey
from greensalt.errors import GreensaltError, TransportError
from greensalt.green import within
from greensalt.transport.addresses import tcp
from greensalt.transport.request import ReqChannel
from greensalt.transport.sockets import new_context
from greensalt.wire.envelope import DEFAULT_SIG_ALGO, parse_publish
from loadtest import _codecs
from loadtest._minion import Ack, Minion, Place, sign_in
from loadtest._payloads import payload

SOCKETS_PER_MINION: Final = 4
JOINING_AT_ONCE: Final = 16
JOIN_S: Final = 60.0
MASTER_ENDS_S: Final = 1.0
CLEAN_UPS: Final = 10
PARENT_ENDS_S: Final = 0.3
KEPT_JOBS: Final = 5_000
KEPT_FRAMES: Final = 128
NEWCOMERS: Final = 64
"""Ids of each codec that only ever sign in; so many sign-ins of a codec may go on at once."""


class Acks:
    """What became of the returns of one job, so far."""

    def __init__(self) -> None:
        self.all: list[Ack] = []
        self.changed = Event()

    def add(self, ack: Ack) -> None:
        self.all.append(ack)
        self.changed.set()

    def wait(self, count: int, timeout_s: float) -> list[Ack]:
        """At least `count` of them, or as many as there are after `timeout_s`."""
        with within(timeout_s):
            while len(self.all) < count:
                self.changed.clear()
                self.changed.wait()
        return self.all


class Fleet:
    """The minions of all codecs, and what the control socket asks of them."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._codecs: list[str] = config["codecs"]
        count, prefix = int(config["minions"]), str(config["prefix"])
        key = PrivateKey.generate()
        sockets = SOCKETS_PER_MINION * len(self._codecs) * (count + NEWCOMERS) + 1000
        _allow_files(2 * sockets)
        self._place = Place(
            config["host"],
            int(config["ret_port"]),
            key,
            tok(key),
            new_context(max_sockets=sockets),
            float(config["timeout_s"]),
        )
        chosen = [payload(name) for name in config["payloads"]]
        self._answers = {each.fun: each.make() for each in chosen}
        self._jobs: OrderedDict[str, Acks] = OrderedDict()
        self._frames: OrderedDict[tuple[str, bytes], dict[str, Any] | None] = OrderedDict()
        self._newcomers: dict[str, Queue[str]] = {}
        self._next = 0
        self.minions: dict[str, list[Minion]] = {}
        for codec in self._codecs:
            ids = [f"{prefix}-{codec}-{number:04}" for number in range(1, count + 1)]
            self.minions[codec] = [self._minion(each, codec) for each in ids]
            self._newcomers[codec] = Queue()
            for number in range(NEWCOMERS):
                self._newcomers[codec].put(f"{prefix}-new-{codec}-{number:04}")

    def _minion(self, minion_id: str, codec: str) -> Minion:
        return Minion(
            self._place,
            minion_id,
            codec,
            read=self._read,
            answer=lambda fun: self._answers.get(fun, True),
            done=lambda jid, ack: self._job(jid).add(ack),
        )

    def join(self) -> None:
        """All minions sign in and subscribe. Raises the first error, TransportError in the end."""
        everybody = [minion for minions in self.minions.values() for minion in minions]
        pool, errors = Pool(JOINING_AT_ONCE), list[GreensaltError]()
        for minion in everybody:
            pool.spawn(_join, minion, errors)
        pool.join()
        if errors:
            raise errors[0]
        with gevent.Timeout(JOIN_S, TransportError("the publish port can't be reached")):
            while not all(minion.is_up for minion in everybody):
                gevent.sleep(0.01)

    # -- what the minions share --------------------------------------------------------------

    def _job(self, jid: str) -> Acks:
        if jid not in self._jobs:
            self._jobs[jid] = Acks()
            while len(self._jobs) > KEPT_JOBS:
                self._jobs.popitem(last=False)
        return self._jobs[jid]

    def _read(self, codec: str, accepted: Accepted, frames: list[bytes]) -> dict[str, Any] | None:
        """A publish, verified and decrypted once for all minions that got the same bytes."""
        frame = frames[-1]
        key = accepted.aes, frame
        if key not in self._frames:
            self._frames[key] = _opened(codec, accepted, frame)
            while len(self._frames) > KEPT_FRAMES:
                self._frames.popitem(last=False)
        return self._frames[key]

    # -- the control socket ------------------------------------------------------------------

    def serve(self, connection: socket.socket, _: object) -> None:
        """One connection, until its other end closes it."""
        table: dict[str, Callable[..., dict[str, Any]]] = {
            "acks": self._acks,
            "sign_in": self._sign_in,
            "event": self._event,
        }
        with connection, connection.makefile("rwb") as lines:
            for line in lines:
                question = json.loads(line)
                try:
                    answer = table[question.pop("do")](**question)
                except GreensaltError as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                lines.write(json.dumps(answer).encode() + b"\n")
                lines.flush()

    def _acks(self, jid: str, count: int, timeout_s: float) -> dict[str, Any]:
        acks = self._job(jid).wait(count, timeout_s)
        self._jobs.pop(jid, None)
        return {"acks": acks}

    def _sign_in(self, codec: str) -> dict[str, Any]:
        """Everything that a minion waits for: connecting, the master's answer, checking it."""
        newcomer = self._newcomers[codec].get()
        place = self._place
        channel = ReqChannel(tcp(place.host, place.ret_port), place.context)
        began = time.perf_counter()
        try:
            sign_in(place, channel, newcomer, codec)
            return {"took_s": time.perf_counter() - began}
        finally:
            channel.close()
            self._newcomers[codec].put(newcomer)

    def _event(self, codec: str, tag: str) -> dict[str, Any]:
        self._next += 1
        minions = self.minions[codec]
        minion = minions[self._next % len(minions)]
        data = {"id": minion.id, "number": self._next, "text": "an event of a load test"}
        sent, size = minion.fire(tag, data)
        return {"sent": sent, "size": size}


def _join(minion: Minion, errors: list[GreensaltError]) -> None:
    if not errors:
        try:
            minion.join()
        except GreensaltError as error:
            errors.append(error)


def _opened(codec: str, accepted: Accepted, frame: bytes) -> dict[str, Any] | None:
    try:
        publish = parse_publish(frame)
        algo = publish.sig_algo or DEFAULT_SIG_ALGO
        if publish.sig is not None and not accepted.master_key.verify(
            publish.packet, publish.sig, algo
        ):
            return None
        job = _codecs.Box(codec, accepted.aes).loads(publish.packet)
    except GreensaltError as error:
        print(f"a publish for {codec} can't be read: {error}", flush=True)
        return None
    return job if isinstance(job, dict) else None


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _end(parent: int, where: Path) -> None:
    """End; after a parent that was killed also clean up, since it can't."""
    # The signal comes when the parent's thread dies, which may be before the process is gone.
    gevent.sleep(PARENT_ENDS_S)
    if os.getppid() != parent:
        # The master ends, too, and may write its last file after we have removed the others.
        for _ in range(CLEAN_UPS):
            gevent.sleep(MASTER_ENDS_S)
            shutil.rmtree(where, ignore_errors=True)
            if not where.exists():
                break
    os._exit(0)


def main() -> int:
    config = json.loads(Path(sys.argv[1]).read_text())
    parent, where = os.getppid(), Path(config["where"])
    gevent.signal_handler(signal.SIGTERM, _end, parent, where)
    fleet = Fleet(config)
    try:
        fleet.join()
    except GreensaltError as error:
        print(f"the fleet can't join: {type(error).__name__}: {error}", flush=True)
        if os.getppid() != parent:  # the master has ended with our parent, just before us
            _end(parent, where)
        return 1
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(config["control"])
    listener.listen(1024)
    count = sum(map(len, fleet.minions.values()))
    print(f"the fleet is ready: {count} minions", flush=True)
    StreamServer(listener, fleet.serve).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
