"""The minion: its parts, in the order in which they start.

    grains      what this machine is
    modules     what it can do
    bus         its own event bus: epub, epull
    session     sign-in at the master: req
    pillar      what the master says about it
    outbox      results that wait for the master's acknowledgement
    executor    jobs, each in a greenlet
    subscriber  sub: the jobs from the master

Source: docs/architecture.md.
"""

from __future__ import annotations

import logging
import random
import signal
import time
from collections.abc import Callable, Mapping
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
from greensalt.minion.execution import execute
from greensalt.minion.executor import Executor
from greensalt.minion.grains import core_grains
from greensalt.minion.inbox import Inbox
from greensalt.minion.loader import Loader
from greensalt.minion.outbox import Outbox
from greensalt.minion.session import MasterSession
from greensalt.store.minionkeys import MinionKeys
from greensalt.transport import addresses
from greensalt.transport.publish import Subscriber
from greensalt.transport.sockets import Context as ZmqContext, new_context
from greensalt.wire import tags
from greensalt.wire.ids import BROADCAST_TOPIC, minion_bus_hash, publish_topic

log = logging.getLogger(__name__)

EX_NOPERM = 77  # the exit code of a minion whose key was rejected
JOB_GRACE_S = 1.0
PASSED_BACK = ("user", "metadata", "ret", "ret_config", "ret_kwargs")


