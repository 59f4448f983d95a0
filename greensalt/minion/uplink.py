"""What jobs and the minion's own bus may ask of the minion: events, requests, refreshing.

Source: docs/protocol.md 7.3.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from greensalt.config import MinionConfig
from greensalt.errors import GreensaltError
from greensalt.functions.loader import Loader
from greensalt.green import offload
from greensalt.minion.bus import Handler
from greensalt.minion.grains import core_grains
from greensalt.minion.session import MasterSession

log = logging.getLogger(__name__)

Fire = Callable[[str, dict[str, Any]], object]


class Uplink:
    """The minion's knowledge (grains, pillar, modules) and its voice (events, requests).

    `grains` and `pillar` stay the same objects when they are refreshed, so that everybody who was
    given them sees the new content.
    """

    def __init__(
        self,
        config: MinionConfig,
        session: MasterSession,
        loader: Loader,
        grains: Callable[[MinionConfig], dict[str, Any]] | None = None,
    ) -> None:
        self._config = config
        self._session = session
        self._loader = loader
        self._compute = grains or _grains_of
        self.grains: dict[str, Any] = {}
        self.pillar: dict[str, Any] = {}
        self._fire: Fire = _nobody_listens
        self.pillar_read: Callable[[], object] = lambda: None  # called after each

    def attach(self, fire: Fire) -> None:
        """Tell how to fire an event on the minion's own bus."""
        self._fire = fire

    def orders(self, put_return: Handler, manage_schedule: Handler) -> Mapping[str, Handler]:
        """The tags of the minion's bus that are orders to it."""
        return {
            "module_refresh": lambda _: self._do("mod_refresh", self._loader.reload),
            "pillar_refresh": lambda _: self._do("pillar_refresh", self.refresh_pillar),
            "grains_refresh": lambda _: self.refresh_grains(),
            "manage_schedule": manage_schedule,
            "fire_master": self._forward_event,
            "_minion_mine": lambda data: self._session.request(_without_stamp(data)),
            "__schedule_return": lambda data: put_return(_without_stamp(data)),
        }

    # -- events and requests -----------------------------------------------------------------

    def fire_event(self, tag: str, data: Mapping[str, Any]) -> bool:
        self._fire(tag, dict(data))
        return True

    def fire_master(self, tag: str, data: Mapping[str, Any]) -> bool:
        load = {"cmd": "_minion_event", "pretag": None, "tag": tag, "data": dict(data)}
        self._session.request(load)
        return True

    def request(self, load: dict[str, Any]) -> Any:
        return self._session.request(load)

    def _forward_event(self, data: dict[str, Any]) -> None:
        """An event that somebody on this machine wants on the master's bus."""
        wanted: dict[str, Any] = {
            key: data[key] for key in ("data", "tag", "events", "pretag") if key in data
        }
        self._session.request({"cmd": "_minion_event", **wanted})

    # -- refreshing --------------------------------------------------------------------------

    def refresh(self, what: str) -> bool:
        """Load "modules", "pillar" or "grains" anew; False for anything else."""
        table: Mapping[str, Callable[[], object]] = {
            "modules": self._loader.reload,
            "pillar": self.refresh_pillar,
            "grains": self.refresh_grains,
        }
        if what not in table:
            return False
        table[what]()
        return True

    def read_grains(self) -> bool:
        """Compute the grains; True when they are not what they were."""
        fresh = self._compute(self._config)
        if fresh == self.grains:
            return False
        self.grains.clear()
        self.grains.update(fresh)
        return True

    def refresh_grains(self) -> None:
        """Compute the grains anew, and the pillar when they changed."""
        if self.read_grains():
            self.refresh_pillar()

    def refresh_pillar(self) -> None:
        """Fetch the pillar from the master; the old one stays when that fails."""
        load = {
            "cmd": "_pillar",
            "grains": self.grains,
            "saltenv": self._config.saltenv or "base",
            "pillarenv": self._config.pillarenv,
            "pillar_override": {},
            "extra_minion_data": {},
            "ver": "2",
        }
        try:
            pillar = self._session.pillar(load)
        except GreensaltError as error:
            log.error("the pillar could not be fetched: %s", error)
            return
        self.pillar.clear()
        self.pillar.update(pillar)
        self.pillar_read()

    def _do(self, name: str, work: Callable[[], object]) -> None:
        work()
        self._fire(f"/salt/minion/minion_{name}_complete", {"complete": True})


def _grains_of(config: MinionConfig) -> dict[str, Any]:
    return {**offload(core_grains, config), "id": config.id}


def _nobody_listens(tag: str, data: dict[str, Any]) -> None:
    log.debug("no bus yet for %s with %d fields", tag, len(data))


def _without_stamp(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "_stamp"}
