"""A back end with one password for all, for a front that knows its users itself."""

from __future__ import annotations

import hmac

from greensalt.master.access.backends.backend import Backend


class SharedSecret(Backend):
    """Every name with the option `sharedsecret` as its password; without the option, nobody."""

    def verify(self, username: str, password: str) -> bool:  # noqa: ARG002
        secret = self.config.sharedsecret or ""
        return hmac.compare_digest(password.encode(), secret.encode()) and bool(secret)