class Minion:
    """One minion. `start` comes back when it is ready for jobs; `wait` when it has to end.

    Several can live in one process, on one ZeroMQ context.
    """

    def __init__(self, config: MinionConfig, context: ZmqContext) -> None:
        self.config = config
        self.id = config.id
        self.context = context
        self.grains: dict[str, Any] = {}
        self.pillar: dict[str, Any] = {}
        self._ended: AsyncResult[tuple[int, str]] = AsyncResult()
        self._crew = Crew(f"minion {config.id}")
        self._subscriber: Subscriber | None = None
        self._linked = self._ready = False
        self.loader = Loader(
            config.function_dirs,
            disabled=config.disable_modules,
            allowed=config.whitelist_modules,
        )
        self.bus = MinionBus(context, self._orders())
        self.session = MasterSession(
            config, MinionKeys(config.pki_dir), context, lambda: self.grains, self._refused
        )
        self.outbox = Outbox(
            config.cachedir / "outbox",
            self._send_return,
            Backoff(config.return_retry_timer, config.return_retry_timer_max),
        )
        self.executor = Executor(
            config.cachedir / "proc", self._execute, self.outbox.put, config.process_count_max
        )
        topics = {BROADCAST_TOPIC, publish_topic(config.id)} if config.zmq_filtering else {""}
        self._topics = frozenset(topic.encode() for topic in topics)
        self.inbox = Inbox(
            self.session,
            self,
            self._take_job,
            verify=config.sign_pub_messages,
            topics=self._topics,
            seen_most=config.minion_jid_queue_hwm,
        )
        self.modules_context = Context(
            id=config.id,
            opts=config,
            loader=self.loader,
            grains=self.grains,
            pillar=self.pillar,
            jobs=self.executor,
            uplink=self,
        )

    # -- start and stop ----------------------------------------------------------------------

    def start(self) -> None:
        """Sign in, however long that takes, and subscribe."""
        begun = time.monotonic()
        self.executor.open()
        self.outbox.open()
        self._start_bus()
        self._set_grains(offload(core_grains, self.config))
        self._sign_in()
        self._subscribe()
        self.refresh_pillar()
        for name, run in (("outbox", self.outbox.run), ("upkeep", self._keep_up)):
            self._crew.spawn_vital(name, run)
        self._watch(self._crew.failed)
        self._announce()
        self._ready = True
        log.info("started in %.2f s", time.monotonic() - begun)

    def wait(self) -> tuple[int, str]:
        """Wait until the minion has to end; (exit code, reason)."""
        ended = self._ended.get()
        assert ended is not None
        return ended

    def stop(self) -> None:
        """Let `wait` return; safe to be called from a signal handler."""
        self.end(0, "")

    def close(self) -> None:
        """Stop the parts in reverse order; results that could not be sent stay on disk."""
        if self._subscriber is not None:
            self._subscriber.stop()
        self.executor.stop(JOB_GRACE_S)
        left = self.outbox.flush(0.3) if self._linked else len(self.outbox)
        if left:
            log.warning("%d results wait in the outbox for the next start", left)
        self._crew.stop()
        self.session.close()
        self.bus.stop()
        log.info("stopped")

    def end(self, code: int, reason: str) -> None:
        """Let `wait` return this."""
        if not self._ended.ready():
            self._ended.set((code, reason))

    def _refused(self, reason: str) -> None:
        self.end(EX_NOPERM, reason)

    def _watch(self, failed: AsyncResult[str]) -> None:
        failed.rawlink(lambda result: self.end(1, str(result.value)))

    @property
    def publisher(self) -> str:
        """The address that jobs come from."""
        return addresses.tcp(self.session.address, self.session.publish_port)

    # -- the parts ---------------------------------------------------------------------------

    def _start_bus(self) -> None:
        id_hash = minion_bus_hash(self.id, self.config.hash_type)
        sock_dir = self.config.sock_dir
        self.bus.start(
            addresses.minion_event_pub(sock_dir, id_hash),
            addresses.minion_event_pull(sock_dir, id_hash),
        )
        self._watch(self.bus.publisher.failed)

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

    def _subscribe(self) -> None:
        config = self.config
        reconnect_ms = config.recon_default
        if config.recon_randomize:
            reconnect_ms += random.uniform(0, config.recon_max)
        self._subscriber = Subscriber(
            self.context,
            identity=self.id,
            topics=sorted(self._topics),
            reconnect_ms=int(reconnect_ms),
            reconnect_max_ms=int(config.recon_max),
            take=self.inbox.take,
            moved=self._moved,
            ipv6=bool(config.ipv6),
        )
        self._watch(self._subscriber.failed)
        self._subscriber.start(self.publisher)

    def _moved(self, linked: bool) -> None:
        """The connection to the publish port stands, or broke."""
        if linked and not self._linked and self._ready:
            self._crew.spawn("greet", self._greet)
        elif not linked and self._linked:
            log.warning("the connection to the master broke")
            self._crew.spawn("follow master", self._follow_master)
        self._linked = linked

    def _greet(self) -> None:
        """The master is back: prove that the session still holds, and send what waited."""
        log.info("the connection to the master stands again")
        try:
            self.session.request(_ping())
        except (GreensaltError, SignInRefused) as error:
            log.warning("the master does not answer yet: %s", error)
        self.outbox.hurry()

    def _follow_master(self) -> None:
        """While the link is down, look the master's name up again: it may have moved."""
        while not self._linked:
            gevent.sleep(max(0.5, self.config.recon_default / 1000))
            try:
                moved = self.session.resolve()
            except TransportError as error:
                log.warning("%s", error)
                continue
            if moved and self._subscriber is not None:
                log.info("the master has moved to %s", self.session.address)
                self._subscriber.stop()
                self._subscribe()

    def _announce(self) -> None:
        """Fire the start events, the old one first (docs/protocol.md 6.3)."""
        text = f"Minion {self.id} started at {time.asctime()}"
        names = [tags.minion_start(self.id)]
        if self.config.enable_legacy_startup_events:
            names.insert(0, tags.LEGACY_MINION_START)
        told = {name: self.grains.get(name) for name in self.config.start_event_grains}
        for name in names:
            load: dict[str, Any] = {"cmd": "_minion_event", "pretag": None, "tag": name}
            load["data"] = text
            if told:
                load["grains"] = told
            try:
                self.session.request(load)
            except GreensaltError as error:
                log.error("the start event could not be sent: %s", error)

    def _keep_up(self) -> None:
        """The mine and the pings, at their intervals in minutes."""
        config = self.config
        mine_at = time.monotonic() + 1 if config.mine_enabled and config.mine_functions else None
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
                self._crew.spawn("ping", self._greet)

    def _update_mine(self) -> None:
        load = {"fun": "mine.update", "arg": [], "jid": "req", "user": ""}
        outcome = execute(self.loader, self.modules_context, load)
        if not outcome.success:
            log.error("the mine could not be updated: %s", outcome.ret)

    # -- jobs --------------------------------------------------------------------------------

    def _take_job(self, load: dict[str, Any]) -> None:
        log.info("job %s: %s", load["jid"], load["fun"])
        if load.get("start_event"):
            started = tags.job_start(load["jid"], self.id)
            self._crew.spawn("start event", self.fire_master, started, {"jid": load["jid"]})
        self.executor.submit(load)

    def _execute(self, load: dict[str, Any]) -> dict[str, Any]:
        """Run a job; its return load (docs/protocol.md 5.3)."""
        outcome = execute(self.loader, self.modules_context, load)
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
        return result

    def _send_return(self, load: dict[str, Any]) -> None:
        """Comes back once the master has answered, which is after it has stored the return."""
        timeout_s = random.uniform(
            self.config.return_retry_timer, self.config.return_retry_timer_max
        )
        try:
            self.session.request(load, timeout_s=timeout_s, tries=self.config.return_retry_tries)
        except (CryptoError, ProtocolError, AuthenticationError) as error:
            raise TransportError(f"the answer of the master can't be used: {error}") from error

    # -- what jobs and the bus ask for (context.Uplink) --------------------------------------

    def fire_event(self, tag: str, data: Mapping[str, Any]) -> bool:
        self.bus.fire(tag, dict(data))
        return True

    def fire_master(self, tag: str, data: Mapping[str, Any]) -> bool:
        load = {"cmd": "_minion_event", "pretag": None, "tag": tag, "data": dict(data)}
        self.session.request(load)
        return True

    def request(self, load: dict[str, Any]) -> Any:
        return self.session.request(load)

    def refresh(self, what: str) -> bool:
        """Load "modules", "pillar" or "grains" anew."""
        table = {
            "modules": self.loader.reload,
            "pillar": self.refresh_pillar,
            "grains": self.refresh_grains,
        }
        if what not in table:
            return False
        table[what]()
        return True

    def refresh_pillar(self) -> None:
        """Fetch the pillar from the master; the old one stays when that fails."""
        load = {
            "cmd": "_pillar",
            "grains": self.grains,
            "saltenv": self.config.saltenv or "base",
            "pillarenv": self.config.pillarenv,
            "pillar_override": {},
            "extra_minion_data": {},
            "ver": "2",
        }
        try:
            pillar = self.session.pillar(load)
        except GreensaltError as error:
            log.error("the pillar could not be fetched: %s", error)
            return
        self.pillar.clear()
        self.pillar.update(pillar)

    def refresh_grains(self) -> None:
        """Compute the grains anew, and the pillar when they changed."""
        fresh = offload(core_grains, self.config)
        if {**fresh, "id": self.id} != self.grains:
            self._set_grains(fresh)
            self.refresh_pillar()

    def _set_grains(self, grains: Mapping[str, Any]) -> None:
        """In place: everybody who was given the grains sees the new ones."""
        self.grains.clear()
        self.grains.update(grains)
        self.grains["id"] = self.id

    def _orders(self) -> Mapping[str, Any]:
        """The tags of the minion's bus that are orders to it (docs/protocol.md 7.3)."""
        return {
            "module_refresh": lambda _: self._done("mod_refresh", self.loader.reload),
            "pillar_refresh": lambda _: self._done("pillar_refresh", self.refresh_pillar),
            "grains_refresh": lambda _: self.refresh_grains(),
            "fire_master": self._forward_event,
            "_minion_mine": lambda data: self.session.request(_without_stamp(data)),
            "__schedule_return": lambda data: self.outbox.put(_without_stamp(data)),
        }

    def _done(self, name: str, work: Any) -> None:
        work()
        self.bus.fire(f"/salt/minion/minion_{name}_complete", {"complete": True})

    def _forward_event(self, data: dict[str, Any]) -> None:
        """An event that somebody on this machine wants on the master's bus."""
        wanted: dict[str, Any] = {
            key: data[key] for key in ("data", "tag", "events", "pretag") if key in data
        }
        self.session.request({"cmd": "_minion_event", **wanted})


def _ping() -> dict[str, Any]:
    return {"cmd": "_minion_event", "pretag": None, "tag": "minion_ping", "data": "ping"}


def _without_stamp(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "_stamp"}


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
    if config.random_startup_delay:
        gevent.sleep(random.uniform(0, config.random_startup_delay))
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
    try:
        minion.start()
        announce(f"greensalt minion {minion.id} is ready: jobs from {minion.publisher}")
    except SignInRefused:
        pass  # `_refused` has said so
    except Exception as error:
        log.exception("the minion can't start")
        minion.end(1, f"{type(error).__name__}: {error}")


__all__ = ["Minion", "run"]
