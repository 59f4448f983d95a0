"""The steps of one return, each by itself in a warm loop, beside the same on bare libraries.

    python -m tools.bench.steps

Warm loops are kinder than a master, whose caches have seen other work in between: compare steps
with each other, and take what a whole return costs from tools.bench.limit.
"""

from __future__ import annotations

import argparse
import hmac
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
from Crypto.Cipher import AES

from greensalt.crypto.crypticle import Crypticle, generate_key_string
from greensalt.master.reqserver import seal
from greensalt.store import blobs
from greensalt.wire import dialect, tags
from greensalt.wire.envelope import (
    DEFAULT_ENC_ALGO,
    DEFAULT_SIG_ALGO,
    encrypted_request,
    parse_request,
)
from tools.bench.flat import PREFIX
from tools.bench.report import write

TURNS = 4000
ROUNDS = 7


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    args = parser.parse_args()
    figures = {
        name: {f"{step}, us": _best_us(call) for step, call in steps.items()}
        for name, steps in (("greensalt", _steps()), ("limit", _flat_steps()))
    }
    for each in figures.values():
        each["all of these, us"] = sum(each.values())
    write("Steps of a return to test.ping", figures, args.out)
    return 0


EVENT: dict[str, Any] = {
    "cmd": "_return",
    "id": "minion-0001.example.org",
    "jid": "20261123010000000001",
    "fun": "test.ping",
    "fun_args": [],
    "return": True,
    "retcode": 0,
    "success": True,
}
NONCE = "a" * 32


def _steps() -> dict[str, Callable[[], object]]:
    """As the master does them."""
    crypticle = Crypticle(generate_key_string())
    wire = dialect.pack({**EVENT, "nonce": NONCE, "ts": 1, "tok": os.urandom(256)})
    packet = crypticle.encrypt(PREFIX + wire)
    body = encrypted_request(EVENT["id"], packet, DEFAULT_ENC_ALGO, DEFAULT_SIG_ALGO)
    tag = tags.job_ret(EVENT["jid"], EVENT["id"])
    return {
        "read the envelope": lambda: parse_request(body),
        "check the MAC and decrypt": lambda: crypticle.decrypt(packet),
        "unpack the load": lambda: dialect.unpack(wire),
        "pack the row": lambda: blobs.pack([EVENT, {}]),
        "stamp the event": lambda: tags.stamp(EVENT, datetime.now(UTC)),
        "pack the event": lambda: tags.pack_event(tag, EVENT),
        "pack, encrypt and sign the reply": lambda: seal(crypticle, NONCE, None),
    }


def _flat_steps() -> dict[str, Callable[[], object]]:
    """The same on bare libraries, as `flat` does them."""
    key = os.urandom(56)
    encryptor, decryptor = (AES.new(key[:24], AES.MODE_CBC, os.urandom(16)) for _ in range(2))
    wire = dialect.pack({**EVENT, "nonce": NONCE, "ts": 1, "tok": os.urandom(256)})
    padded = PREFIX + wire + bytes(16 - (len(wire) + 8) % 16)
    sealed = encryptor.encrypt(os.urandom(16) + padded)
    mac = hmac.digest(key[24:], sealed, "sha256")
    body = encrypted_request(EVENT["id"], sealed + mac, DEFAULT_ENC_ALGO, DEFAULT_SIG_ALGO)
    tag = f"salt/job/{EVENT['jid']}/ret/{EVENT['id']}".encode()

    def decrypt() -> bytes:
        assert hmac.compare_digest(hmac.digest(key[24:], sealed, "sha256"), mac)
        return decryptor.decrypt(sealed)[16:]

    def reply() -> Any:
        plain = PREFIX + NONCE.encode() + b"\xc0"
        plain += bytes((16 - len(plain) % 16,)) * (16 - len(plain) % 16)
        answer = encryptor.encrypt(os.urandom(16) + plain)
        whole = answer + hmac.digest(key[24:], answer, "sha256")
        return msgpack.packb(whole, use_bin_type=False)

    return {
        "read the envelope": lambda: msgpack.unpackb(body, raw=True),
        "check the MAC and decrypt": decrypt,
        "unpack the load": lambda: msgpack.unpackb(
            wire, raw=False, unicode_errors="surrogateescape"
        ),
        "pack the row": lambda: msgpack.packb(EVENT),
        "stamp the event": lambda: datetime.now(UTC).isoformat(),
        "pack the event": lambda: tag + b"\n\n" + msgpack.packb(EVENT),
        "pack, encrypt and sign the reply": reply,
    }


def _best_us(step: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(TURNS):
            step()
        best = min(best, (time.perf_counter() - began) / TURNS)
    return best * 1e6


if __name__ == "__main__":
    sys.exit(main())
