"""The asking side of a fleet's control socket (`_fleet` has the questions)."""

from __future__ import annotations

import json
import socket
from typing import Any

from greensalt.errors import GreensaltError, TransportError


class Control:
    """Asks a fleet; for one greenlet. A fleet that is silent for `timeout_s` is an error."""

    def __init__(self, path: str, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._lines.close()
            self._socket.close()
            self._socket = None

    def acks(self, jid: str, count: int, timeout_s: float) -> list[dict[str, Any]]:
        """What became of a job's returns: id, sent, acknowledged, size, error of each."""
        answer = self._ask({"do": "acks", "jid": jid, "count": count, "timeout_s": timeout_s})
        names = ("id", "sent", "acknowledged", "size", "error")
        return [dict(zip(names, ack, strict=True)) for ack in answer["acks"]]

    def sign_in(self, codec: str) -> float:
        """One more sign-in; the seconds it took."""
        return float(self._ask({"do": "sign_in", "codec": codec})["took_s"])

    def event(self, codec: str, tag: str) -> tuple[float, int]:
        """Have a minion fire an event: when it was sent, and its size."""
        answer = self._ask({"do": "event", "codec": codec, "tag": tag})
        return float(answer["sent"]), int(answer["size"])

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            line = self._exchange(json.dumps(question).encode() + b"\n")
        except OSError as error:  # also silence; an answer that comes late must not be read
            self.close()
            raise TransportError(f"the fleet does not answer: {error}") from error
        if not line:
            self.close()
            raise TransportError("the fleet of emulated minions has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise GreensaltError(str(answer["error"]))
        return answer

    def _exchange(self, line: bytes) -> bytes:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(self._timeout_s)
            self._socket.connect(self._path)
            self._lines = self._socket.makefile("rwb")
        self._lines.write(line)
        self._lines.flush()
        return self._lines.readline()
