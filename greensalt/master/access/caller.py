"""Somebody who has proven who they are."""

from __future__ import annotations

from typing import Any, NamedTuple

Rules = tuple[Any, ...]
"""Entries of publisher_acl or external_auth as written; rules.py reads them."""


class Caller(NamedTuple):
    """An authenticated client.

    name    of the user; `sudo_bob` for bob as root
    eauth   the back end that knows them; "" for a local user, who has a key
    rules   what they may do; None for who may do everything
    """

    name: str
    eauth: str = ""
    rules: Rules | None = None

    @property
    def is_unbound(self) -> bool:
        """Whether no rules apply: the master's own user, and root by sudo."""
        return self.rules is None
