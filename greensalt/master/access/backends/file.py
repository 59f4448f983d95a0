"""A back end that reads a file of users: text with or without hashes, htpasswd, htdigest.

Options (Salt's): `filename`; `filetype` text, htpasswd or htdigest; for text `hashtype` (plaintext
or a hash of hashlib), `field_separator`, `username_field`, `password_field`; for htdigest `realm`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from greensalt.config import MasterConfig
from greensalt.errors import ConfigError
from greensalt.master.access.backends.backend import Backend
from greensalt.master.access.backends.passwordhash import matches_hash

PLAIN = "plaintext"


class PasswordFile(Backend):
    """Reads the file anew each time: a changed password holds at once."""

    def __init__(self, options: Mapping[str, Any], config: MasterConfig) -> None:
        super().__init__(options, config)
        if not options.get("filename"):
            raise ConfigError("external_auth: file needs ^filename")
        self._path = Path(str(options["filename"]))
        self._hash = str(options.get("hashtype", PLAIN)).lower()
        self._realm = str(options.get("realm", ""))
        kind = str(options.get("filetype", "text")).lower()
        kinds: dict[str, Callable[[str, str], bool]] = {
            "text": self._text,
            "htpasswd": self._htpasswd,
            "htdigest": self._htdigest,
        }
        if kind not in kinds:
            raise ConfigError(f"external_auth: file: ^filetype is one of {', '.join(kinds)}")
        if kind == "text" and self._hash not in {PLAIN, *hashlib.algorithms_guaranteed}:
            raise ConfigError(f"external_auth: file: there is no ^hashtype {self._hash}")
        if kind == "htdigest" and not self._realm:
            raise ConfigError("external_auth: file: htdigest needs ^realm")
        self._verify = kinds[kind]

    def verify(self, username: str, password: str) -> bool:
        return self._verify(username, password)

    def _lines(self, separator: str) -> Iterator[list[str]]:
        for line in self._path.read_text().splitlines():
            if line.strip():
                yield line.strip().split(separator)

    def _text(self, username: str, password: str) -> bool:
        name_at = int(self.options.get("username_field", 1)) - 1
        password_at = int(self.options.get("password_field", 2)) - 1
        presented = password
        if self._hash != PLAIN:
            presented = hashlib.new(self._hash, password.encode()).hexdigest()
        for fields in self._lines(str(self.options.get("field_separator", ":"))):
            if len(fields) > max(name_at, password_at) and fields[name_at] == username:
                return _same(fields[password_at], presented)
        return False

    def _htpasswd(self, username: str, password: str) -> bool:
        for name, *rest in self._lines(":"):
            if name == username and rest:
                return matches_hash(password, rest[0])
        return False

    def _htdigest(self, username: str, password: str) -> bool:
        digest = hashlib.md5(  # the format is md5
            f"{username}:{self._realm}:{password}".encode()
        ).hexdigest()
        for fields in self._lines(":"):
            if fields[:2] == [username, self._realm] and len(fields) > 2:
                return _same(fields[2], digest)
        return False


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
