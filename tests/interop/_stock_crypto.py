"""Run by a stock Salt's own interpreter: its crypto on one side of each comparison.

Reads one JSON object (bytes as hex, keys as files of PEM text), writes one.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import salt.crypt
import salt.payload
import salt.utils.crypt
import salt.utils.stringutils

OAEP = ("OAEP-SHA1", "OAEP-SHA224")
SIGNATURES = ("PKCS1v15-SHA1", "PKCS1v15-SHA224")


def load_key(kind: Any, path: str) -> Any:
    """3008 has a constructor for files, in 3006 and 3007 it is the constructor."""
    return getattr(kind, "from_file", kind)(path)


def main() -> None:
    """Read with Salt what greensalt wrote, and write something for greensalt to read."""
    asked = json.load(sys.stdin)
    private = load_key(salt.crypt.PrivateKey, asked["private"])
    public = load_key(salt.crypt.PublicKey, asked["public"])
    box = salt.crypt.Crypticle({}, asked["key_string"])
    message = asked["message"].encode()
    given = {name: bytes.fromhex(value) for name, value in asked["given"].items()}
    to_bytes = salt.utils.stringutils.to_bytes
    answer = {
        "packet": box.dumps(asked["object"]).hex(),
        "packet_with_nonce": box.dumps(asked["object"], nonce=asked["nonce"]).hex(),
        "read_packets": [box.loads(bytes.fromhex(packet)) for packet in asked["packets"]],
        "read_reply": box.loads(given["packet_with_nonce"], nonce=asked["nonce"]),
        "packed": salt.payload.dumps(asked["object"], use_bin_type=False).hex(),
        "unpacked": salt.payload.loads(given["packed"]),
        "x931": private.encrypt(message).hex(),
        "read_x931": to_bytes(public.decrypt(given["x931"])).decode(),
        "finger": salt.utils.crypt.pem_finger(path=asked["public"], sum_type="sha256"),
        "signed": {algo: private.sign(message, algo).hex() for algo in SIGNATURES},
        "verified": {algo: public.verify(message, given[algo], algo) for algo in SIGNATURES},
        "sealed": {algo: public.encrypt(message, algo).hex() for algo in OAEP},
        "opened": {algo: to_bytes(private.decrypt(given[algo], algo)).decode() for algo in OAEP},
        "generated": generate(asked["directory"]),
        "key_string": salt.utils.stringutils.to_str(salt.crypt.Crypticle.generate_key_string()),
    }
    json.dump(answer, sys.stdout)


def generate(directory: str) -> dict[str, str]:
    """The two PEM texts of a new key pair: 3008 returns them, 3006 and 3007 write files."""
    if "keydir" not in inspect.signature(salt.crypt.gen_keys).parameters:
        private, public = salt.crypt.gen_keys(2048)
        return {"pem": private, "pub": public}
    salt.crypt.gen_keys(directory, "stock", 2048)
    return {kind: Path(directory, f"stock.{kind}").read_text() for kind in ("pem", "pub")}


if __name__ == "__main__":
    main()
