"""Publishes, from the frames of the SUB socket to jobs that are this minion's.

Each is verified (signature), opened (publish key), checked (serial, fields) and matched, in this
order; only then its jid is remembered, because one jid may be published to several targets.
Jobs that the minion had missed and asked for come by another way, through the same last checks.

Source: docs/protocol.md 5.3, 9.3 item 8, 12.5.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from greensalt.crypto.signing import check_publish
from greensalt.errors import CryptoError, DecryptError, GreensaltError, ProtocolError
from greensalt.minion.journal import Journal
from greensalt.minion.session import MasterSession
from greensalt.target import Facts, matches
from greensalt.wire.envelope import parse_publish
from greensalt.wire.jid import is_jid

log = logging.getLogger(__name__)


class Inbox:
    """Hands the jobs of this minion to `submit`. `counts` counts publishes by what became of them.

    `verify` demands a valid signature of the master; `topics` are those this minion listens to
    ("" means all); `journal` remembers the jobs. `missed()` is called when a serial was skipped.
    """

    def __init__(
        self,
        session: MasterSession,
        facts: Facts,
        submit: Callable[[dict[str, Any]], object],
        *,
        verify: bool,
        topics: frozenset[bytes],
        journal: Journal,
        missed: Callable[[], object] = lambda: None,
        nodegroups: Mapping[str, Any] | None = None,
    ) -> None:
        self._session = session
        self._facts = facts
        self._submit = submit
        self._verify = verify
        self._topics = topics
        self._journal = journal
        self._missed = missed
        self._nodegroups = nodegroups or {}
        self.counts: Counter[str] = Counter()

    def take(self, frames: list[bytes]) -> None:
        """One message of the SUB socket. Never raises."""
        try:
            verdict = self._take(frames)
        except (ProtocolError, CryptoError) as error:
            verdict = "refused"
            log.warning("a publish was refused: %s", error)
        except GreensaltError as error:
            verdict = "failed"
            log.error("a publish could not be taken: %s", error)
        except Exception:
            verdict = "failed"
            log.exception("a publish could not be taken")
        self.counts[verdict] += 1

    def _take(self, frames: list[bytes]) -> str:
        if len(frames) > 2 or (len(frames) == 2 and not self._listens_to(frames[0])):
            return "other topic"
        load = self._open(frames[-1])
        if not isinstance(load, dict):
            raise DecryptError("the publish holds no job")
        if not self._is_new(load.pop("serial", None)):
            return "replayed"
        if not _is_job(load):
            return "not a job"
        if not self._is_meant(load):
            return "not meant"
        if self._journal.knows(load["jid"]):
            return "seen before"
        self._journal.take(load["jid"])
        self._submit(load)
        return "taken"

    def take_missed(self, load: dict[str, Any]) -> bool:
        """A job that the master delivers on request; False when this minion has had it.

        The master's reply has proven where it comes from; it has no serial.
        """
        if not _is_job(load) or not self._journal.may_begin(load["jid"]):
            return False
        if not self._is_meant(load):
            return False
        log.info("job %s was missed and is delivered again", load["jid"])
        self.counts["redelivered"] += 1
        self._journal.take(load["jid"])
        self._submit(load)
        return True

    def _listens_to(self, topic: bytes) -> bool:
        return b"" in self._topics or topic in self._topics

    def _open(self, body: bytes) -> Any:
        """The content of a publish; signs in anew, once, when the publish key has changed."""
        frame = parse_publish(body)
        session = self._session
        if session.aes is None or session.master_key is None:
            raise DecryptError("not signed in")
        if self._verify:
            check_publish(frame, session.master_key)
        before = session.aes
        try:
            return before.loads(frame.packet, codecs=session.codecs)
        except DecryptError:
            session.renew(before)
        if session.aes is before:
            raise DecryptError("the publish is not under the master's present key")
        if self._verify:
            check_publish(frame, session.master_key)
        return session.aes.loads(frame.packet, codecs=session.codecs)

    def _is_new(self, serial: object) -> bool:
        if serial is None:  # a cluster's publishes have none
            return True
        if not isinstance(serial, int) or serial <= self._session.last_serial:
            log.warning("a publish with the serial %r was seen before", serial)
            return False
        if 0 < self._session.last_serial < serial - 1 and b"" in self._topics:
            self._missed()  # with topics, others get serials that never come here
        self._session.last_serial = serial
        return True

    def _is_meant(self, load: Mapping[str, Any]) -> bool:
        return matches(
            load["tgt"],
            str(load.get("tgt_type") or "glob"),
            self._facts,
            delimiter=str(load.get("delimiter") or ":"),
            nodegroups=self._nodegroups,
        )


def _is_job(load: Mapping[str, Any]) -> bool:
    fun, arg = load.get("fun"), load.get("arg")
    return (
        isinstance(fun, str | list)
        and isinstance(arg, list)
        and isinstance(load.get("tgt"), str | list)
        and is_jid(load.get("jid"))
    )
