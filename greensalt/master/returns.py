"""Taking returns in: checked, stored, and only then fired and acknowledged.

Source: docs/protocol.md 5.3, 6, 8.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import gevent
from gevent.event import Event

from greensalt.errors import MalformedMessage, UnknownJob, Unstorable
from greensalt.green.deferred import Deferred
from greensalt.master.recent import BY_ID, RecentJobs, job_of
from greensalt.master.sessions import Peer
from greensalt.store.jobs import JobStore, PackedReturn, Return
from greensalt.target import matches
from greensalt.transport.bus import EventPublisher
from greensalt.wire import tags
from greensalt.wire.jid import JidClock, is_jid

log = logging.getLogger(__name__)

FINISHED_AT_ONCE = 64  # before others have their turn


class _Taken(NamedTuple):
    """A return on its way into the store."""

    row: PackedReturn
    load: dict[str, Any]
    kept: Deferred[Exception | None]


class Returns:
    """Takes the returns of jobs in.

    `returned` counts what was stored first, `refused` returns that nobody asked for, `repeated`
    those that were there already.
    """

    def __init__(
        self, store: JobStore, bus: EventPublisher, recent: RecentJobs, clock: JidClock
    ) -> None:
        self._store = store
        self._bus = bus
        self._recent = recent
        self._clock = clock
        self._taken: list[_Taken] = []
        self._arrived = Event()
        self.returned = self.refused = self.repeated = 0

    def take_return(self, peer: Peer, load: dict[str, Any]) -> Deferred[Exception | None] | None:
        """The command `_return`; the result comes once the return is in the store, or says why not.

        Nothing comes later of one that is not for the store. Raises MalformedMessage when it is no
        return, StoreError.
        """
        jid, fun = load.get("jid"), load.get("fun")
        if not isinstance(jid, str) or not isinstance(fun, str | list) or "return" not in load:
            raise MalformedMessage(f"{peer.id}: not a return")
        if jid == "nocache":
            self._bus.fire(tags.job_ret(jid, peer.id), load)
            return None
        if jid == "req":
            jid = self._own_job(peer.id, load)
        elif not self._recent.expects(jid, peer.id) and not self._was_asked(peer.id, jid):
            self._refuse_return(peer.id, jid, "it was not asked for")
            return None
        if jid in self._recent.uncached:
            self._tell(peer.id, jid, load)
            return None
        try:
            row = self._store.packed_return(self._row(jid, peer.id, load))
        except Unstorable as error:  # no later try could help: let it go
            self._refuse_return(peer.id, jid, str(error))
            return None
        taken = _Taken(row, load, Deferred())
        self._taken.append(taken)
        self._arrived.set()
        return taken.kept

    def run(self) -> None:
        """Store what is taken in, all that has come during one commit with the next; until killed.

        To be run by two greenlets: while one finishes what is stored, the other has the next lot
        stored.
        """
        while True:
            self._arrived.wait()
            self._arrived.clear()
            taken, self._taken = self._taken, []
            for count, (each, result) in enumerate(zip(taken, self._stored(taken), strict=True), 1):
                each.kept.resolve(self._finish(each, result))
                if not count % FINISHED_AT_ONCE:
                    gevent.sleep(0)

    def _stored(self, taken: Sequence[_Taken]) -> Sequence[bool | Exception]:
        try:
            return self._store.add_returns([each.row for each in taken])
        except Exception as error:  # noqa: BLE001  # told to those who wait, and logged there
            return [error] * len(taken)

    def _finish(self, taken: _Taken, result: bool | Exception) -> Exception | None:
        """Tell of a return that is in the store; gives the reason if it is not acknowledged."""
        jid, minion_id = taken.row.jid, taken.row.id
        if isinstance(result, UnknownJob | Unstorable):  # no later try could help: let it go
            self._refuse_return(minion_id, jid, str(result))
        elif isinstance(result, Exception):
            return result
        elif result:
            try:
                self._tell(minion_id, jid, taken.load)
            except Exception as error:  # noqa: BLE001  # as above
                return error
        else:
            self.repeated += 1
            log.info("%s returned job %s once more; the first return stays", minion_id, jid)
        return None

    def _tell(self, minion_id: str, jid: str, load: dict[str, Any]) -> None:
        self.returned += 1
        self._bus.fire(tags.job_ret(jid, minion_id), load)

    def _refuse_return(self, minion_id: str, jid: str, why: str) -> None:
        self.refused += 1
        log.warning("%s returned for job %r: %s", minion_id, jid, why)

    def _row(self, jid: str, minion_id: str, load: dict[str, Any]) -> Return:
        return Return(
            seq=0,
            jid=jid,
            id=minion_id,
            fun=load["fun"],
            ret=load["return"],
            retcode=load.get("retcode", 0),
            success=load.get("success", True),
            received=time.time(),
            load=load,
        )

    def _own_job(self, minion_id: str, load: dict[str, Any]) -> str:
        """A job that a minion began by itself (salt-call, its schedule) gets its jid here."""
        jid = self._clock.next(datetime.now(UTC))
        load["jid"] = jid
        load.setdefault("tgt", minion_id)
        load.setdefault("tgt_type", "glob")
        load.setdefault("arg", load.get("fun_args", []))
        job = job_of(str(load.get("user", "")), jid, load, [minion_id], [])
        self._store.add_job(job._replace(load={k: v for k, v in load.items() if k != "return"}))
        self._recent.remember(job)
        return jid

    def _was_asked(self, minion_id: str, jid: str) -> bool:
        """Whether a job that is not known to be for this minion may be all the same."""
        job = self._recent.find(jid) if is_jid(jid) else None
        if job is None:
            return False
        if self._recent.expects(jid, minion_id):  # it was in the store
            return True
        by_id = job.tgt_type in BY_ID
        if by_id and not matches(job.tgt, job.tgt_type, IdOnly(minion_id)):
            return False
        # Grains and pillar are the minion's own knowledge: the master's copy may be older.
        if jid not in self._recent.uncached:
            self._store.extend_minions(jid, [minion_id])
        self._recent.add(jid, [minion_id])
        return True


class IdOnly:
    """Facts of a minion of which only the id matters."""

    grains: Mapping[str, Any] = {}
    pillar: Mapping[str, Any] = {}

    def __init__(self, minion_id: str) -> None:
        self.id = minion_id
