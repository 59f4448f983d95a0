"""What a client shows instead of a local user's key: a password or a token.

Source: docs/access.md, docs/protocol.md 6.1.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

from greensalt.errors import AuthenticationError, StoreError

PROOFS: Final = ("token", "eauth", "username", "password")

Proof = dict[str, str]
"""`token`, or `eauth`, `username` and `password`."""


def take_proof(options: MutableMapping[str, Any]) -> Proof | None:
    """Take the proof out of the options of a call; None when there is none."""
    found = {name: str(options.pop(name)) for name in PROOFS if options.get(name)}
    if "token" in found:
        return {"token": found["token"]}
    return found or None


def read_token(path: Path) -> str | None:
    """The token in a file; None when there is none that this user may read."""
    from greensalt.store.keyfiles import read_regular

    try:
        text = read_regular(path)
    except StoreError:
        return None
    return text.strip() if text and text.strip() else None


def write_token(path: Path, token: str) -> None:
    """Keep a token in a file that nobody else may read."""
    from greensalt.store.files import write_private

    try:
        write_private(path, token.encode())
    except OSError as error:
        raise AuthenticationError(f"the token can't be kept in {path}: {error.strerror}") from error
