"""ZMTP 3.0 over plain sockets and one epoll: what a swarm of emulated minions stands on.

A ZeroMQ socket per minion costs the generator tens of kilobytes and two switches per message; here
a connection is a file descriptor and two byte strings, so that the generator's share of this
machine stays small beside the master's. Only what a SUB and a REQ need is here.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from typing import Final

GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
MORE: Final = 0x01
LARGE: Final = 0x02
COMMAND: Final = 0x04
READ_BYTES: Final = 1 << 18
SOURCES: Final = 16  # addresses of the loopback network that connections come from


def frame(body: bytes, flags: int = 0) -> bytes:
    """One frame as it travels."""
    if len(body) > 255:
        return bytes((flags | LARGE,)) + len(body).to_bytes(8, "big") + body
    return bytes((flags, len(body))) + body


def ready(kind: bytes) -> bytes:
    """The command that ends the handshake."""
    field = b"\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    return frame(b"\x05READY" + field, COMMAND)


class Loop:
    """The connections of a process. `add` any other file whose readability matters."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._takers: dict[int, Callable[[], None]] = {}

    def add(self, fd: int, take: Callable[[], None]) -> None:
        self._takers[fd] = take
        self._epoll.register(fd, select.EPOLLIN)

    def remove(self, fd: int) -> None:
        del self._takers[fd]
        self._epoll.unregister(fd)

    def want_write(self, fd: int, wanted: bool) -> None:
        self._epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def turn(self, timeout_s: float) -> None:
        """Wait for something to read or write, and have it taken."""
        for fd, _ in self._epoll.poll(timeout_s, 1024):
            taker = self._takers.get(fd)
            if taker is not None:
                taker()


class Connection:
    """One connection of a `kind` of socket (b"SUB", b"REQ").

    `take` gets the last frame of each message: the only one that a minion looks at. `lost` is
    called once when the other side has closed.
    """

    __slots__ = (
        "_fd",
        "_held",
        "_in",
        "_loop",
        "_lost",
        "_out",
        "_sock",
        "_take",
        "greeted",
        "is_up",
    )

    def __init__(
        self,
        loop: Loop,
        port: int,
        kind: bytes,
        take: Callable[[bytes], None],
        lost: Callable[[], None],
        number: int = 0,
    ) -> None:
        self._loop, self._take, self._lost = loop, take, lost
        self._sock = socket.socket()
        # One address has only some 28,000 ports for connections to one other.
        self._sock.bind((f"127.0.0.{1 + number % SOURCES}", 0))
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self._sock.connect_ex(("127.0.0.1", port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "connect")
        self._fd = self._sock.fileno()
        self._in, self._out, self._held = b"", GREETING + ready(kind), b""
        self.greeted = self.is_up = False
        loop.add(self._fd, self._turn)
        loop.want_write(self._fd, True)

    def send(self, data: bytes) -> None:
        """Send finished frames; what does not fit waits, as all does until the greeting is over."""
        if not self.is_up:
            self._held += data
            return
        if self._out:
            self._out += data
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close()
            return
        if sent < len(data):
            self._out = data[sent:]
            self._loop.want_write(self._fd, True)

    def close(self) -> None:
        self._lost = _nothing
        self._close()

    def _close(self) -> None:
        if self._fd < 0:
            return
        self._loop.remove(self._fd)
        self._fd = -1
        self.is_up = False
        self._sock.close()
        self._lost()

    def _turn(self) -> None:
        if self._out:
            self._flush()
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        self._in = self._in + data if self._in else data
        if not self.greeted:
            if len(self._in) < len(GREETING):
                return
            self._in, self.greeted = self._in[len(GREETING) :], True
        self._read_frames()

    def _flush(self) -> None:
        try:
            sent = self._sock.send(self._out)
        except BlockingIOError:
            return
        except OSError:
            return  # the read that follows finds out
        self._out = self._out[sent:]
        if not self._out:
            self._loop.want_write(self._fd, False)

    def _read_frames(self) -> None:
        data, at, size = self._in, 0, len(self._in)
        while size - at >= 2:
            flags = data[at]
            if flags & LARGE:
                if size - at < 9:
                    break
                begin, length = at + 9, int.from_bytes(data[at + 1 : at + 9], "big")
            else:
                begin, length = at + 2, data[at + 1]
            if size - begin < length:
                break
            at = begin + length
            if flags & COMMAND:
                self._obey(data[begin:at])
            elif not flags & MORE:
                self._take(data[begin:at])
        self._in = data[at:]

    def _obey(self, command: bytes) -> None:
        if command.startswith(b"\x05READY"):
            self.is_up = True
            held, self._held = self._held, b""
            self.send(held)
        elif command.startswith(b"\x04PING"):
            self.send(frame(b"\x04PONG" + command[7:], COMMAND))


def _nothing() -> None:
    """For a connection that was closed on purpose."""
