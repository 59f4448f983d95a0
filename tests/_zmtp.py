"""A ZMTP 3.0 peer by hand, on a blocking-free TCP socket, so that it can break every rule of it."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from gevent import socket

SIGNATURE: Final = b"\xff" + bytes(8) + b"\x7f"
GREETING: Final = SIGNATURE + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)
MORE: Final = 0x01
LARGE: Final = 0x02
COMMAND: Final = 0x04


def frame(body: bytes, flags: int = 0) -> bytes:
    """One frame as it travels."""
    if len(body) > 255:
        return bytes([flags | LARGE]) + len(body).to_bytes(8, "big") + body
    return bytes([flags, len(body)]) + body


def message(*bodies: bytes) -> bytes:
    """A message of several frames."""
    last = len(bodies) - 1
    return b"".join(frame(body, MORE if place < last else 0) for place, body in enumerate(bodies))


def ready(kind: str, identity: bytes = b"") -> bytes:
    """The READY command of a socket of this kind."""
    fields = {b"Socket-Type": kind.encode(), b"Identity": identity}
    body = b"\x05READY" + b"".join(
        bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value
        for name, value in fields.items()
    )
    return frame(body, COMMAND)


class Wire:
    """A TCP connection to a bound socket; `greet` does the handshake, `send` sends any bytes."""

    def __init__(self, address: str) -> None:
        host, port = address.removeprefix("tcp://").rsplit(":", 1)
        self.sock = socket.create_connection((host, int(port)), 5)

    def greet(self, kind: str, identity: bytes = b"") -> Self:
        self.send(GREETING + ready(kind, identity))
        if self.read(len(GREETING)) and (head := self.read(2)):
            self.read(head[1])
        return self

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read(self, size: int) -> bytes:
        """Exactly so many bytes; fewer when the other side has closed."""
        found = b""
        while len(found) < size:
            part = self.sock.recv(size - len(found))
            if not part:
                break
            found += part
        return found

    def is_closed(self, timeout_s: float = 5.0) -> bool:
        """Whether the other side closes within the time."""
        self.sock.settimeout(timeout_s)
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sock.close()
