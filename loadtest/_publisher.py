"""The publishing side: what greensalt-cli does on the wire, without anything around it.

Source: docs/protocol.md 8.3.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from greensalt.errors import AuthorizationError, MalformedMessage
from greensalt.transport.request import ReqChannel
from greensalt.wire.dialect import unpack
from greensalt.wire.envelope import clear_request
from greensalt.wire.jid import format_jid

PROCESSES: Final = 100


class Published(NamedTuple):
    """A publish that was acknowledged: moments of the host's monotonic clock, sizes in bytes."""

    jid: str
    minions: list[str]
    sent: float
    acknowledged: float
    size: int


class Publisher:
    """Publishes jobs, one at a time, with the key of a local user of the master."""

    def __init__(self, address: str, key_file: str) -> None:
        path = Path(key_file)
        self._user = path.name.removeprefix(".").removesuffix("_key")
        self._key = path.read_text().strip()
        self._channel = ReqChannel(address)

    def close(self) -> None:
        self._channel.close()

    def publish(self, target: str, fun: str, timeout_s: float, jid: str = "") -> Published:
        """Publish `fun` without arguments. Raises AuthorizationError, RequestTimeout, ..."""
        load = {
            "cmd": "publish",
            "tgt": target,
            "tgt_type": "glob",
            "fun": fun,
            "arg": [],
            "ret": "",
            "jid": jid,
            "kwargs": {},
            "user": self._user,
            "key": self._key,
        }
        body = clear_request(load)
        sent = time.perf_counter()
        reply = self._channel.request(body, timeout_s)
        acknowledged = time.perf_counter()
        answer = unpack(reply)
        job = answer.get("load") if isinstance(answer, dict) else None
        if not isinstance(job, dict) or not job.get("jid"):
            raise _refused(answer)
        return Published(str(job["jid"]), list(job["minions"]), sent, acknowledged, len(body))


class Jids:
    """Gives out jids that are unique on this host, though many processes give them out.

    The last two digits of the microseconds are the process's.
    """

    def __init__(self) -> None:
        self._slot = os.getpid() % PROCESSES
        self._last = 0

    def next(self) -> str:
        moment = time.time_ns() // 1000 // PROCESSES
        self._last = max(moment, self._last + 1)
        seconds, micros = divmod(self._last * PROCESSES + self._slot, 1_000_000)
        return format_jid(datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros))


def _refused(answer: Any) -> Exception:
    if not isinstance(answer, dict):
        return MalformedMessage(f"the master answered {answer!r:.200}")
    load = answer.get("load")
    reason = answer.get("error") or (load.get("error") if isinstance(load, dict) else None)
    if isinstance(reason, dict):
        reason = reason.get("message")
    return AuthorizationError(f"the master did not publish: {reason or answer!r:.200}")
