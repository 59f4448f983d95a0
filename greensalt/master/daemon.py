"""The master: its parts, in the order in which they start.

    store       what must outlive a restart
    keys        the master's own, the minions', the local users', the publish key
    bus         EventPublisher: epub, epull
    publishers  pub, pull: one for msgpack, and one for each further serializer
    reactor     what the master does of itself when an event comes
    reqserver   clients, workers, device
    upkeep      rotation, retention
    returners   what sends returns on to other systems

It stops in reverse: first nobody is let in any more and what was accepted is answered.

Source: docs/architecture.md.
"""

from __future__ import annotations

import gc
import logging
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from gevent.event import AsyncResult

from greensalt.config import MasterConfig
from greensalt.errors import GreensaltError
from greensalt.green import Crew, have_threads, offload
from greensalt.green.watchdog import Watchdog
from greensalt.master.access import Access
from greensalt.master.access.commands import TokenCommands
from greensalt.master.batch import Batches
from greensalt.master.batch.run import BatchParts
from greensalt.master.codecs import ServedCodecs
from greensalt.master.context import MasterContext
from greensalt.master.dispatch import Dispatch
from greensalt.master.fileserver.receive import Receiver
from greensalt.master.fileserver.server import file_server
from greensalt.master.fileserver.updates import Updates
from greensalt.master.follow import Following
from greensalt.master.jobs import Jobs
from greensalt.master.liveness import Liveness
from greensalt.master.masteropts import MasterOptions
from greensalt.master.peer import PeerRequests
from greensalt.master.pillar import PillarService
from greensalt.master.presence import Presence, PresenceEvents
from greensalt.master.publishkey import PublishKey
from greensalt.master.reactor import Reactor
from greensalt.master.recent import RecentJobs
from greensalt.master.reqserver import ReqServer, Tables
from greensalt.master.returners import EventRecorder, Returners
from greensalt.master.returns import Returns
from greensalt.master.roster import MasterRoster
from greensalt.master.routes import (
    ADMITTED,
    LANE_OF,
    LAST_LANE,
    clear_routes,
    lanes,
    minion_routes,
    private_routes,
)
from greensalt.master.runrequests import RunRequests
from greensalt.master.runs import Runs
from greensalt.master.services import Services
from greensalt.master.sessions import Sessions
from greensalt.master.signin import SignIn
from greensalt.master.stats import Stats
from greensalt.master.tops import MasterTops
from greensalt.master.upkeep import Upkeep
from greensalt.master.workers.elsewhere import Elsewhere
from greensalt.master.workers.stamp import leave, stamp_of
from greensalt.master.workers.supervisor import Supervisor
from greensalt.serializers import MSGPACK
from greensalt.store.autosign import AutosignPolicy
from greensalt.store.batches import BatchStore
from greensalt.store.keys import KeyStore
from greensalt.store.minions import MinionCache
from greensalt.store.secretfiles import SessionKeys
from greensalt.store.sqlite import SqliteStore
from greensalt.transport import addresses
from greensalt.transport.bus import EventPublisher
from greensalt.transport.device import Device
from greensalt.transport.publish import Publisher, Pusher
from greensalt.transport.sockets import new_context
from greensalt.wire.jid import JidClock

log = logging.getLogger(__name__)

STOP_S = 1.5  # for the answers to what was accepted
LOCKED_S = 1.0  # that a commit waits for a lock of somebody else's: less than a stop may take
FILES_BESIDE_MINIONS = 256


