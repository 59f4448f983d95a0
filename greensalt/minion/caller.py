"""One function on this machine, with a minion's configuration but without its daemon.

It may work beside a running minion of the same id: it has its own way to the master (`req`), takes
no jobs, and binds no address. What it fires goes on the bus of the running minion, if there is one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from greensalt.config import MinionConfig
from greensalt.errors import CommandExecutionError, GreensaltError, SignInRefused, TransportError
from greensalt.functions.loader import Loader
from greensalt.green import within
from greensalt.minion.context import Context
from greensalt.minion.execution import Outcome, execute
from greensalt.minion.session import MasterSession
from greensalt.minion.uplink import Uplink
from greensalt.store.minionkeys import MinionKeys
from greensalt.transport.addresses import minion_event_pub, minion_event_pull
from greensalt.transport.bus import BusClient
from greensalt.transport.sockets import Context as ZmqContext
from greensalt.wire.ids import minion_bus_hash
from greensalt.wire.jid import format_jid

log = logging.getLogger(__name__)

REFRESHED: Final = {
    "modules": "module_refresh",
    "pillar": "pillar_refresh",
    "grains": "grains_refresh",
}
"""Orders to the running minion, by what is refreshed."""

Serve = Callable[[dict[str, Any]], Any]
"""Answers a minion's request in place of a master; raises CommandExecutionError."""


class CallUplink(Uplink):
    """The uplink of a call. With `serve` it asks that, and no master."""

    serve: Serve | None = None

    def fire_master(self, tag: str, data: Mapping[str, Any]) -> bool:
        if self.serve is not None:
            return False
        return super().fire_master(tag, data)

    def request(self, load: dict[str, Any]) -> Any:
        if self.serve is not None:
            return self.serve(load)
        return super().request(load)

    def refresh(self, what: str) -> bool:
        if what in REFRESHED:
            self.fire_event(REFRESHED[what], {})  # the minion's own knowledge
        if self.serve is not None and what == "pillar":
            return True
        return super().refresh(what)


class Caller:
    """Calls functions. `open` it first, `close` it at the end.

    `jid` is what a function is told of its job; the master gives another one to what is returned.
    `serve` and `pillar` take the master's place in a local call: a function that answers requests,
    and what makes a pillar of grains.
    """

    def __init__(
        self,
        config: MinionConfig,
        context: ZmqContext,
        *,
        serve: Serve | None = None,
        pillar: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
    ) -> None:
        self._config = config
        self._is_local = serve is not None
        self._pillar = pillar
        self.loader = Loader(
            config.function_dirs,
            disabled=config.disable_modules,
            allowed=config.whitelist_modules,
        )
        keys = MinionKeys(config.pki_dir)
        self._session = MasterSession(config, keys, context, lambda: self.grains, log.error)
        self._uplink = CallUplink(config, self._session, self.loader)
        self._uplink.serve = serve
        self._context = context
        self.jid = format_jid(datetime.now(UTC))
        self._bus: BusClient | None = None

    @property
    def grains(self) -> Mapping[str, Any]:
        return self._uplink.grains

    def open(self) -> None:
        """Compute the grains; unless it is local, sign in and fetch the pillar.

        Raises SignInRefused, AuthenticationError, and TransportError when the master has not let
        this minion in within `auth_timeout` seconds.
        """
        self._uplink.read_grains()
        self._attach_bus()
        if self._is_local:
            if self._pillar is not None:
                self._uplink.pillar.update(self._pillar(self.grains))
            return
        limit_s = self._config.auth_timeout or 60
        # Not an error of ours that is thrown in: the sign-in would try again after it.
        with within(limit_s):
            self._session.connect()
            self._session.sign_in()
        if not self._session.sign_ins:
            raise TransportError(
                f"the master has not let {self._config.id} in within {limit_s:g} s: is it running,"
                " and is the key accepted there? --local does without a master"
            )
        self._uplink.refresh_pillar()

    def call(self, fun: str, arg: Sequence[Any], user: str) -> Outcome:
        """Run a function; it never raises."""
        context = Context(
            id=self._config.id,
            opts=self._config,
            loader=self.loader,
            grains=self.grains,
            pillar=self._uplink.pillar,
            uplink=self._uplink,
        )
        load = {"fun": fun, "arg": list(arg), "jid": self.jid, "user": user}
        told = {"fun": fun, "pid": os.getpid(), "jid": self.jid, "tgt": "salt-call"}
        return execute(self.loader, context, load, told)

    def tell_master(self, fun: str, arg: Sequence[Any], user: str, outcome: Outcome) -> None:
        """Return a result as a job of the minion's own, which gets its jid from the master."""
        load: dict[str, Any] = {
            "cmd": "_return",
            "id": self._config.id,
            "jid": "req",
            "fun": fun,
            "fun_args": list(arg),
            "return": outcome.ret,
            "retcode": outcome.retcode,
            "success": outcome.success,
            "tgt": self._config.id,
            "tgt_type": "glob",
            "user": user,
        }
        if outcome.out:
            load["out"] = outcome.out
        try:
            self._session.request(load)
        except GreensaltError as error:
            log.error("the result could not be returned to the master: %s", error)

    def close(self) -> None:
        self._session.close()
        if self._bus is not None:
            self._bus.close()

    def _attach_bus(self) -> None:
        """Fire on the bus of the minion that runs here, if one does and this user may."""
        id_hash = minion_bus_hash(self._config.id, self._config.hash_type)
        sock_dir = self._config.sock_dir
        pub, pull = minion_event_pub(sock_dir, id_hash), minion_event_pull(sock_dir, id_hash)
        bus = BusClient(pub, pull, self._context)
        bus.subscribe("greensalt/none")
        try:
            bus.sync(BUS_S)
        except TransportError:
            bus.close()
            return
        self._bus = bus
        self._uplink.attach(bus.fire)


BUS_S: Final = 0.2


def refuse(load: dict[str, Any]) -> Any:
    """Answers a request that only a master could answer."""
    raise CommandExecutionError(f"{load.get('cmd')} needs a master, and this call is local")


__all__ = ["Caller", "Serve", "SignInRefused", "refuse"]
