"""The minion: its parts, in the order in which they start.

    bus         its own event bus: epub, epull
    grains      what this machine is
    session     sign-in at the master: req
    link        sub: the jobs from the master
    pillar      what the master says about it
    outbox      results that wait for the master's acknowledgement
    executor    jobs, each in a greenlet
    schedule    jobs that it begins by itself
    missed      jobs that were published while sub was broken

Source: docs/architecture.md.
"""

from __future__ import annotations

import logging
import random
import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import gevent
from gevent.event import AsyncResult

from greensalt.config import MinionConfig
from greensalt.errors import (
    AuthenticationError,
    CryptoError,
    GreensaltError,
    ProtocolError,
    SignInRefused,
    TransportError,
)
from greensalt.green import Backoff, Crew, offload
from greensalt.green.watchdog import Watchdog
from greensalt.minion.bus import MinionBus
from greensalt.minion.context import Context
from greensalt.minion.execution import Outcome, execute
from greensalt.minion.executor import Executor
from greensalt.minion.inbox import Inbox
from greensalt.minion.journal import Journal
from greensalt.minion.link import Link
from greensalt.minion.missed import MissedJobs
from greensalt.minion.outbox import Outbox
from greensalt.minion.schedule.orders import manage
from greensalt.minion.schedule.scheduled import ScheduledJob
from greensalt.minion.schedule.scheduler import Scheduler
from greensalt.minion.session import MasterSession
from greensalt.minion.shared import Shared
from greensalt.minion.uplink import Uplink
from greensalt.store.minionkeys import MinionKeys
from greensalt.transport import addresses
from greensalt.transport.sockets import Context as ZmqContext, new_context
from greensalt.wire import tags
from greensalt.wire.ids import BROADCAST_TOPIC, minion_bus_hash, publish_topic
from greensalt.wire.jid import JidClock

log = logging.getLogger(__name__)

EX_NOPERM = 77  # the exit code of a minion whose key was rejected
EX_SOFTWARE = 70  # the exit code of a job that was cut off
JOB_GRACE_S = 1.0
FLUSH_S = 0.3
JOURNAL_LEAST = 1000  # jids that are remembered; 21 bytes each on the disk
CUT_OFF = "ERROR: The minion was stopped or killed while the job ran: what it has done is not known"
PASSED_BACK = ("user", "metadata")  # fields of a job that its return repeats


