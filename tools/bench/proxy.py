"""A TCP proxy that sees how long a minion waits for its master, whichever master that is.

The request connections of ZeroMQ alternate: a request, then its reply. So the time from the first
bytes of a request to the last bytes of what came back before the next one is time that the minion
waited, the transfer of large replies included. What is no message (the greeting, ZMTP's commands,
heartbeats among them) doesn't count.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple, Self

READ_BYTES = 1 << 20
GREETING_BYTES = 64
LONG, COMMAND = 2, 4  # flags of a frame


class Waited(NamedTuple):
    """What went through since the last look: seconds waited, requests, and reply bytes."""

    seconds: float
    requests: int
    reply_bytes: int


class _Frames:
    """Finds the messages in one direction of a connection of ZMTP 3."""

    def __init__(self) -> None:
        self._skip = GREETING_BYTES
        self._head = b""
        self._is_message = False

    def has_message(self, data: bytes) -> bool:
        """Whether these bytes, which follow the last ones, hold a part of a message."""
        found = False
        place = 0
        while place < len(data):
            if self._skip:
                step = min(self._skip, len(data) - place)
                self._skip -= step
                place += step
                found = found or self._is_message
                continue
            self._head += data[place : place + 1]
            place += 1
            if len(self._head) == (9 if self._head[0] & LONG else 2):
                self._is_message = not self._head[0] & COMMAND
                found = found or self._is_message
                self._skip = int.from_bytes(self._head[1:], "big")
                self._head = b""
        return found


@dataclass
class _Way:
    """One connection: the frames of both directions, and the exchange that is under way."""

    asked: float | None = None
    answered: float | None = None
    requests: _Frames = field(default_factory=_Frames)
    replies: _Frames = field(default_factory=_Frames)


class Proxy:
    """Listens on `port` of 127.0.0.1, in a native thread, for a master behind it."""

    def __init__(self, master_port: int) -> None:
        self._master = ("127.0.0.1", master_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._ways: set[int] = set()
        self._open: dict[int, _Way] = {}
        self._seconds, self._requests, self._bytes = 0.0, 0, 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._listener.close()

    def waited(self) -> Waited:
        """What went through since the last call."""
        with self._lock:
            for way in self._open.values():
                self._settle(way)
            seen = Waited(self._seconds, self._requests, self._bytes)
            self._seconds, self._requests, self._bytes = 0.0, 0, 0
        return seen

    def _settle(self, way: _Way) -> None:
        """Count the exchange that has been answered."""
        if way.asked is not None and way.answered is not None:
            self._seconds += way.answered - way.asked
            self._requests += 1
            way.asked = way.answered = None

    def _run(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.1):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._pass_on(key)

    def _accept(self) -> None:
        minion, _ = self._listener.accept()
        try:
            master = socket.create_connection(self._master)
        except OSError:
            minion.close()  # it comes again
            return
        way = _Way()
        with self._lock:
            self._open[id(way)] = way
        for source, target, from_minion in ((minion, master, True), (master, minion, False)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(
                source, selectors.EVENT_READ, (source, target, from_minion, way)
            )

    def _pass_on(self, key: selectors.SelectorKey) -> None:
        source, target, from_minion, way = key.data
        try:
            data = source.recv(READ_BYTES)
            if data:
                self._note(way, data, from_minion=from_minion)
                target.sendall(data)
                return
        except OSError:
            pass
        for each in (source, target):
            if each.fileno() >= 0:
                self._selector.unregister(each)
                each.close()
        with self._lock:
            self._settle(way)
            self._open.pop(id(way), None)

    def _note(self, way: _Way, data: bytes, *, from_minion: bool) -> None:
        now = time.perf_counter()
        with self._lock:
            if from_minion:
                if way.requests.has_message(data):
                    self._settle(way)
                    way.asked = way.asked or now
            elif way.replies.has_message(data):
                self._bytes += len(data)
                way.answered = now