class Master:
    """One master process. `start` raises when it can't run; `wait` returns why it has to end."""

    def __init__(self, config: MasterConfig) -> None:
        self.config = config
        self.context = new_context(config.io_threads)
        self.watchdog = Watchdog()
        self._stopped: AsyncResult[str | None] = AsyncResult()
        self._crew = Crew("master")
        self._stops: list[tuple[str, Callable[[], object]]] = []
        self.pushers: dict[str, Pusher] = {}  # by serializer
        self.recorder: EventRecorder | None = None

    def start(self) -> None:
        """Open everything, the public ports last."""
        begun = time.monotonic()
        _check_open_files()
        have_threads(self.config.worker_threads)  # besides those of sign-ins and files
        self.watchdog.start()
        self._open_store()
        self._open_keys()
        self._open_bus()
        self._open_publishers()
        self._open_reqserver()
        self._start_upkeep()
        self.batches.start()
        self._on_close("batches", self.batches.stop_all)
        self._start_returners()
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be looked at again
        log.info("started in %.2f s", time.monotonic() - begun)

    @property
    def addresses(self) -> str:
        """Where this master can be reached, for people."""
        bus = addresses.master_event_pub(self.config.sock_dir)
        return f"clients {self.clients_address}, pub {self.pub_address}, bus {bus}"

    def wait(self) -> str | None:
        """Wait for `stop` (None) or for the death of a part (the reason)."""
        return self._stopped.get()

    def stop(self) -> None:
        """Let `wait` return; safe to be called from a signal handler."""
        self._end(None)

    def _end(self, reason: str | None) -> None:
        if not self._stopped.ready():
            self._stopped.set(reason)

    def close(self) -> None:
        """Stop the parts in reverse order."""
        while self._stops:
            name, close = self._stops.pop()
            begun = time.monotonic()
            try:
                close()
            except Exception:
                log.exception("%s did not stop cleanly", name)
            log.debug("%s stopped in %.0f ms", name, (time.monotonic() - begun) * 1e3)
        self.watchdog.stop()
        offload(self.context.destroy, 0)  # a start that failed half-way leaves sockets behind
        log.info("stopped")

    # -- the parts ---------------------------------------------------------------------------

    def _open_store(self) -> None:
        cachedir = Path(self.config.cachedir)
        self.store = SqliteStore(
            cachedir / "greensalt.db",
            sync="normal" if self.config.job_store_sync == "normal" else "full",
            busy_timeout_s=LOCKED_S,
        )
        self._watch(self.store.database.dead)
        self._on_close("store", self.store.close)
        self.cache = MinionCache(self.store)

    def _open_keys(self) -> None:
        config = self.config
        self.keys = KeyStore(Path(config.pki_dir))
        self.keys.prepare()
        self.master_key = offload(self.keys.own, "master", config.keysize, config.key_pass)
        self.codecs = ServedCodecs(
            config.serializers, config.serializer, Path(config.cachedir) / ".serializers"
        )
        self.sessions = Sessions(
            self.keys,
            SessionKeys(Path(config.cachedir)),
            self.codecs,
            config.publish_session,
            config.request_server_ttl,
        )
        self.roster = MasterRoster(self.keys, self.cache)
        self.presence = Presence(self.roster.ids, self.sessions.last_seen)
        self.access = Access(config, self.roster)
        self._on_close("access", self.access.close)
        self.access.open()
        self.publish_key = PublishKey(Path(config.cachedir) / ".publish_key")

    def _open_bus(self) -> None:
        sock_dir = self.config.sock_dir
        self.bus = EventPublisher(self.context, max_event_bytes=self.config.max_event_size)
        self.bus.bind(
            addresses.master_event_pub(sock_dir),
            addresses.master_event_pull(sock_dir),
            addresses.master_event_past(sock_dir),
        )
        if self.config.event_return:
            self._start_recorder()
        self.bus.start()
        self._watch(self.bus.failed)
        self._on_close("bus", self.bus.stop)

    def _start_recorder(self) -> None:
        """Before the bus, and it ends after it: no event is missed."""
        self.recorder = recorder = EventRecorder(self.config, self.bus)
        self._on_close("events for returners", recorder.stop)
        recorder.start()
        for failed in recorder.failed:
            self._watch(failed)

    def _open_publishers(self) -> None:
        config = self.config
        self.pub_address = self._open_publisher(MSGPACK.name, config.publish_port)
        for name, port in config.serializers.items():
            log.info("jobs in %s on %s", name, self._open_publisher(name, port))

    def _open_publisher(self, serializer: str, port: int) -> str:
        """The Publisher of one serializer and the way to it; the address of its `pub`."""
        config = self.config
        own = "" if serializer == MSGPACK.name else serializer
        pull = addresses.publish_pull(config.sock_dir, own)
        publisher = Publisher(
            self.context,
            hwm=config.pub_hwm,
            backlog=config.zmq_backlog,
            ipv6=bool(config.ipv6),
            heartbeat_ms=config.heartbeat_ms,
        )
        address = publisher.bind(addresses.tcp(config.interface, port), pull)
        publisher.start()
        self._watch(publisher.failed)
        self._on_close(f"publisher of {serializer}", publisher.stop)
        self.pushers[serializer] = pusher = Pusher(self.context, pull)
        self._on_close(f"pusher of {serializer}", pusher.close)
        return address

    def _open_reqserver(self) -> None:
        config = self.config
        self.dispatch = Dispatch(
            self.pushers,
            self.codecs,
            self.publish_key,
            self.master_key if config.sign_pub_messages else None,
            config.publish_signing_algorithm,
        )
        recent, clock = RecentJobs(self.store), JidClock()
        self.jobs = Jobs(
            config, self.store, self.bus, self.dispatch, self.roster, self.access, recent, clock
        )
        self.liveness = Liveness(self.jobs, self.presence, config.user, config.gather_job_timeout)
        self._on_close("liveness", self.liveness.stop)
        self._open_returns(Returns(self.store, self.bus, recent, clock))
        self.pillars = PillarService(config)
        self.services = Services(
            config, self.bus, self.cache, self.keys, self.sessions, self.roster, self.pillars
        )
        self.files = file_server(config)
        receiver = Receiver(
            Path(config.cachedir),
            enabled=config.file_recv,
            most_bytes=config.file_recv_max_size << 20,
        )
        self._prepare_runs()
        self._prepare_batches()
        options = MasterOptions(config, self.files.envs)
        self.tops = MasterTops(config)
        self.peers = PeerRequests(config, self.jobs, self.store, self.roster, self.runs)
        self.signin = SignIn(
            config,
            self.keys,
            self.master_key,
            self.publish_key,
            self.sessions,
            self.codecs,
            AutosignPolicy(config),
            self.bus,
        )
        self.reqserver = ReqServer(
            self.sessions,
            self.codecs,
            Tables(
                clear_routes(
                    self.signin,
                    self.jobs,
                    Following(
                        self.store,
                        self.access,
                        self.liveness,
                        self.batches.status,
                        self.batches.names,
                    ),
                    RunRequests(self.runs, self.access),
                    TokenCommands(self.access),
                    self.batches,
                ),
                minion_routes(
                    self.returns,
                    self.jobs.redelivery,
                    self.services,
                    self.files,
                    receiver,
                    options,
                    self.tops,
                    self.peers,
                ),
                private_routes(self.master_key, self.services, self.files),
                LANE_OF,
                LAST_LANE,
                ADMITTED,
            ),
            lanes(config.worker_threads),
            self.access.is_known,
            self.access.admit,
            self.presence.heard,
        )
        self._open_device()

    def _open_returns(self, returns: Returns) -> None:
        crew = Crew("returns")
        for _ in range(2):
            crew.spawn_vital("keeper", returns.run)
        self.returns = returns
        self._watch(crew.failed)
        self._on_close("returns", crew.stop)

    def _open_device(self) -> None:
        config = self.config
        device = self.device = Device(
            self.context,
            self.reqserver.handle,
            backlog=config.zmq_backlog,
            ipv6=bool(config.ipv6),
            heartbeat_ms=config.heartbeat_ms,
        )
        self._prepare_workers(device)
        device.bind_workers("inproc://workers", addresses.workers(config.sock_dir))
        device.start()
        self._watch(device.failed)
        self._on_close("reqserver", lambda: _stop_device(device))
        device.watch_clients(self.presence.opened, self.presence.closed)
        self.clients_address = device.bind_clients(addresses.tcp(config.interface, config.ret_port))
        self.supervisor.start()

    def _prepare_workers(self, device: Device) -> None:
        """Worker processes may attach at any time, those of this master and others."""
        stamp = stamp_of(self.config)
        leave(self.config, stamp)
        elsewhere = Elsewhere(device.outside, stamp.digest, self.services.keep_facts)
        self.reqserver.give_away(elsewhere)
        device.outside.on_room = self.reqserver.advance
        self.elsewhere = elsewhere
        self.supervisor = Supervisor(self.config)
        self._on_close("worker processes", self.supervisor.stop)

    def _prepare_runs(self) -> None:
        self.surroundings = MasterContext(
            config=self.config,
            store=self.store,
            cache=self.cache,
            keys=self.keys,
            roster=self.roster,
            bus=self.bus,
            jobs=self.jobs,
            access=self.access,
            files=self.files,
            pillars=self.pillars,
            presence=self.presence,
            liveness=self.liveness,
        )
        self.runs = Runs(self.surroundings)
        self.runs.recover()
        self._on_close("runs", self.runs.stop)
        if self.config.reactor:
            self._start_reactor()

    def _start_reactor(self) -> None:
        """Before the ports open: nothing that minions say is missed."""
        self.surroundings.reactor = reactor = Reactor(self.surroundings)
        reactor.start()
        self._watch(reactor.failed)
        self._on_close("reactor", reactor.stop)

    def _prepare_batches(self) -> None:
        parts = BatchParts(
            self.jobs,
            self.store,
            self.bus,
            self.presence,
            self.liveness,
            BatchStore(self.store.database),
        )
        self.batches = self.surroundings.batches = Batches(parts, self.config.timeout)

    def _start_upkeep(self) -> None:
        self.upkeep = Upkeep(
            self.config,
            self.store,
            self.bus,
            self.publish_key,
            self.roster.ids,
            self.cache.ids,
            self._forget_minion,
            self.jobs.ping_all,
            self.access.tokens.remove_expired,
        )
        self._forget_strangers()
        self._crew.spawn_vital("upkeep", self.upkeep.run)
        if self.config.presence_events:
            events = PresenceEvents(self.presence, self.bus, self.config.loop_interval)
            self._crew.spawn_vital("presence events", events.run)
        if self.config.fileserver_events:
            updates = Updates(self.files.backends, self.bus, self.config.roots_update_interval)
            self._crew.spawn_vital("file server events", updates.run)
        if self.config.master_stats:
            interval_s = self.config.master_stats_event_iter
            stats = Stats(0, self.reqserver.tally, self.stats, self.bus.fire, interval_s)
            self._crew.spawn("stats", stats.run)
        self._watch(self._crew.failed)
        self._on_close("upkeep", self._crew.stop)

    def stats(self) -> dict[str, Any]:
        """The figures of this process since its start, as plain data; times in seconds."""
        requests, reactor = self.reqserver.stats(), self.surroundings.reactor
        return {
            "lanes": requests["lanes"],
            "counts": requests["counts"],
            "device": self.device.figures(),
            "hub": self.watchdog.figures(),
            "workers": {
                "pids": list(self.supervisor.pids.values()),
                "deaths": self.supervisor.deaths,
                "served": dict(self.elsewhere.served),
                "refused": self.elsewhere.refused,
            },
            "reactor": {} if reactor is None else reactor.figures(),
        }

    def _start_returners(self) -> None:
        if self.config.master_returners:
            events = None if self.recorder is None else self.recorder.box
            self.returners = Returners(self.config, self.store.database, events)
            self.returners.start()
            self.surroundings.returners = self.returners
            self._watch(self.returners.failed)
            self._on_close("returners", self.returners.stop)

    def _forget_strangers(self) -> None:
        """Keys may have been deleted while no master ran (CVE-2016-9639)."""
        accepted = set(self.roster.ids())
        strangers = [minion_id for minion_id in self.cache.ids() if minion_id not in accepted]
        self.cache.forget(*strangers)

    def _forget_minion(self, minion_id: str) -> None:
        self.sessions.forget(minion_id)
        self.cache.forget(minion_id)

    def _on_close(self, name: str, close: Callable[[], object]) -> None:
        self._stops.append((name, close))

    def _watch(self, failed: AsyncResult[str]) -> None:
        """End the master when a part that it can't live without has ended."""
        failed.rawlink(lambda result: self._end(str(result.value)))


def _stop_device(device: Device) -> None:
    unanswered = device.stop(STOP_S)
    if unanswered:
        log.error("%d requests could not be answered before the stop", unanswered)


def _check_open_files() -> None:
    """Raise the limit of open files to the most allowed: a minion takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    minions = max(0, hard - FILES_BESIDE_MINIONS) // 2
    if minions < 5000:
        log.warning("the limit of %d open files is enough for about %d minions", hard, minions)


def run(config: MasterConfig, announce: Callable[[str], object]) -> int:
    """Run a master until it is told to stop; returns the exit code.

    `announce` gets the one line that says that it is ready.
    """
    master = Master(config)
    for signum in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(signum, master.stop)
    try:
        master.start()
        announce(f"greensalt master {config.id} is ready: {master.addresses}")
        reason = master.wait()
    except GreensaltError as error:
        reason = str(error)
    finally:
        master.close()
    if reason is not None:
        log.critical("the master ends: %s", reason)
        return 1
    return 0
