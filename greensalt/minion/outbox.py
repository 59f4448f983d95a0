"""Results that the master has not acknowledged yet, on disk.

A result is written to `<cachedir>/outbox/` before it is sent and removed once the master has
answered, which it does only after the return is in its store. What is still there when the minion
starts is sent again; the master keeps one return per (jid, id), so none counts twice.

Source: docs/architecture.md, "Nothing lost".
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

from greensalt.errors import GreensaltError, ProtocolError
from greensalt.green import Backoff, Crew, OnCall, within
from greensalt.store.files import write_private
from greensalt.transport.sockets import MAX_MESSAGE_BYTES
from greensalt.wire.dialect import pack_bin, unpack_bin

log = logging.getLogger(__name__)

SUFFIX = ".p"
RESULT_MOST_BYTES = MAX_MESSAGE_BYTES - (1 << 20)  # leaves room for what a request has besides
KEPT = ("cmd", "id", "jid", "fun", "user")  # of a result that can't be sent as it is


class Outbox:
    """Keeps loads on disk until `send(load)` comes back without an error.

    `send` blocks its greenlet and raises GreensaltError when the master did not acknowledge.
    """

    def __init__(
        self, directory: Path, send: Callable[[dict[str, Any]], object], backoff: Backoff
    ) -> None:
        self._directory = directory
        self._send = send
        self._backoff = backoff
        self._waiting: deque[tuple[Path | None, dict[str, Any]]] = deque()
        self._sending = OnCall("outbox", self._send_all)
        self._hurry = Event()
        self._count = 0
        self.sent = self.failed = self.unreadable = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def jids(self) -> set[str]:
        """The jobs whose results wait."""
        return {str(load.get("jid")) for _, load in self._waiting}

    def open(self) -> None:
        """Take up what an earlier run left behind, the oldest first."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for unfinished in self._directory.glob(f".*{SUFFIX}.*.new"):  # of a run that was killed
            unfinished.unlink(missing_ok=True)
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            try:
                load = unpack_bin(path.read_bytes())
                if not isinstance(load, dict):
                    raise ProtocolError("not a dictionary")
            except (OSError, ProtocolError) as error:
                self.unreadable += 1
                log.error("the spooled result %s can't be read, it stays there: %s", path, error)
                path.rename(path.with_suffix(".unreadable"))
                continue
            self._waiting.append((path, load))
        if self._waiting:
            log.info("%d results of an earlier run will be sent", len(self._waiting))
            self._sending.call()

    def put(self, load: dict[str, Any]) -> None:
        """Write a result down and have it sent. A full disk is logged; the result is sent still.

        What no master could take is replaced by the reason: it would be tried for ever.
        """
        load, packed = _fit(load)
        self._count += 1
        name = f"{time.time_ns():020d}-{os.getpid()}-{self._count}{SUFFIX}"
        path: Path | None = self._directory / name
        try:
            write_private(self._directory / name, packed)
        except OSError as error:
            log.critical("a result can't be spooled to %s: %s", self._directory, error)
            path = None
        self._waiting.append((path, load))
        self._sending.call()

    def hurry(self) -> None:
        """The master is back: try at once what waits for its next try."""
        self._hurry.set()

    def start(self, crew: Crew) -> None:
        """Send what waits and what will come, until the crew is stopped."""
        self._sending.start(crew)

    def _send_all(self) -> None:
        """What fails goes to the end of the queue."""
        while self._waiting:
            path, load = self._waiting[0]
            try:
                self._send(load)
            except Exception as error:
                if not isinstance(error, GreensaltError):
                    log.exception("a result could not be sent")
                self.failed += 1
                self._waiting.rotate(-1)
                wait_s = self._backoff.next_s()
                log.warning("a result was not acknowledged (%s), again in %.1f s", error, wait_s)
                self._hurry.clear()
                self._hurry.wait(wait_s)
                continue
            self._backoff.reset()
            self.sent += 1
            self._waiting.remove((path, load))
            if path is not None:
                self._remove(path)

    @staticmethod
    def _remove(path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:  # the next run sends it again, which does no harm
            log.error("the result %s can't be removed: %s", path, error)

    def flush(self, timeout_s: float) -> int:
        """Wait until all is sent, `timeout_s` at most; returns how many stay for the next run."""
        with within(timeout_s):
            while self._waiting:
                gevent.sleep(0.01)
        return len(self._waiting)


def _fit(load: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """A load that can be sent, and its bytes: this one, or one that says why it can't be."""
    try:
        packed = pack_bin(load)
        if len(packed) <= RESULT_MOST_BYTES:
            return load, packed
        reason = f"it is too large: {len(packed)} bytes, the most is {RESULT_MOST_BYTES}"
    except ProtocolError as error:
        reason = str(error)
    log.error("the result of job %s can't be sent: %s", load.get("jid"), reason)
    told = {key: load[key] for key in KEPT if key in load}
    told |= {"fun_args": [], "return": f"ERROR: the result can't be sent: {reason}"}
    told |= {"retcode": 1, "success": False, "out": "nested"}
    return told, pack_bin(told)
