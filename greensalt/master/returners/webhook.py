"""The returner `webhook`: returns or events in an HTTP POST. Blocks; for a native thread."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from greensalt import __version__
from greensalt.errors import ConfigError, ReturnerDown, ReturnerRefused
from greensalt.master.returners.returner import Item, number, plain, taken

OPTIONS: Final = ("url", "headers", "timeout", "batch", "ca")
ANSWER_BYTES: Final = 64 << 10
# What a later try may change, besides 5xx: too slow, locked, too early, too many.
LATER: Final = frozenset({408, 423, 425, 429})


class Webhook:
    """Posts `{"returns": [...]}` or `{"events": [...]}` to a URL; any 2xx is an acknowledgement.

    Options: `url`; `headers`, a map, which may hold secrets; `timeout` in seconds (10), of
    connecting and of each silence; `batch`, the most in one request (100); `ca`, a file of
    certificates to trust instead of the system's. Certificates are always verified, redirects never
    followed, and nothing of the URL but its host is ever logged.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        given = taken(options, *OPTIONS)
        parts = _checked(given.get("url"))
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = _headers(given.get("headers") or {})
        self._timeout_s = number(given, "timeout", 10, 0.1)
        self.batch = int(number(given, "batch", 100, 1))
        self._tls = _trust(given.get("ca")) if parts.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None

    def __repr__(self) -> str:
        return f"webhook at {self._host}"

    def send(self, items: Sequence[Item]) -> None:
        self._deliver("returns", [item.plain() for item in items])

    def event_return(self, events: Sequence[dict[str, Any]]) -> None:
        self._deliver("events", [plain(event) for event in events])

    def _deliver(self, what: str, entries: Sequence[dict[str, Any]]) -> None:
        body = json.dumps({what: entries}).encode()
        headers = {**self._headers, "Idempotency-Key": entries[0]["key"]}
        if len(entries) > 1:
            headers["Idempotency-Key"] += f"..{entries[-1]['key']}"
        reused = self._connection is not None
        try:
            status, reason = self._post(body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if not reused:
                raise self._down(error) from error
            try:  # an idle connection is closed by the other end some day
                status, reason = self._post(body, headers)
            except (OSError, http.client.HTTPException) as again:
                self.close()
                raise self._down(again) from again
        if 200 <= status < 300:
            return
        said = f"{self._host} answers {status} {reason}"
        if status >= 500 or status in LATER:
            raise ReturnerDown(said, answered=True)
        raise ReturnerRefused(said)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        connection = self._connection = self._connection or self._connect()
        connection.request("POST", self._path, body, dict(headers))
        response = connection.getresponse()
        rest = response.read(ANSWER_BYTES)
        if len(rest) == ANSWER_BYTES or response.will_close:
            self.close()  # nobody reads that to its end
        return response.status, str(response.reason)[:200]

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=self._tls
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _down(self, error: Exception) -> ReturnerDown:
        return ReturnerDown(f"{self._host}: {str(error) or type(error).__name__}", answered=False)


def _checked(url: Any) -> Any:
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ConfigError("url must be a text that begins with http:// or https://")
    parts = urlsplit(url)
    try:
        has_host, _ = bool(parts.hostname), parts.port
    except ValueError:
        has_host = False
    if not has_host or any(ord(char) <= 32 or ord(char) > 126 for char in url):
        raise ConfigError("url is not one: it needs a host, a port is a number, spaces are %20")
    if parts.username is not None:
        raise ConfigError("url must not hold a user name; put the credentials into `headers`")
    return parts


def _headers(given: Any) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise ConfigError("headers must be a map")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"greensalt/{__version__}",
    }
    for name, value in given.items():
        text = str(value)
        if not str(name).isascii() or not text.isascii() or not f"{name}{text}".isprintable():
            raise ConfigError(f"the header {str(name)!r} has characters that no header may have")
        headers[str(name)] = text
    return headers


def _trust(ca: Any) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the certificates in ca, {ca}, can't be read: {error}") from error
