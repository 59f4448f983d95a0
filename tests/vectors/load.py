"""The golden bytes of this directory: recorded once, never regenerated.

crypticle.json and rsa.json agree with stock Salt's own crypto; the others hold messages as this
project first sent them, so that a change of form can't go unnoticed.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from greensalt.crypto.keypair import PrivateKey

HERE = Path(__file__).parent


@cache
def vectors(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text())


@cache
def key(name: str) -> PrivateKey:
    """One of the test keys: master, minion, master_sign, stranger (2048 bits), small (1024)."""
    return PrivateKey.from_pem((HERE / "keys" / f"{name}.pem").read_text())


def golden(name: str, field: str) -> bytes:
    return bytes.fromhex(vectors(name)[field])
