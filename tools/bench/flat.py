"""The limit: the way of a return through a master, written flat in one file.

The same bytes in and out, the same checks that a return must pass (session key, MAC, id, age,
`tok`, a nonce not seen before, a job that was sent to this minion), a row in SQLite that is
committed before the reply, an event on the bus; and nothing else of a master: no greenlets, no
layers, no errors, no other commands, no configuration. What `greensalt master` costs beyond this is
the price of being one.

`python -m tools.bench.flat RET_PORT PUBLISH_PORT DIR` serves; tools.bench.limit measures it.
"""

from __future__ import annotations

import base64
import hmac
import os
import sqlite3
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgpack
import zmq
from Crypto.Cipher import AES

from greensalt.crypto.crypticle import Crypticle, generate_key_string
from greensalt.crypto.handshake.master import (
    SignInRequest,
    accepted_reply,
    publish_key_signature,
    read_sign_in,
)
from greensalt.crypto.handshake.proofs import check_tok
from greensalt.crypto.keypair import PrivateKey, public_key
from greensalt.crypto.signing import signed_publish
from greensalt.transport.bus import STAMP
from greensalt.wire.dialect import unpack
from greensalt.wire.envelope import clear_reply

PREFIX = b"pickle::"  # as every packet begins (docs/protocol.md 3)
MAX_AGE_S = 300
BATCH = 64

Peer = list[Any]  # encryptor, decryptor, MAC key, tok of a minion
Pending = tuple[bytes, bytes, bytes, tuple[Any, ...]]  # whom to reply, the reply, event, row


