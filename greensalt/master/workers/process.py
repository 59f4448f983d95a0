"""One worker process: REP workers on `workers.ipc`, `worker_threads` of them, each a greenlet.

It ends when it is told to, when its master is another one than it was started for, and, as a child
of its master, with it.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import gevent
from gevent.event import AsyncResult

from greensalt.config import MasterConfig
from greensalt.crypto.handshake import pillar_reply
from greensalt.errors import CryptoError, GreensaltError, MalformedMessage
from greensalt.green import Crew, HubCalls, offload
from greensalt.green.watchdog import Watchdog
from greensalt.master.fileserver.server import file_server
from greensalt.master.pillar import PillarService
from greensalt.master.pillar.command import pillar_of
from greensalt.master.reqserver import MinionHandler, seal
from greensalt.master.sessions import Peer
from greensalt.master.stats import Stats, Tally
from greensalt.master.workers.elsewhere import GIVEN_AWAY
from greensalt.master.workers.handover import Answer, Refused, pack_answer, read_ask
from greensalt.master.workers.stamp import stamp_of
from greensalt.store.blobs import pack
from greensalt.store.keys import KeyStore
from greensalt.transport import addresses
from greensalt.transport.bus import BusClient
from greensalt.transport.outside import RepWorker
from greensalt.transport.sockets import new_context

log = logging.getLogger(__name__)

STOP_S: Final = 1.5  # for the requests that it has
OTHER_MASTER: Final = "its master has another version or configuration by now"

WorkerHandler = Callable[[Peer, dict[str, Any]], Answer]


class WorkerProcess:
    """The parts of a worker process, in the order in which they start."""

    def __init__(self, config: MasterConfig, number: int) -> None:
        self.config = config
        self.number = number
        self.tally = Tally()
        self.context = new_context()
        self.watchdog = Watchdog()
        self._stamp = stamp_of(config).digest
        self._crew = Crew("worker process")
        self._stopped: AsyncResult[str | None] = AsyncResult()
        self._workers: list[RepWorker] = []

    def start(self) -> None:
        """Make ready, then attach to the master."""
        config = self.config
        self.watchdog.start()
        self.master_key = offload(
            KeyStore(config.pki_dir).own, "master", config.keysize, config.key_pass
        )
        self._pillars = PillarService(config)
        self._handlers = self._table()
        address = addresses.workers(config.sock_dir)
        for number in range(config.worker_threads):
            worker = RepWorker(self.context, address, self.handle)
            self._workers.append(worker)
            self._crew.spawn_vital(f"worker {number}", worker.run)
        if config.master_stats:
            self._crew.spawn("stats", self._tell_stats)
        self._crew.failed.rawlink(lambda result: self.end(str(result.value)))

    def wait(self) -> str | None:
        """Wait for the end; None, or the reason."""
        return self._stopped.get()

    def end(self, reason: str | None = None) -> None:
        """Let `wait` return."""
        if not self._stopped.ready():
            self._stopped.set(reason)

    def close(self) -> None:
        """Finish what is being done; what waits is done by the master."""
        until = time.monotonic() + STOP_S
        while any(worker.busy for worker in self._workers) and time.monotonic() < until:
            gevent.sleep(0.005)
        self._crew.stop()
        for worker in self._workers:
            worker.close(100)  # ms for the last replies
        self.watchdog.stop()
        offload(self.context.destroy)

    def _tell_stats(self) -> None:
        sock_dir = self.config.sock_dir
        bus = BusClient(
            addresses.master_event_pub(sock_dir),
            addresses.master_event_pull(sock_dir),
            self.context,
        )
        interval_s = self.config.master_stats_event_iter
        try:
            Stats(self.number, self.tally, self._figures, bus.fire, interval_s).run()
        finally:
            bus.close()

    def _figures(self) -> dict[str, Any]:
        return {"hub": self.watchdog.figures(), "pid": os.getpid()}

    def _table(self) -> Mapping[str, WorkerHandler]:
        files = file_server(self.config)
        table: dict[str, WorkerHandler] = {
            "_pillar": self._pillar,
            "_serve_file": lambda peer, load: Answer(files.serve_file(peer, load)),
            "_file_list": _sealed(files.file_list),
            "_file_list_emptydirs": _sealed(files.file_list_emptydirs),
            "_dir_list": _sealed(files.dir_list),
            "_symlink_list": _sealed(files.symlink_list),
            "_file_hash": _sealed(files.file_hash),
            "_file_hash_and_stat": _sealed(files.file_hash_and_stat),
        }
        assert table.keys() == GIVEN_AWAY
        return table

    def handle(self, body: bytes) -> bytes:
        """The answer to one request. Never raises: what fails here is done by the master."""
        try:
            ask = read_ask(body)
            if ask.stamp != self._stamp:
                self.end(OTHER_MASTER)
                return pack_answer(Refused(OTHER_MASTER))
            handler = self._handlers.get(ask.command)
            if handler is None:
                return pack_answer(Refused(f"{ask.command!r:.80} is not done in workers"))
            begun = time.monotonic()
            answer = pack_answer(handler(ask.peer, ask.load))
            self.tally.add(ask.command, time.monotonic() - begun)
            log.debug("worker %d did %s for %s", os.getpid(), ask.command, ask.peer.id)
            return answer
        except (MalformedMessage, CryptoError) as error:
            return pack_answer(Refused(f"it can't be read: {error}"))
        except Exception as error:
            log.exception("a request could not be handled")
            return pack_answer(Refused(f"{type(error).__name__}: {error}"[:1000]))

    def _pillar(self, peer: Peer, load: dict[str, Any]) -> Answer:
        grains, pillar = pillar_of(self._pillars, peer.id, load)
        return offload(self._finished, peer, grains, pillar)

    def _finished(self, peer: Peer, grains: dict[str, Any], pillar: dict[str, Any]) -> Answer:
        reply = pillar_reply(
            pillar,
            peer.nonce,
            minion_key=peer.public_key,
            master_key=self.master_key,
            enc_algo=peer.enc_algo,
            sig_algo=peer.sig_algo,
        )
        return Answer(reply, pack(grains), pack(pillar))


def _sealed(handler: MinionHandler) -> WorkerHandler:
    return lambda peer, load: Answer(
        seal(peer.crypticle, peer.nonce, handler(peer, load), peer.codec)
    )


def run(
    config: MasterConfig, number: int, *, attached: bool, announce: Callable[[str], object]
) -> int:
    """Run a worker process until it is told to stop; returns the exit code.

    `number` tells its figures from those of others. `attached`: it ends when its standard input
    does.
    """
    worker = WorkerProcess(config, number)
    for signum in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(signum, worker.end)
    if attached:
        calls = HubCalls()
        threading.Thread(
            target=_watch_parent, args=(lambda: calls.call(worker.end),), daemon=True
        ).start()
    try:
        worker.start()
        announce(f"greensalt worker {os.getpid()} serves {addresses.workers(config.sock_dir)}")
        reason = worker.wait()
    except GreensaltError as error:
        reason = str(error)
    finally:
        worker.close()
    if reason is not None:
        log.critical("the worker ends: %s", reason)
        return 1
    return 0


def _watch_parent(gone: Callable[[], object]) -> None:
    """In a native thread: a process that hangs must end, too."""
    while os.read(0, 1):  # not by way of sys.stdin, which is locked while it reads
        pass
    gone()
    time.sleep(2 * STOP_S)
    os._exit(1)