class Minion:
    """One minion. `start` comes back when it is ready for jobs; `wait` when it has to end.

    Several can live in one process, on one ZeroMQ context. It is the `Facts` that targets are
    matched against: id, grains, pillar.
    """

    def __init__(
        self, config: MinionConfig, context: ZmqContext, shared: Shared | None = None
    ) -> None:
        shared = shared or Shared(config)
        self.config = config
        self.id = config.id
        self._ended: AsyncResult[tuple[int, str]] = AsyncResult()
        self._crew = Crew(f"minion {config.id}")
        self._clock = JidClock()
        keys = MinionKeys(config.pki_dir, given=shared.key)
        self.session = MasterSession(config, keys, context, lambda: self.grains, self._refused)
        self.uplink = Uplink(config, self.session, shared.loader, shared.grains)
        backoff = Backoff(config.return_retry_timer, config.return_retry_timer_max)
        self.outbox = Outbox(config.cachedir / "outbox", self._send_return, backoff)
        self.journal = Journal(
            config.cachedir / "jobs", max(config.minion_jid_queue_hwm, JOURNAL_LEAST)
        )
        self.executor = Executor(
            config.cachedir / "proc",
            self._execute,
            self._deliver,
            config.process_count_max,
            cut_off=self._cut_off,
            begins=self.journal.begin,
        )
        self.bus = MinionBus(context, self.uplink.orders(self.outbox.put, self._manage_schedule))
        self.uplink.attach(self.bus.fire)
        topics = {BROADCAST_TOPIC, publish_topic(config.id)} if config.zmq_filtering else {""}
        listened = frozenset(topic.encode() for topic in topics)
        self.missed = MissedJobs(
            self.session, self.journal, config.job_redelivery_window, self._take_missed
        )
        self.inbox = Inbox(
            self.session,
            self,
            self._take_job,
            verify=config.sign_pub_messages,
            topics=listened,
            journal=self.journal,
            missed=self.missed.hurry,
        )
        self.link = Link(
            config,
            context,
            self.session,
            listened,
            self.inbox.take,
            self._broke,
            self.outbox.hurry,
            self.missed.hurry,
        )
        self.schedule = Scheduler(
            config.schedule,
            lambda: self.pillar.get("schedule") or {},
            config.config_dir / "minion.d" / "_schedule.conf",
            self._begin_scheduled,
            self.executor.count,
        )
        self.uplink.pillar_read = self.schedule.wake
        self.modules_context = Context(
            id=config.id,
            opts=config,
            loader=shared.loader,
            grains=self.grains,
            pillar=self.pillar,
            jobs=self.executor,
            uplink=self.uplink,
            home=shared.home,
            schedule=self.schedule,
        )

    @property
    def grains(self) -> Mapping[str, Any]:
        return self.uplink.grains

    @property
    def pillar(self) -> Mapping[str, Any]:
        return self.uplink.pillar

    # -- start and stop ----------------------------------------------------------------------

    def start(self) -> None:
        """Sign in, however long that takes, and subscribe."""
        begun = time.monotonic()
        self.executor.open()
        self.outbox.open()
        self.journal.open()
        self.executor.settle(self.outbox.jids())
        self._start_bus()
        self.uplink.read_grains()
        self._sign_in()
        self.link.open()
        self.uplink.refresh_pillar()
        for part in (self.outbox, self.missed, self.schedule):
            part.start(self._crew)
        if self.config.ping_interval or self._has_mine():
            self._crew.spawn_vital("upkeep", self._keep_up)
        self._crew.failed.rawlink(lambda result: self._broke(str(result.value)))
        self._announce()
        log.info("started in %.2f s", time.monotonic() - begun)

    def wait(self) -> tuple[int, str]:
        """Wait until the minion has to end; (exit code, reason)."""
        ended = self._ended.get()
        assert ended is not None
        return ended

    def when_ended(self, told: Callable[[], object]) -> None:
        """Have `told` called in the hub once `wait` does not wait any more."""
        self._ended.rawlink(lambda _ended: told())

    def stop(self) -> None:
        """Let `wait` return; safe to be called from a signal handler."""
        self.end(0, "")

    def end(self, code: int, reason: str) -> None:
        """Let `wait` return this."""
        if not self._ended.ready():
            self._ended.set((code, reason))

    def close(self) -> None:
        """Stop the parts in reverse order; results that could not be sent stay on disk."""
        was_up = self.link.is_up
        self.link.close()
        self.schedule.stop()
        self.executor.stop(JOB_GRACE_S)
        left = self.outbox.flush(FLUSH_S) if was_up else len(self.outbox)
        if left:
            log.warning("%d results wait in the outbox for the next start", left)
        self._crew.stop()
        self.session.close()
        self.bus.stop()
        log.info("stopped")

    def _refused(self, reason: str) -> None:
        self.end(EX_NOPERM, reason)

    def _broke(self, reason: str) -> None:
        self.end(1, reason)

    # -- the parts ---------------------------------------------------------------------------

    def _start_bus(self) -> None:
        id_hash = minion_bus_hash(self.id, self.config.hash_type)
        sock_dir = self.config.sock_dir
        self.bus.start(
            addresses.minion_event_pub(sock_dir, id_hash),
            addresses.minion_event_pull(sock_dir, id_hash),
        )
        self.bus.publisher.failed.rawlink(lambda result: self._broke(str(result.value)))

    def _sign_in(self) -> None:
        self.session.connect()
        while True:
            try:
                self.session.sign_in()
                return
            except SignInRefused:
                raise
            except AuthenticationError as error:
                wait_s = self.config.acceptance_wait_time
                log.critical("the master can't be trusted: %s; again in %g s", error, wait_s)
                gevent.sleep(wait_s)

    def _announce(self) -> None:
        """Fire the start events, the old one first (docs/protocol.md 6.3)."""
        names = [tags.minion_start(self.id)]
        if self.config.enable_legacy_startup_events:
            names.insert(0, tags.LEGACY_MINION_START)
        load: dict[str, Any] = {"cmd": "_minion_event", "pretag": None}
        load["data"] = f"Minion {self.id} started at {time.asctime()}"
        if self.config.start_event_grains:
            told = self.config.start_event_grains
            load["grains"] = {name: self.grains.get(name) for name in told}
        for name in names:
            try:
                self.session.request({**load, "tag": name})
            except GreensaltError as error:
                log.error("the start event could not be sent: %s", error)

    def _keep_up(self) -> None:
        """The mine and the pings, at their intervals in minutes."""
        config = self.config
        mine_at = time.monotonic() + 1 if self._has_mine() else None
        ping_s = config.ping_interval * 60
        ping_at = time.monotonic() + ping_s if ping_s else None
        while True:
            gevent.sleep(1)
            now = time.monotonic()
            if mine_at is not None and now >= mine_at:
                mine_at = now + config.mine_interval * 60
                self._crew.spawn("mine", self._update_mine)
            if ping_at is not None and now >= ping_at:
                ping_at = now + ping_s
                self._crew.spawn("ping", self.link.ping)

    def _has_mine(self) -> bool:
        return self.config.mine_enabled and bool(self.config.mine_functions)

    def _update_mine(self) -> None:
        load = {"fun": "mine.update", "arg": [], "jid": "req", "user": ""}
        outcome = execute(self.modules_context.loader, self.modules_context, load)
        if not outcome.success:
            log.error("the mine could not be updated: %s", outcome.ret)

    # -- jobs --------------------------------------------------------------------------------

    def _take_missed(self, load: dict[str, Any]) -> bool:
        return self.inbox.take_missed(load)

    def _take_job(self, load: dict[str, Any]) -> None:
        log.info("job %s: %s", load["jid"], load["fun"])
        if load.get("start_event"):
            started = tags.job_start(load["jid"], self.id)
            data = {"jid": load["jid"], "id": self.id}
            self._crew.spawn("start event", self.uplink.fire_master, started, data)
        self.executor.submit(load)

    def _manage_schedule(self, data: dict[str, Any]) -> None:
        manage(self.schedule, data, self.bus.fire)

    def _begin_scheduled(self, job: ScheduledJob) -> None:
        arg = [*job.args, {"__kwarg__": True, **job.kwargs}] if job.kwargs else job.args
        load = {
            "jid": self._clock.next(datetime.now(UTC)),
            "fun": job.function,
            "arg": arg,
            "user": self.config.user,
            "schedule": job.name,
            "return_job": bool(job.config.get("return_job", True)),
            "metadata": job.config.get("metadata"),
        }
        log.info("schedule %s: job %s: %s", job.name, load["jid"], job.function)
        self.executor.submit(load)

    def _deliver(self, load: dict[str, Any]) -> None:
        """Have a result sent, unless its schedule wants it to stay here."""
        if load.pop("return_job", True):
            self.outbox.put(load)

    def _execute(self, load: dict[str, Any]) -> dict[str, Any]:
        """Run a job; its return load (docs/protocol.md 5.3)."""
        return self._return_load(
            load, execute(self.modules_context.loader, self.modules_context, load)
        )

    def _cut_off(self, load: dict[str, Any]) -> dict[str, Any]:
        fun = load["fun"]
        if isinstance(fun, list):
            texts, codes, successes = (
                dict.fromkeys(fun, said) for said in (CUT_OFF, EX_SOFTWARE, False)
            )
            outcome = Outcome(texts, codes, successes)
        else:
            outcome = Outcome(CUT_OFF, EX_SOFTWARE, False, "nested")
        return self._return_load(load, outcome)

    def _return_load(self, load: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
        result: dict[str, Any] = {
            "cmd": "_return",
            "id": self.id,
            "jid": load["jid"],
            "fun": load["fun"],
            "fun_args": load["arg"],
            "return": outcome.ret,
            "retcode": outcome.retcode,
            "success": outcome.success,
        }
        if outcome.out:
            result["out"] = outcome.out
        result.update({key: load[key] for key in PASSED_BACK if load.get(key)})
        if "schedule" in load:  # the master gives such a return its jid
            result.update(jid="req", schedule=load["schedule"], return_job=load["return_job"])
        return result

    def _send_return(self, load: dict[str, Any]) -> None:
        """Comes back once the master has answered, which is after it has stored the return."""
        config = self.config
        timeout_s = random.uniform(config.return_retry_timer, config.return_retry_timer_max)
        try:
            self.session.request(load, timeout_s=timeout_s, tries=config.return_retry_tries)
        except (CryptoError, ProtocolError, AuthenticationError) as error:
            raise TransportError(f"the answer of the master can't be used: {error}") from error


def run(config: MinionConfig, announce: Callable[[str], object]) -> int:
    """Run a minion until it is told to stop; returns the exit code.

    `announce` gets the one line that says that it is ready for jobs.
    """
    context = new_context()
    watchdog = Watchdog()
    watchdog.start()
    minion = Minion(config, context)
    for signum in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(signum, minion.stop)
    starting = gevent.spawn(_start, minion, announce)
    code, reason = minion.wait()
    starting.kill()
    minion.close()
    watchdog.stop()
    offload(context.destroy, 0)
    if reason:
        log.critical("the minion ends: %s", reason)
    return code


def _start(minion: Minion, announce: Callable[[str], object]) -> None:
    if minion.config.random_startup_delay:
        gevent.sleep(random.uniform(0, minion.config.random_startup_delay))
    try:
        minion.start()
        announce(f"greensalt minion {minion.id} is ready: jobs from {minion.link.publisher}")
    except SignInRefused:
        pass  # `_refused` has said so
    except Exception as error:
        log.exception("the minion can't start")
        minion.end(1, f"{type(error).__name__}: {error}")