class Flat:
    """Everything that a return meets."""

    def __init__(self, ret_port: int, publish_port: int, where: Path) -> None:
        self.where, self.publish_port = where, publish_port
        context = zmq.Context()
        self.router = context.socket(zmq.ROUTER)
        self.pub = context.socket(zmq.PUB)
        self.bus = context.socket(zmq.PUB)
        self.pull = context.socket(zmq.PULL)
        for sock in (self.router, self.pub, self.bus):
            sock.set(zmq.SNDHWM, 0)
            sock.set(zmq.RCVHWM, 0)
            sock.set(zmq.BACKLOG, 4096)
        self.router.bind(f"tcp://127.0.0.1:{ret_port}")
        self.pub.bind(f"tcp://127.0.0.1:{publish_port}")
        sock_dir = where / "r/var/run/salt/master"
        sock_dir.mkdir(parents=True)
        self.bus.bind(f"ipc://{sock_dir}/master_event_pub.ipc")
        self.pull.bind("inproc://committed")
        self.push = context.socket(zmq.PUSH)
        self.push.connect("inproc://committed")
        self.key = PrivateKey.generate()
        self.aes = generate_key_string()
        self.aes_sig = publish_key_signature(self.key, self.aes)
        self.publishing = Crypticle(self.aes)
        self.sessions: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.peers: dict[str, Peer] = {}
        self.sequence = 0
        self.seen: set[tuple[str, str]] = set()
        self.jobs: dict[str, set[str]] = {}
        self.waiting: deque[Pending] = deque()
        self.committed: deque[list[Pending]] = deque()
        self.work = threading.Event()
        threading.Thread(target=self.commit, daemon=True).start()

    def run(self) -> None:
        poller = zmq.Poller()
        poller.register(self.router, zmq.POLLIN)
        poller.register(self.pull, zmq.POLLIN)
        router = self.router
        while True:
            poller.poll()
            try:
                for _ in range(BATCH):
                    identity = router.recv(zmq.NOBLOCK)
                    router.recv(zmq.NOBLOCK)
                    self.take(identity, router.recv(zmq.NOBLOCK))
            except zmq.Again:
                pass
            try:
                while True:
                    self.pull.recv(zmq.NOBLOCK)
                    self.acknowledge()
            except zmq.Again:
                pass

    def take(self, identity: bytes, body: bytes) -> None:
        envelope = msgpack.unpackb(body, raw=True)
        if envelope[b"enc"] == b"clear":
            self.reply(identity, self.answer(unpack(body)["load"]))
            return
        minion_id, packet = envelope[b"id"].decode(), envelope[b"load"]
        peer = self.peers.get(minion_id) or self.meet(minion_id)
        encryptor, decryptor, mac_key, tok = peer
        sealed, mac = packet[:-32], packet[-32:]
        assert hmac.compare_digest(hmac.digest(mac_key, sealed, "sha256"), mac)
        padded = decryptor.decrypt(sealed)[16:]
        assert padded.startswith(PREFIX)
        load = msgpack.unpackb(padded[8 : -padded[-1]], raw=False, unicode_errors="surrogateescape")
        nonce = load.pop("nonce")
        assert load["id"] == minion_id
        assert abs(time.time() - load.pop("ts")) < MAX_AGE_S
        proof = load.pop("tok").encode("utf-8", "surrogateescape")
        if tok is None:  # verified once
            assert check_tok(public_key(self.keys[minion_id]), proof)
            peer[3] = proof
        else:
            assert hmac.compare_digest(proof, tok)
        assert (minion_id, nonce) not in self.seen
        self.seen.add((minion_id, nonce))
        tag = load.get("tag")
        if load["cmd"] == "_return":
            jid = load["jid"]
            assert minion_id in self.jobs[jid]
            tag = f"salt/job/{jid}/ret/{minion_id}"
            row = (jid, minion_id, time.time(), msgpack.packb(load))
        else:
            row = None
        load["_stamp"] = datetime.now(UTC).isoformat()
        event = tag.encode() + b"\n\n" + msgpack.packb(load)
        plain = PREFIX + nonce.encode() + b"\xc0"
        plain += bytes((16 - len(plain) % 16,)) * (16 - len(plain) % 16)
        answer = encryptor.encrypt(os.urandom(16) + plain)
        reply = msgpack.packb(answer + hmac.digest(mac_key, answer, "sha256"), use_bin_type=False)
        if row is None:
            self.fire(event)
            self.reply(identity, reply)
        else:
            self.waiting.append((identity, reply, event, row))
            self.work.set()

    def fire(self, event: bytes) -> None:
        self.sequence += 1
        self.bus.send(event, zmq.SNDMORE)
        self.bus.send(STAMP.pack(b"flatboot", self.sequence))

    def reply(self, identity: bytes, body: bytes) -> None:
        self.router.send(identity, zmq.SNDMORE)
        self.router.send(b"", zmq.SNDMORE)
        self.router.send(body)

    def commit(self) -> None:
        """The thread of the store: one transaction for all that came in during the one before."""
        database = sqlite3.connect(self.where / "flat.db", isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE returns (jid TEXT, id TEXT, received REAL, body BLOB)")
        database.execute("CREATE UNIQUE INDEX once ON returns (jid, id)")
        while True:
            self.work.wait()
            self.work.clear()
            while self.waiting:
                batch = [self.waiting.popleft() for _ in range(len(self.waiting))]
                database.execute("BEGIN")
                rows = [row for *_, row in batch]
                database.executemany("INSERT OR IGNORE INTO returns VALUES (?, ?, ?, ?)", rows)
                database.execute("COMMIT")
                self.committed.append(batch)
                self.push.send(b"")

    def acknowledge(self) -> None:
        while self.committed:
            for identity, reply, event, _ in self.committed.popleft():
                self.fire(event)
                self.reply(identity, reply)

    # -- what is not on the way of a return ----------------------------------------------------

    def meet(self, minion_id: str) -> Peer:
        key = base64.b64decode(self.sessions[minion_id])
        ciphers = [AES.new(key[:24], AES.MODE_CBC, os.urandom(16)) for _ in range(2)]
        peer = self.peers[minion_id] = [*ciphers, key[24:], None]
        return peer

    def answer(self, load: dict[str, Any]) -> bytes:
        if load["cmd"] == "_auth":
            request = read_sign_in(load)
            assert isinstance(request, SignInRequest)
            self.keys[request.id] = request.pub
            session = self.sessions.setdefault(request.id, generate_key_string())
            self.peers.pop(request.id, None)
            return accepted_reply(
                request,
                master_key=self.key,
                publish_port=self.publish_port,
                aes=self.aes,
                aes_sig=self.aes_sig,
                session=session,
            )
        minions = [each for each in self.sessions if fnmatchcase(each, load["tgt"])]
        self.jobs[load["jid"]] = set(minions)
        job = {name: load[name] for name in ("fun", "arg", "tgt", "tgt_type", "jid", "ret")}
        packet = self.publishing.dumps({**job, "user": "root", "serial": len(self.jobs)})
        self.pub.send(signed_publish(packet, self.key, "PKCS1v15-SHA1"))
        return clear_reply({"jid": load["jid"], "minions": minions, "missing": []})


def main() -> None:
    ret_port, publish_port, where = sys.argv[1:]
    flat = Flat(int(ret_port), int(publish_port), Path(where))
    print("flat is ready", flush=True)
    flat.run()


if __name__ == "__main__":
    main()
