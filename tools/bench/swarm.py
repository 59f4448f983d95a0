"""A swarm of emulated minions in a process of its own: `python -m tools.bench.swarm`.

Each has a subscription and (unless told otherwise) a request connection of its own, signs in by the
real handshake, opens what is published, and returns `True` to any job under its own session key;
nothing more, so that what is measured is the master.

It takes JSON lines on stdin and gives one line for each on stdout:

    {"do": "join", "port": P, "count": N, "prefix": S, "links": L}   sign N minions in, subscribe;
                                            L > 0: their requests share L connections
    {"do": "storm", "port": P, "count": N, "prefix": S, "at_once": A}  N more sign-ins, A at a time
    {"do": "job", "jid": J, "count": N, "timeout_s": T}   wait until N returns are acknowledged
    {"do": "listen", "port": P, "count": N}   N bare subscriptions to a publish port, no minions
    {"do": "heard", "count": N, "timeout_s": T}   wait until N of them got the next message
    {"do": "stats"}                         CPU, reconnects, sign-ins of this process so far
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from Crypto.PublicKey import RSA

from greensalt.crypto.crypticle import Crypticle, new_nonce
from greensalt.crypto.handshake import (
    Accepted,
    SignInAttempt,
    sign_in_request,
    tok,
    verify_reply,
)
from greensalt.crypto.keypair import PrivateKey
from greensalt.errors import SignInRefused
from greensalt.wire.envelope import (
    DEFAULT_ENC_ALGO,
    DEFAULT_SIG_ALGO,
    EncryptedReply,
    clear_request,
    encrypted_request,
    parse_publish,
    parse_reply,
)
from tools.bench.zmtp import MORE, Connection, Loop, frame

DELIMITER = frame(b"", MORE)  # the empty frame with which a REQ begins
SIGNING_IN = 32  # at once
RECONNECT_S = 0.2
FIRST_EXPONENT = 65537
ALL = frame(b"\x01")  # the subscription to everything


class Keys:
    """A key pair for each minion, all of one modulus and of different exponents.

    A fleet of them would take minutes to make. No master sees that they are related, and none can
    remember one minion's key for another.
    """

    def __init__(self) -> None:
        self._rsa = RSA.generate(2048)
        self._exponent = FIRST_EXPONENT
        self._known: dict[str, PrivateKey] = {}

    def of(self, minion_id: str) -> PrivateKey:
        """The key pair of a minion, which stays the same."""
        if minion_id not in self._known:
            self._known[minion_id] = self._make()
        return self._known[minion_id]

    def _make(self) -> PrivateKey:
        p, q = int(self._rsa.p), int(self._rsa.q)
        while math.gcd(self._exponent, (p - 1) * (q - 1)) != 1:
            self._exponent += 2
        exponent, self._exponent = self._exponent, self._exponent + 2
        secret = pow(exponent, -1, math.lcm(p - 1, q - 1))
        parts = (int(self._rsa.n), exponent, secret, p, q)
        return PrivateKey(RSA.construct(parts, consistency_check=False))


class Link:
    """A request connection: one request at a time, like a REQ; the others wait in line."""

    def __init__(self, swarm: Swarm, port: int, number: int) -> None:
        self._swarm, self._port, self._number = swarm, port, number
        self._waiting: deque[tuple[bytes, Any]] = deque()
        self._asked: tuple[bytes, Any] | None = None
        self._open()

    def _open(self) -> None:
        self._connection = Connection(
            self._swarm.loop, self._port, b"REQ", self._took, self._lost, self._number
        )

    def ask(self, body: bytes, answered: Any) -> None:
        """`answered(reply)` is called with the last frame of the reply."""
        self._waiting.append((body, answered))
        if self._asked is None:
            self._next()

    def close(self) -> None:
        self._connection.close()

    def _next(self) -> None:
        if self._waiting:
            self._asked = self._waiting.popleft()
            self._connection.send(DELIMITER + frame(self._asked[0]))

    def _took(self, reply: bytes) -> None:
        asked, self._asked = self._asked, None
        if asked is not None:
            asked[1](reply)
        if self._asked is None:
            self._next()

    def _lost(self) -> None:
        """Ask again on a new connection, as a minion does."""
        if self._asked is not None:
            self._waiting.appendleft(self._asked)
            self._asked = None
        self._swarm.later(RECONNECT_S, self._reopen)

    def _reopen(self) -> None:
        self._swarm.reconnects += 1
        self._open()
        if self._asked is None:
            self._next()


class Minion:
    """One emulated minion."""

    def __init__(self, swarm: Swarm, minion_id: str, link: Link) -> None:
        self.id, self._swarm, self._link = minion_id, swarm, link
        self._key = swarm.keys.of(minion_id)
        self._tok = tok(self._key)
        self.accepted: Accepted | None = None
        self._sub: Connection | None = None

    def sign_in(self, done: Any) -> None:
        attempt = SignInAttempt(self.id, self._key, new_nonce(), b"a secret of the swarm")
        began = time.perf_counter()

        def answered(reply: bytes) -> None:
            took = time.perf_counter() - began
            answer = verify_reply(reply, attempt)
            if not isinstance(answer, Accepted):
                raise SignInRefused(f"{self.id} was not accepted: {answer!r}")
            self.accepted = answer
            self._session = Crypticle(answer.session)
            done(took)

        self._link.ask(clear_request(sign_in_request(attempt)), answered)

    def subscribe(self, number: int) -> None:
        assert self.accepted is not None
        self._number = number
        self._sub = Connection(
            self._swarm.loop, self.accepted.publish_port, b"SUB", self._took, self._lost, number
        )
        self._sub.send(ALL)

    @property
    def is_up(self) -> bool:
        return self._sub is not None and self._sub.is_up

    def _lost(self) -> None:
        self._swarm.later(RECONNECT_S, self._again)

    def _again(self) -> None:
        self._swarm.reconnects += 1
        self.subscribe(self._number)

    def _took(self, packet: bytes) -> None:
        jid = self._swarm.read(self, packet)
        if jid is None:
            return
        load = {
            "cmd": "_return",
            "id": self.id,
            "jid": jid,
            "fun": "test.ping",
            "fun_args": [],
            "return": True,
            "retcode": 0,
            "success": True,
            "nonce": new_nonce(),
            "ts": int(time.time()),
            "tok": self._tok,
        }
        body = encrypted_request(
            self.id, self._session.dumps(load), DEFAULT_ENC_ALGO, DEFAULT_SIG_ALGO
        )
        began = time.perf_counter()
        self._link.ask(body, lambda reply: self._swarm.acknowledged(jid, began, reply))


class Swarm:
    """All minions of this process, and what stdin asks of them."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.keys = Keys()
        self.minions: list[Minion] = []
        self.reconnects = self.sign_ins = 0
        self._jobs: dict[str, list[tuple[float, float]]] = {}
        self._refused: list[str] = []
        self._hearings: list[float] = []
        self._last: tuple[bytes, str | None] = (b"", None)
        self._timers: list[tuple[float, Any]] = []

    def run(self) -> None:
        """Serve the minions, and answer stdin's questions, until stdin ends."""
        table: dict[str, Callable[..., dict[str, Any]]] = {
            "join": self._join,
            "listen": self._listen,
            "heard": self._heard,
            "storm": self._storm,
            "job": self._job,
            "stats": self._stats,
        }
        while line := self._question():
            question = json.loads(line)
            answer = table[question.pop("do")](**question)
            print(json.dumps(answer), flush=True)

    def _question(self) -> str:
        asked = list[bool]()
        self.loop.add(sys.stdin.fileno(), lambda: asked.append(True))
        while not asked:
            self._turn()
        self.loop.remove(sys.stdin.fileno())
        return sys.stdin.readline()

    def _turn(self) -> None:
        self.loop.turn(0.05)
        now = time.monotonic()
        due = [call for at, call in self._timers if at <= now]
        self._timers = [(at, call) for at, call in self._timers if at > now]
        for call in due:
            call()

    def later(self, wait_s: float, call: Any) -> None:
        self._timers.append((time.monotonic() + wait_s, call))

    def read(self, minion: Minion, packet: bytes) -> str | None:
        """The jid of a publish for everybody, opened and verified once for all who got it."""
        if packet != self._last[0]:
            assert minion.accepted is not None
            publish, accepted = parse_publish(packet), minion.accepted
            genuine = publish.sig is None or accepted.master_key.verify(
                publish.packet, publish.sig, publish.sig_algo or DEFAULT_SIG_ALGO
            )
            job = Crypticle(accepted.aes).loads(publish.packet) if genuine else {}
            self._last = (packet, job["jid"] if job.get("fun") == "test.ping" else None)
        return self._last[1]

    def acknowledged(self, jid: str, began: float, reply: bytes) -> None:
        if not isinstance(parse_reply(reply), EncryptedReply):
            self._refused.append(f"{reply!r:.200}")
            return
        self._jobs.setdefault(jid, []).append((began, time.perf_counter()))

    # -- the questions -----------------------------------------------------------------------

    def _join(self, port: int, count: int, prefix: str, links: int = 0) -> dict[str, Any]:
        began = time.perf_counter()
        shared = [Link(self, port, number) for number in range(links)]
        joining = [
            Minion(
                self,
                f"{prefix}{number}",
                shared[number % links] if links else Link(self, port, number),
            )
            for number in range(count)
        ]
        took = self._sign_in(joining, SIGNING_IN)
        for number, minion in enumerate(joining):
            minion.subscribe(number)
            if number % 100 == 0:
                self._turn()
        self.minions += joining
        while not all(minion.is_up for minion in joining):
            self._turn()
        return {"took_s": time.perf_counter() - began, "sign_in_s": sorted(took)}

    def _listen(self, port: int, count: int) -> dict[str, Any]:
        listeners = [
            Connection(self.loop, port, b"SUB", self._hears, _gone, number)
            for number in range(count)
        ]
        for listener in listeners:
            listener.send(ALL)
        while not all(listener.is_up for listener in listeners):
            self._turn()
        return {}

    def _hears(self, _packet: bytes) -> None:
        self._hearings.append(time.perf_counter())

    def _heard(self, count: int, timeout_s: float) -> dict[str, Any]:
        until = time.monotonic() + timeout_s
        while len(self._hearings) < count and time.monotonic() < until:
            self._turn()
        heard, self._hearings = self._hearings, []
        return {"count": len(heard), "first": min(heard, default=0), "last": max(heard, default=0)}

    def _storm(self, port: int, count: int, prefix: str, at_once: int) -> dict[str, Any]:
        began = time.perf_counter()
        links = [Link(self, port, number) for number in range(min(at_once, count))]
        newcomers = [
            Minion(self, f"{prefix}{number}", links[number % len(links)]) for number in range(count)
        ]
        took = self._sign_in(newcomers, at_once)
        for link in links:
            link.close()
        return {"took_s": time.perf_counter() - began, "sign_in_s": sorted(took)}

    def _sign_in(self, minions: list[Minion], at_once: int) -> list[float]:
        waiting, took = deque(minions), list[float]()

        def done(took_s: float) -> None:
            took.append(took_s)
            self.sign_ins += 1
            if waiting:
                waiting.popleft().sign_in(done)

        for _ in range(min(at_once, len(minions))):
            waiting.popleft().sign_in(done)
        while len(took) < len(minions):
            self._turn()
        return took

    def _job(self, jid: str, count: int, timeout_s: float) -> dict[str, Any]:
        until = time.monotonic() + timeout_s
        while len(self._jobs.get(jid, ())) < count and time.monotonic() < until:
            self._turn()
        acks = self._jobs.pop(jid, [])
        refused, self._refused = self._refused, []
        return {
            "count": len(acks),
            "refused": refused,
            "first_sent": min((sent for sent, _ in acks), default=0.0),
            "last_sent": max((sent for sent, _ in acks), default=0.0),
            "last_acknowledged": max((at for _, at in acks), default=0.0),
            "return_s": sorted(at - sent for sent, at in acks),
        }

    def _stats(self) -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "cpu_s": used.ru_utime + used.ru_stime,
            "reconnects": self.reconnects,
            "sign_ins": self.sign_ins,
            "up": sum(minion.is_up for minion in self.minions),
        }


def _gone() -> None:
    raise ConnectionError("the publisher has closed a subscription")


def main() -> int:
    Swarm().run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
