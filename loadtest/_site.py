"""What a run talks to: the masters with their fleets, started, proven to work, and taken down.

A `Lane` is what can be compared with another: one serializer on one master. The process that locust
calls the master (or the only one) owns the Site; its workers get the lanes as text.
"""

from __future__ import annotations

import atexit
import json
import logging
import secrets
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from greensalt.cli.children import Child
from greensalt.errors import ConfigError, TransportError
from greensalt.transport.addresses import tcp
from loadtest import _codecs, _masters
from loadtest._control import Control
from loadtest._options import Settings
from loadtest._publisher import Publisher

log = logging.getLogger(__name__)

FLEET_READY_S: Final = 120.0
PROOF_S: Final = 20.0
PROOF_TRY_S: Final = 1.0


class Lane(NamedTuple):
    """One serializer on one master. `bus` is "" where the event bus is out of reach."""

    label: str
    codec: str
    host: str
    ret_port: int
    key_file: str
    target: str
    minions: int
    control: str
    bus: str
    bus_kind: str


class Watched(NamedTuple):
    """A process whose CPU and memory belong into the report; with all its children."""

    name: str
    pid: int


class Site:
    """All masters and fleets of one run."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lanes: list[Lane] = []
        self.watched: list[Watched] = []
        self._where = Path(tempfile.mkdtemp(prefix="greensalt-load-", dir="/tmp"))
        self._masters: list[_masters.Running] = []
        self._fleets: list[Child] = []
        self._is_down = False
        self._ending = threading.Lock()

    def up(self) -> None:
        """Start everything; comes back when a job has run through every lane.

        Raises a GreensaltError that says what is wrong; then all is down again.
        """
        atexit.register(self.down)
        began = time.monotonic()
        try:
            self._start()
            for lane in self.lanes:
                self._prove(lane)
        except BaseException:
            self.down()
            raise
        log.info(
            "%s ready after %.1f s: %s",
            self.settings.target,
            time.monotonic() - began,
            ", ".join(f"{lane.label} with {lane.minions} minions" for lane in self.lanes),
        )

    def down(self) -> None:
        """Stop the fleets, then the masters, and remove their files.

        More than once is fine; who comes while it goes on waits for its end.
        """
        with self._ending:
            if self._is_down:
                return
            for fleet in self._fleets:
                fleet.stop()
            for master in self._masters:
                _masters.stop(master)
            _masters.remove(self._where)
            self._is_down = True
            atexit.unregister(self.down)

    # -- starting ----------------------------------------------------------------------------

    def _start(self) -> None:
        settings = self.settings
        codecs = list(settings.codecs)
        if settings.target.startswith("tcp://"):
            self._join_running(codecs)
            return
        if settings.target in ("greensalt", "both"):
            self._join_own(_masters.start_greensalt(self._where / "m", codecs), codecs, "")
        if settings.target in ("stock", "both"):
            # The one serializer that stock Salt speaks, whatever was asked for.
            stock = _masters.start_stock(self._where / "k")
            self._join_own(stock, [_codecs.DEFAULT], "stock ")

    def _join_own(self, master: _masters.Running, codecs: list[str], prefix: str) -> None:
        self._masters.append(master)
        self.watched.append(Watched(f"{master.kind} master", master.child.pid))
        lane = Lane(
            label=prefix,
            codec="",
            host="127.0.0.1",
            ret_port=master.ret_port,
            key_file=master.key_file,
            target="load",
            minions=self.settings.minions,
            control=str(self._where / f"{master.kind}.sock"),
            bus=master.bus,
            bus_kind=master.bus_kind,
        )
        self._join(lane, codecs, f"{master.kind} fleet")

    def _join_running(self, codecs: list[str]) -> None:
        """A fleet for a master that somebody else runs; its ids are new for every run."""
        host, port = _host_and_port(self.settings.target)
        bus = ""
        if self.settings.sock_dir:
            bus = str(Path(self.settings.sock_dir) / "master_event_pub.ipc")
            if not Path(bus).exists():
                raise ConfigError(f"--sock-dir: there is no event bus at {bus}")
        lane = Lane(
            label="",
            codec="",
            host=host,
            ret_port=port,
            key_file=str(Path(self.settings.key_file).absolute()),
            target=f"load-{secrets.token_hex(3)}",
            minions=self.settings.minions,
            control=str(self._where / "fleet.sock"),
            bus=bus,
            bus_kind="zmq",
        )
        self._join(lane, codecs, "fleet")

    def _join(self, lane: Lane, codecs: list[str], name: str) -> None:
        """Start a fleet; `lane` is the pattern of its lanes: `label` and `target` are prefixes."""
        config = self._where / f"{name.replace(' ', '-')}.json"
        config.write_text(json.dumps(self._fleet_config(lane, codecs)))
        fleet = _masters.python_child(name, "loadtest._fleet", config, config.with_suffix(".log"))
        self._fleets.append(fleet)
        fleet.start()
        fleet.wait_for("fleet is ready", FLEET_READY_S)
        self.watched.append(Watched(name, fleet.pid))
        for codec in codecs:
            self.lanes.append(
                lane._replace(
                    label=f"{lane.label}{codec}",
                    codec=codec,
                    target=f"{lane.target}-{codec}-*",
                )
            )

    def _fleet_config(self, lane: Lane, codecs: list[str]) -> dict[str, Any]:
        return {
            "host": lane.host,
            "ret_port": lane.ret_port,
            "prefix": lane.target,
            "codecs": codecs,
            "minions": lane.minions,
            "payloads": list(self.settings.payloads),
            "timeout_s": self.settings.job_timeout_s,
            "control": lane.control,
            "where": str(self._where),
        }

    def _prove(self, lane: Lane) -> None:
        """Run jobs until one reaches all minions: a SUB's subscription takes a moment to arrive."""
        publisher = Publisher(tcp(lane.host, lane.ret_port), lane.key_file)
        control = Control(lane.control, PROOF_S)
        until = time.monotonic() + PROOF_S
        try:
            while True:
                published = publisher.publish(lane.target, "test.ping", PROOF_S)
                acks = control.acks(published.jid, lane.minions, PROOF_TRY_S)
                failed = [ack["error"] for ack in acks if ack["error"]]
                if len(acks) == len(published.minions) == lane.minions and not failed:
                    return
                if time.monotonic() > until:
                    raise TransportError(
                        f"{lane.label}: {len(acks)} of {lane.minions} minions returned test.ping,"
                        f" the master expected {len(published.minions)} {failed[:1] or ''}"
                    )
        finally:
            publisher.close()
            control.close()


def to_text(lanes: list[Lane]) -> str:
    """Lanes for the workers of a distributed run; they must be on the same host."""
    return json.dumps({"boot": _boot_id(), "lanes": lanes})


def from_text(text: str) -> list[Lane]:
    """The lanes that the locust master has started. Raises ConfigError when it is elsewhere."""
    if not text:
        return []
    site = json.loads(text)
    if site["boot"] != _boot_id():
        raise ConfigError(
            "this worker is on another host than locust's master: the fleet, the event bus and the"
            " clock of a run are those of one host"
        )
    return [Lane(*lane) for lane in site["lanes"]]


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _host_and_port(target: str) -> tuple[str, int]:
    try:
        parts = urlsplit(target)
        if parts.hostname and parts.port:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise ConfigError(f"--target {target!r} is not tcp://host:port (ret_port, usually 4506)")
