"""What a back end of external_auth has to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from greensalt.config import MasterConfig


class Backend(ABC):
    """Knows users and their passwords.

    `options` are those of its section of external_auth that begin with a caret. Every method but
    the first runs in a native thread, and may block; what it raises counts as a no, and is logged.
    """

    def __init__(self, options: Mapping[str, Any], config: MasterConfig) -> None:
        self.options = options
        self.config = config

    @abstractmethod
    def verify(self, username: str, password: str) -> bool:
        """Whether this is the user's password, and the user may log in."""

    def groups(self, username: str) -> Collection[str]:  # noqa: ARG002
        """The groups of a user who has been verified: external_auth names them as `group%`."""
        return ()

    def rules(self, username: str) -> Sequence[Any] | None:  # noqa: ARG002
        """The access list of a user, in place of that of external_auth; None when it has none."""
        return None
