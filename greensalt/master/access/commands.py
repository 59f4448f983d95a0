"""The clear commands of tokens: `mk_token`, `get_token`. Source: docs/protocol.md 6.1."""

from __future__ import annotations

from typing import Any

from greensalt.errors import AuthenticationError
from greensalt.master.access.access import Access


class TokenCommands:
    """Handlers for the table of clear commands."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def make(self, load: dict[str, Any]) -> dict[str, Any] | str:
        """`mk_token`: the token with what it stands for; "" for a password that is wrong."""
        try:
            return self._access.make_token(load)
        except AuthenticationError:
            return ""

    def get(self, load: dict[str, Any]) -> dict[str, Any]:
        """`get_token`: what a token stands for; {} for one that is none, or no longer."""
        return self._access.tokens.get(load.get("token")) or {}
