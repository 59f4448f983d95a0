"""The returner `syslog`: a line for each return or event. Blocks; for a native thread."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from greensalt.errors import ConfigError, ReturnerDown
from greensalt.master.returners.returner import Item, number, plain, taken

OPTIONS: Final = ("address", "facility", "tag", "most_bytes")
FACILITIES: Final = MappingProxyType(
    {"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "authpriv": 10}
    | {f"local{number}": 16 + number for number in range(8)}
)
INFO, ERROR = 6, 3
SEND_S: Final = 5.0


class Syslog:
    """Sends each return or event as a datagram of JSON; that of a failed job has the level `err`.

    Options: `address`, a socket's path (/dev/log) or `udp://host:port`; `facility` (daemon); `tag`
    (greensalt); `most_bytes` of a message (8192): of a larger one the result, or the data, is left
    out. Nobody acknowledges a datagram: what a server across the network loses is lost.
    """

    batch = 100

    def __init__(self, options: Mapping[str, Any]) -> None:
        given = taken(options, *OPTIONS)
        self._address, self._family = _parsed(given.get("address", "/dev/log"))
        facility = given.get("facility", "daemon")
        if facility not in FACILITIES:
            raise ConfigError(f"facility must be one of {', '.join(FACILITIES)}")
        self._facility = FACILITIES[facility]
        self._tag = str(given.get("tag", "greensalt"))
        if not self._tag.isidentifier():
            raise ConfigError(f"tag must be a word, not {self._tag!r}")
        self._most_bytes = int(number(given, "most_bytes", 8192, 480))
        self._socket: socket.socket | None = None

    def __repr__(self) -> str:
        return f"syslog at {self._address}"

    def send(self, items: Sequence[Item]) -> None:
        self._deliver(items, self._line)

    def event_return(self, events: Sequence[dict[str, Any]]) -> None:
        self._deliver(events, self._event_line)

    def _deliver(self, items: Sequence[Any], line_of: Callable[[Any], bytes]) -> None:
        sent = 0
        try:
            if self._socket is None:
                self._socket = self._connect()
            for item in items:
                self._socket.send(line_of(item))
                sent += 1
        except OSError as error:
            self.close()
            raise ReturnerDown(f"{self!r}: {error}", answered=False, taken=sent) from error

    def close(self) -> None:
        opened, self._socket = self._socket, None
        if opened is not None:
            opened.close()

    def _connect(self) -> socket.socket:
        address: Any = self._address
        family = self._family
        if family != socket.AF_UNIX:
            host, port = address
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            family, _, _, _, address = found[0]
        opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            opened.settimeout(SEND_S)
            opened.connect(address)
        except OSError:
            opened.close()
            raise
        return opened

    def _line(self, item: Item) -> bytes:
        level = INFO if item.success is not False and not item.retcode else ERROR
        head = self._head(level, item.received, "return")
        return self._fitted(head, item.plain(), "return", "fun_args")

    def _event_line(self, event: dict[str, Any]) -> bytes:
        return self._fitted(self._head(INFO, time.time(), "event"), plain(event), "data")

    def _fitted(self, head: str, fields: dict[str, Any], *large: str) -> bytes:
        line = f"{head}{json.dumps(fields)}".encode()
        if len(line) > self._most_bytes:
            fields.update(dict.fromkeys(large, "VALUE_TRIMMED"))
            line = f"{head}{json.dumps(fields)}".encode()
        return line[: self._most_bytes]

    def _head(self, level: int, received: float, what: str) -> str:
        """RFC 5424 across the network; the C library's old form for the local daemon."""
        priority = f"<{self._facility * 8 + level}>"
        if self._family == socket.AF_UNIX:
            when = datetime.fromtimestamp(received, UTC).astimezone()
            date = f"{when:%b} {when.day:2d} {when:%H:%M:%S}"
            return f"{priority}{date} {self._tag}[{os.getpid()}]: "
        when = datetime.fromtimestamp(received, UTC)
        host = os.uname().nodename or "-"
        stamp = f"{when:%Y-%m-%dT%H:%M:%S.%fZ}"
        return f"{priority}1 {stamp} {host} {self._tag} {os.getpid()} {what} - "


def _parsed(address: Any) -> tuple[Any, int]:
    text = str(address)
    if text.startswith("/"):
        return text, socket.AF_UNIX
    host, colon, port = text.removeprefix("udp://").rpartition(":")
    if not text.startswith("udp://") or not colon or not host or not port.isdecimal():
        raise ConfigError(f"address must be a path or udp://host:port, not {text!r}")
    return (host.strip("[]"), int(port)), socket.AF_UNSPEC
