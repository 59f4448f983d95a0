"""What a worker serves to an authenticated minion besides taking its returns.

Source: docs/protocol.md 6.2, 7.2.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import gevent

from greensalt.config import MasterConfig
from greensalt.errors import MalformedMessage, TargetError
from greensalt.master.access.rules import allowed_to, at_start
from greensalt.master.pillar import PillarService
from greensalt.master.pillar.command import pillar_of
from greensalt.master.sessions import Peer, Sessions
from greensalt.store.blobs import pack
from greensalt.store.keys import KeyStore
from greensalt.store.minions import MinionCache
from greensalt.target import Roster, Target, expected
from greensalt.transport.bus import EventPublisher
from greensalt.wire import tags

log = logging.getLogger(__name__)

TARGET_MOST_CHARS = 4096  # of a target that a minion sends
TAG_MOST_CHARS = 1024  # of an event of a minion
MINE_FUNCTIONS_MOST = 100  # in one question
EVENTS_AT_ONCE = 50  # fired before others have their turn


class Services:
    """The handlers of events, pillar, grains cache and mine. `refused_events` counts forgeries."""

    def __init__(
        self,
        config: MasterConfig,
        bus: EventPublisher,
        cache: MinionCache,
        keys: KeyStore,
        sessions: Sessions,
        roster: Roster,
        pillars: PillarService,
    ) -> None:
        self._config = config
        self._pillars = pillars
        self._bus = bus
        self._cache = cache
        self._keys = keys
        self._sessions = sessions
        self._roster = roster
        self.refused_events = 0

    def pillar(self, peer: Peer, load: dict[str, Any]) -> dict[str, Any]:
        """`_pillar`: keeps the minion's grains and returns its pillar."""
        grains, pillar = pillar_of(self._pillars, peer.id, load)
        if self._config.minion_data_cache:
            self.keep_facts(peer.id, pack(grains), pack(pillar))
        return pillar

    def keep_facts(self, minion_id: str, grains: bytes, pillar: bytes) -> None:
        """Keep what a minion told and was told, packed, and say so on the bus."""
        if self._config.minion_data_cache:
            self._cache.put_packed(minion_id, grains, pillar)
            if self._config.minion_data_cache_events:
                self._bus.fire(
                    tags.minion_refresh(minion_id), {"Minion data cache refresh": minion_id}
                )

    def register_resources(self, _peer: Peer, _load: dict[str, Any]) -> dict[str, Any]:
        """`_register_resources`: greensalt knows no resources, and says so as Salt 3006 does."""
        return {}

    def minion_event(self, peer: Peer, load: dict[str, Any]) -> None:
        """`_minion_event`: one event, or a list of them, onto the master's bus."""
        events = load.get("events")
        if isinstance(events, list):
            pretag = load.get("pretag")
            for place, event in enumerate(events, start=1):
                if not place % EVENTS_AT_ONCE:
                    gevent.sleep(0)
                if isinstance(event, dict) and isinstance(event.get("tag"), str):
                    data = _as_dict(event.get("data"))
                    if isinstance(pretag, str) and pretag:
                        self._fire(peer, f"{pretag}/{event['tag']}", data)
                    self._fire(peer, event["tag"], data)
            return
        if not isinstance(load.get("tag"), str):
            raise MalformedMessage(f"{peer.id}: an event without a tag")
        self._fire(peer, load["tag"], load)

    def _fire(self, peer: Peer, tag: str, data: dict[str, Any]) -> None:
        if len(tag) <= TAG_MOST_CHARS and tags.minion_may_fire(tag, peer.id):
            self._bus.fire(tag, data)
        else:
            self.refused_events += 1
            log.warning("%s may not fire the event %.80r", peer.id, tag)

    def mine_store(self, peer: Peer, load: dict[str, Any]) -> bool:
        """`_mine`: merge `data` into the minion's mine, or replace it with `clear`."""
        data = load.get("data")
        if not isinstance(data, dict):
            raise MalformedMessage(f"{peer.id}: mine data must be a dictionary")
        self._cache.mine_update(peer.id, data, clear=bool(load.get("clear")))
        return True

    def mine_get(self, peer: Peer, load: dict[str, Any]) -> dict[str, Any]:
        """`_mine_get`: {minion: value} of one function, {function: {minion: value}} of several."""
        fun = load.get("fun")
        functions = fun.split(",") if isinstance(fun, str) else fun
        if not isinstance(functions, list) or not all(isinstance(f, str) for f in functions):
            raise MalformedMessage(f"{peer.id}: mine functions must be named")
        if len(functions) > MINE_FUNCTIONS_MOST:
            raise MalformedMessage(f"{peer.id}: {len(functions)} mine functions at once")
        if not self._may_read_mines(peer, functions):
            return {}
        tgt = load.get("tgt", "")
        if len(str(tgt)) > TARGET_MOST_CHARS:
            raise MalformedMessage(f"{peer.id}: a target of {len(str(tgt))} characters")
        found = expected(
            tgt,
            str(load.get("tgt_type") or load.get("expr_form") or "glob"),
            self._roster,
            nodegroups=self._config.nodegroups,
            exact_pillar=True,
        )
        result = {
            function: {
                minion_id: _mine_value(entry)
                for minion_id, entry in values.items()
                if self._mine_allowed(peer.id, entry)
            }
            for function, values in self._cache.mine_of(functions, found.minions).items()
        }
        single = isinstance(fun, str) and len(functions) == 1
        return result[functions[0]] if single else result

    def _may_read_mines(self, peer: Peer, functions: Sequence[str]) -> bool:
        """Whether the option `mine_get` lets a minion ask for each of these functions."""
        if self._config.mine_get is None:
            return True
        rules = allowed_to(self._config.mine_get, peer.id)
        for function in functions:
            if not any(isinstance(rule, str) and at_start(rule, function) for rule in rules):
                log.warning("`mine_get` does not allow %.100r to %s", function, peer.id)
                return False
        return True

    def _mine_allowed(self, asker: str, entry: Any) -> bool:
        """An entry may say itself who gets it (docs/protocol.md 6.4)."""
        if not _has_acl(entry) or not entry.get("allow_tgt"):
            return True
        kind = str(entry.get("allow_tgt_type") or "glob")
        try:
            allowed = Target(entry["allow_tgt"], kind, exact_pillar=True)
        except TargetError as error:
            log.warning("the mine of a minion allows a target that can't be parsed: %s", error)
            return False
        return allowed.matches(KnownFacts(asker, self._roster))

    def mine_delete(self, peer: Peer, load: dict[str, Any]) -> bool:
        """`_mine_delete`: forget one function of the minion's mine."""
        if not isinstance(load.get("fun"), str):
            raise MalformedMessage(f"{peer.id}: mine functions must be named")
        self._cache.mine_delete(peer.id, load["fun"])
        return True

    def mine_flush(self, peer: Peer, _load: dict[str, Any]) -> bool:
        """`_mine_flush`: forget the minion's mine; False when there was none."""
        return bool(self._cache.mine_flush(peer.id))

    def revoke_auth(self, peer: Peer, load: dict[str, Any]) -> Any:
        """`revoke_auth`: delete the key of the minion that asks."""
        if not self._config.allow_minion_key_revoke:
            log.warning("%s asked to revoke its key, which is not allowed", peer.id)
            return load
        self._keys.delete(peer.id)
        self._sessions.forget(peer.id)
        if not load.get("preserve_minion_cache"):
            self._cache.forget(peer.id)
        self._keys.request_rotation(self._config.cachedir)
        self._bus.fire(tags.KEY, {"result": True, "act": "delete", "id": peer.id})
        return True


class KnownFacts:
    """What the master knows of a minion, as the target package wants it."""

    def __init__(self, minion_id: str, roster: Roster) -> None:
        self.id = minion_id
        self.grains: Mapping[str, Any] = roster.grains(minion_id) or {}
        self.pillar: Mapping[str, Any] = roster.pillar(minion_id) or {}


def _as_dict(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {"data": data}


def _has_acl(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(entry.get("__saltmine_acl__"))


def _mine_value(entry: Any) -> Any:
    return entry.get("__data__") if _has_acl(entry) else entry
