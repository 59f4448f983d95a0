"""Publishing: a job is authorized, resolved to minions, stored, told and sent.

Source: docs/protocol.md 5, 6, 8.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gevent.event import Event

from greensalt.config import MasterConfig
from greensalt.errors import (
    AuthenticationError,
    AuthorizationError,
    GreensaltError,
    TargetError,
)
from greensalt.master.access import Access, Caller, functions_of
from greensalt.master.dispatch import Dispatch
from greensalt.master.recent import BY_ID, RecentJobs, job_of
from greensalt.master.redelivery import Redelivery
from greensalt.store.jobs import Job, JobStore, Return, returns_of
from greensalt.target import Expectation, Roster, expected
from greensalt.transport.bus import EventPublisher
from greensalt.wire import tags
from greensalt.wire.ids import BROADCAST_TOPIC, publish_topic
from greensalt.wire.jid import JidClock, is_jid

log = logging.getLogger(__name__)

PASSED_ON = ("metadata", "ret_config", "ret_kwargs", "module_executors", "executor_opts")


class Published(NamedTuple):
    """A job that was sent. When nobody matched, `jid` is "" and `error` says so."""

    jid: str
    minions: list[str]
    missing: list[str]
    error: str = ""


class Jobs:
    """Publishes jobs."""

    def __init__(
        self,
        config: MasterConfig,
        store: JobStore,
        bus: EventPublisher,
        dispatch: Dispatch,
        roster: Roster,
        access: Access,
        recent: RecentJobs,
        clock: JidClock,
    ) -> None:
        self._config = config
        self._store = store
        self._bus = bus
        self._dispatch = dispatch
        self._roster = roster
        self._access = access
        self._recent = recent
        self._clock = clock
        self.redelivery = Redelivery(
            config.job_redelivery_window,
            store,
            lambda job: self._publish_load(job.user, job.jid, job.load),
        )

    def publish(self, load: dict[str, Any]) -> dict[str, Any]:
        """The clear command `publish`: {enc, load: {jid, minions, missing}} or {error: ...}."""
        try:
            caller, expectation = self.check(load)
            return {"enc": "clear", "load": self._publish(caller.name, load, expectation)}
        except AuthenticationError as error:  # from anybody: the bus must not hear of it
            return error_reply(error)
        except AuthorizationError as error:
            self._refused(load, error)
            return error_reply(error)
        except TargetError as error:
            return {"enc": "clear", "load": {"jid": None, "minions": [], "error": str(error)}}

    def check(self, load: dict[str, Any]) -> tuple[Caller, Expectation]:
        """Who asks for a job, and whom it would reach, once it is certain that they may.

        Raises AuthenticationError, AuthorizationError, TargetError.
        """
        caller = self._access.authenticate(load)
        functions_of(load)
        expectation = self._expect(load)
        self._access.authorize(caller, load, self._widest(caller, load, expectation))
        self._check_jid(caller, load)
        return caller, expectation

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

    def outstanding(self, user: str, load: Mapping[str, Any]) -> None:
        """Those of a list that a job was sent to before a restart may ask for it once more."""
        self.redelivery.note(self._publish_load(user, load["jid"], load), load["tgt"])

    def next_jid(self) -> str:
        """A new jid, unlike every other that this master has made."""
        return self._clock.next(datetime.now(UTC))

    def await_returns(
        self, jid: str, minions: Collection[str], timeout_s: float
    ) -> Iterator[Return]:
        """Each return of a job as it is stored, until all of `minions` are in or the time is over.

        Raises StoreError.
        """
        stored, missing, cursor, prefix = Event(), set(minions), 0, tags.job_ret(jid, "")
        stop = self._bus.listen(lambda tag: tag.startswith(prefix), lambda *_: stored.set())
        try:
            until = time.monotonic() + timeout_s
            while missing:
                stored.clear()
                for row in returns_of(self._store, jid, cursor):
                    cursor = row.seq
                    missing.discard(row.id)
                    yield row
                if missing and not stored.wait(max(0.0, until - time.monotonic())):
                    return
        finally:
            stop()

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
        jid = load.get("jid") or self.next_jid()
        minions, missing = list(expectation.minions), list(expectation.missing)
        job = job_of(user, jid, load, minions, missing)
        if (load.get("kwargs") or {}).get("nocache"):
            self._recent.uncached.append(jid)
        else:
            self._store.add_job(job)
        self._recent.remember(job)
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
        known = self._recent.find(str(jid))
        if known is not None and not may_see(self._access, caller, known):
            raise AuthorizationError(f"job {jid} belongs to {known.user}")
        if known is not None and (known.fun, known.arg) != (load["fun"], load.get("arg", [])):
            raise AuthorizationError(f"{jid} is the id of another job")

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
        self.redelivery.note(publish, minions)
        self._dispatch.send(publish, topics)
        self._bus.fire(tags.job_publish(publish["jid"]), publish)

    def ping_all(self) -> None:
        """Have every minion answer test.ping, so that those with an old key notice it."""
        jid = self.next_jid()
        load: dict[str, Any] = {"fun": "test.ping", "tgt": "*", "kwargs": {}}
        job = job_of(self._config.user, jid, load, sorted(self._roster.ids()), [])
        self._store.add_job(job)
        self._recent.remember(job)
        self.send(self._publish_load(self._config.user, jid, load), job.minions)

    def _refused(self, load: Mapping[str, Any], error: GreensaltError) -> None:
        jid = load.get("jid")
        if is_jid(jid):
            self._bus.fire(tags.job_error(str(jid)), {"error": str(error)})


def may_see(access: Access, caller: Caller, job: Job) -> bool:
    """Whether a user may know what became of a job."""
    return access.sees_job_of(caller, job.user, str(job.load.get("eauth") or ""))


def error_reply(error: GreensaltError) -> dict[str, Any]:
    """An error as a clear command answers it: {error: {name, message}}."""
    return {"error": {"name": type(error).__name__, "message": str(error)}}
