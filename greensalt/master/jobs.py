"""The way of one job through the master: publish, returns, and who follows it.

Source: docs/protocol.md 5, 6, 8, 12.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from greensalt.config import MasterConfig
from greensalt.errors import (
    AuthenticationError,
    AuthorizationError,
    GreensaltError,
    MalformedMessage,
    StoreError,
    TargetError,
    UnknownJob,
    Unstorable,
)
from greensalt.master.access import Access, Caller, functions_of
from greensalt.master.dispatch import Dispatch
from greensalt.master.sessions import Peer
from greensalt.store.jobs import Job, JobStore, Return
from greensalt.target import Expectation, Roster, expected, matches
from greensalt.transport.bus import EventPublisher
from greensalt.wire import tags
from greensalt.wire.ids import BROADCAST_TOPIC, publish_topic
from greensalt.wire.jid import JidClock, is_jid

log = logging.getLogger(__name__)

RECENT_JOBS = 1000  # whose expected minions are kept in memory
UNCACHED_JOBS = 100
FOLLOW_ROWS = 200  # returns in one reply to a follower
FOLLOW_BYTES = 4 << 20  # and their size, unless a single one has more
BY_ID = frozenset({"glob", "pcre", "list"})  # target types that the id alone decides
PASSED_ON = ("metadata", "ret_config", "ret_kwargs", "module_executors", "executor_opts")


class Published(NamedTuple):
    """A job that was sent. When nobody matched, `jid` is "" and `error` says so."""

    jid: str
    minions: list[str]
    missing: list[str]
    error: str = ""


class Jobs:
    """Publishes jobs and takes their returns in.

    `refused` counts returns that nobody asked for, `repeated` those that were there already.
    """

    def __init__(
        self,
        config: MasterConfig,
        store: JobStore,
        bus: EventPublisher,
        dispatch: Dispatch,
        roster: Roster,
        access: Access,
    ) -> None:
        self._config = config
        self._store = store
        self._bus = bus
        self._dispatch = dispatch
        self._roster = roster
        self._access = access
        self._clock = JidClock()
        self._recent: OrderedDict[str, Job] = OrderedDict()
        self._uncached: deque[str] = deque(maxlen=UNCACHED_JOBS)  # whose returns are only fired
        self.returned = self.refused = self.repeated = 0

    # -- publish -----------------------------------------------------------------------------

    def publish(self, load: dict[str, Any]) -> dict[str, Any]:
        """The clear command `publish`: {enc, load: {jid, minions, missing}} or {error: ...}."""
        try:
            caller = self._access.authenticate(load)
            functions_of(load)
            expectation = self._expect(load)
            self._access.authorize(caller, load, self._widest(caller, load, expectation))
            self._check_jid(caller, load)
            return {"enc": "clear", "load": self._publish(caller.name, load, expectation)}
        except AuthenticationError as error:  # from anybody: the bus must not hear of it
            return error_reply(error)
        except AuthorizationError as error:
            self._refused(load, error)
            return error_reply(error)
        except TargetError as error:
            return {"enc": "clear", "load": {"jid": None, "minions": [], "error": str(error)}}

    def publish_for(self, user: str, load: dict[str, Any]) -> Published:
        """Publish for a part of the master that has checked itself that it may be done.

        Raises TargetError.
        """
        answer = self._publish(user, load, self._expect(load))
        return Published(
            answer["jid"] or "",
            answer["minions"],
            answer.get("missing", []),
            answer.get("error", ""),
        )

    def _expect(self, load: Mapping[str, Any], *, widest: bool = False) -> Expectation:
        options = load.get("kwargs") or {}
        return expected(
            load.get("tgt", ""),
            str(load.get("tgt_type", "glob")),
            self._roster,
            delimiter=str(options.get("delimiter") or ":"),
            nodegroups=self._config.nodegroups,
            widest=widest,
        )

    def _widest(
        self, caller: Caller, load: Mapping[str, Any], expectation: Expectation
    ) -> Sequence[str]:
        """Everybody whom the target could reach: a minion knows its grains better than the cache.

        Who is bound by a list of targets must have the right for all of them.
        """
        if caller.is_unbound:
            return expectation.minions
        return self._expect(load, widest=True).minions

    def _publish(self, user: str, load: dict[str, Any], expectation: Expectation) -> dict[str, Any]:
        if not expectation.minions:
            return {
                "jid": None,
                "minions": [],
                "error": f"Master could not resolve minions for target {load.get('tgt')}",
            }
        jid = load.get("jid") or self._clock.next(datetime.now(UTC))
        minions, missing = list(expectation.minions), list(expectation.missing)
        job = self._job(user, jid, load, minions, missing)
        if (load.get("kwargs") or {}).get("nocache"):
            self._uncached.append(jid)
        else:
            self._store.add_job(job)
        self._remember(job)
        self._bus.fire(
            tags.job_new(jid),
            {
                "jid": jid,
                "tgt": job.tgt,
                "tgt_type": job.tgt_type,
                "user": user,
                "fun": job.fun,
                "arg": job.arg,
                "minions": minions,
                "missing": missing,
            },
        )
        self.send(self._publish_load(user, jid, load), minions)
        return {"jid": jid, "minions": minions, "missing": missing}

    def _check_jid(self, caller: Caller, load: Mapping[str, Any]) -> None:
        """A jid that the client made must be one, and not that of another job."""
        jid = load.get("jid")
        if jid in ("", None):
            return
        if not is_jid(jid):
            raise AuthorizationError(f"{jid!r} is not a job id")
        known = self._find(str(jid))
        if known is not None and not self._may_see(caller, known):
            raise AuthorizationError(f"job {jid} belongs to {known.user}")
        if known is not None and (known.fun, known.arg) != (load["fun"], load.get("arg", [])):
            raise AuthorizationError(f"{jid} is the id of another job")

    def _job(
        self, user: str, jid: str, load: dict[str, Any], minions: list[str], missing: list[str]
    ) -> Job:
        return Job(
            jid=jid,
            fun=load["fun"],
            arg=load.get("arg", []),
            tgt=load.get("tgt", ""),
            tgt_type=str(load.get("tgt_type", "glob")),
            user=user,
            minions=minions,
            missing=missing,
            load={**load, "jid": jid, "user": user},
            started=time.time(),
        )

    def _publish_load(self, user: str, jid: str, load: Mapping[str, Any]) -> dict[str, Any]:
        """What the minions get (docs/protocol.md 5.2)."""
        options = load.get("kwargs") or {}
        publish = {
            "fun": load["fun"],
            "arg": load.get("arg", []),
            "tgt": load.get("tgt", ""),
            "tgt_type": str(load.get("tgt_type", "glob")),
            "jid": jid,
            "ret": str(load.get("ret") or ""),
            "user": user,
        }
        if options.get("delimiter") not in (None, "", ":"):
            publish["delimiter"] = options["delimiter"]
        publish.update({key: options[key] for key in PASSED_ON if options.get(key)})
        if options.get("start_event"):
            publish["start_event"] = True
        if load.get("cmd") == "minion_pub":
            publish["id"] = load["id"]  # the minion that asked
        return publish

    def send(self, publish: dict[str, Any], minions: Collection[str]) -> None:
        """Send a job to the minions and tell the bus.

        With `zmq_filtering` it goes to the topics of `minions` where the id alone decides, else to
        the one that all listen to (docs/protocol.md 5.1).
        """
        topics = [b""]
        if self._config.zmq_filtering:
            by_id = publish["tgt_type"] in BY_ID
            names = map(publish_topic, minions) if by_id else [BROADCAST_TOPIC]
            topics = [name.encode() for name in names]
        self._dispatch.send(publish, topics)
        self._bus.fire(tags.job_publish(publish["jid"]), publish)

    def ping_all(self) -> None:
        """Have every minion answer test.ping, so that those with an old key notice it."""
        jid = self._clock.next(datetime.now(UTC))
        load: dict[str, Any] = {"fun": "test.ping", "tgt": "*", "kwargs": {}}
        job = self._job(self._config.user, jid, load, sorted(self._roster.ids()), [])
        self._store.add_job(job)
        self._remember(job)
        self.send(self._publish_load(self._config.user, jid, load), job.minions)

    def _refused(self, load: Mapping[str, Any], error: GreensaltError) -> None:
        jid = load.get("jid")
        if is_jid(jid):
            self._bus.fire(tags.job_error(str(jid)), {"error": str(error)})

    # -- returns -----------------------------------------------------------------------------

    def take_return(self, peer: Peer, load: dict[str, Any]) -> None:
        """The command `_return`; comes back once the return is in the store.

        Raises MalformedMessage when it is none, StoreError when it could not be kept.
        """
        jid, fun = load.get("jid"), load.get("fun")
        if not isinstance(jid, str) or not isinstance(fun, str | list) or "return" not in load:
            raise MalformedMessage(f"{peer.id}: not a return")
        if jid == "nocache":
            self._bus.fire(tags.job_ret(jid, peer.id), load)
            return
        if jid == "req":
            jid = self._own_job(peer.id, load)
        elif not is_jid(jid) or not self._was_asked(peer.id, jid):
            self._refuse_return(peer.id, jid, "it was not asked for")
            return
        try:
            is_first = jid in self._uncached or self._store.add_return(
                self._row(jid, peer.id, load)
            )
        except (UnknownJob, Unstorable) as error:  # no later try could help: let it go
            self._refuse_return(peer.id, jid, str(error))
            return
        if is_first:
            self.returned += 1
            self._bus.fire(tags.job_ret(jid, peer.id), load)
        else:
            self.repeated += 1
            log.info("%s returned job %s once more; the first return stays", peer.id, jid)

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
        job = self._job(str(load.get("user", "")), jid, load, [minion_id], [])
        self._store.add_job(job._replace(load={k: v for k, v in load.items() if k != "return"}))
        self._remember(job)
        return jid

    def _was_asked(self, minion_id: str, jid: str) -> bool:
        job = self._find(jid)
        if job is None:
            return False
        if minion_id in job.minions:
            return True
        by_id = job.tgt_type in BY_ID
        if by_id and not matches(job.tgt, job.tgt_type, IdOnly(minion_id)):
            return False
        # Grains and pillar are the minion's own knowledge: the master's copy may be older.
        if jid not in self._uncached:
            self._store.extend_minions(jid, [minion_id])
        self._remember(job._replace(minions=[*job.minions, minion_id]))
        return True

    def _find(self, jid: str) -> Job | None:
        job = self._recent.get(jid)
        if job is None:
            job = self._store.job(jid)
            if job is not None:
                self._remember(job)
        return job

    def _remember(self, job: Job) -> None:
        known = self._recent.get(job.jid)
        if known is not None:  # one jid may be published several times, to different lists
            job = job._replace(minions=sorted({*known.minions, *job.minions}))
        self._recent[job.jid] = job
        self._recent.move_to_end(job.jid)
        while len(self._recent) > RECENT_JOBS:
            self._recent.popitem(last=False)

    # -- following ---------------------------------------------------------------------------

    def follow(self, load: dict[str, Any]) -> dict[str, Any]:
        """The clear command `follow_job`: the returns of a job after a cursor (12)."""
        try:
            caller = self._access.authenticate(load)
            jid, after = load.get("jid"), load.get("after", 0)
            if not is_jid(jid) or not isinstance(after, int):
                raise AuthorizationError(f"{jid!r} is not a job id")
            job = self._store.job(str(jid))
            if job is not None and not self._may_see(caller, job):
                raise AuthorizationError(f"job {jid} belongs to {job.user}")
        except (AuthenticationError, AuthorizationError, StoreError) as error:
            return error_reply(error)
        rows = self._returns(str(jid), after) if job else []
        return {
            "enc": "clear",
            "load": {
                "jid": jid,
                "minions": job.minions if job else [],
                "missing": job.missing if job else [],
                "returns": [_followed(row) for row in rows],
                "cursor": rows[-1].seq if rows else after,
                "more": bool(rows) and bool(self._store.returns(str(jid), rows[-1].seq, limit=1)),
            },
        }

    def _may_see(self, caller: Caller, job: Job) -> bool:
        return self._access.sees_job_of(caller, job.user, str(job.load.get("eauth") or ""))

    def _returns(self, jid: str, after: int) -> list[Return]:
        return self._store.returns(jid, after, FOLLOW_ROWS, FOLLOW_BYTES)


class IdOnly:
    """Facts of a minion of which only the id matters."""

    grains: Mapping[str, Any] = {}
    pillar: Mapping[str, Any] = {}

    def __init__(self, minion_id: str) -> None:
        self.id = minion_id


def error_reply(error: GreensaltError) -> dict[str, Any]:
    """An error as a clear command answers it: {error: {name, message}}."""
    return {"error": {"name": type(error).__name__, "message": str(error)}}


def _followed(row: Return) -> dict[str, Any]:
    followed = {
        "seq": row.seq,
        "id": row.id,
        "fun": row.fun,
        "return": row.ret,
        "retcode": row.retcode,
        "success": row.success,
    }
    if row.load.get("out"):
        followed["out"] = row.load["out"]
    return followed
