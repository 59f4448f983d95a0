"""A master in the test's process whose runners are called, and minions that answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from greensalt.errors import TransportError
from tests._bench import Bench
from tests._peer import Peer


class House:
    """A master, `run` and `wheel` on it, and minions that answer jobs by `answers`."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.answers: dict[str, Any] = {"test.ping": True}
        self._greenlets: list[gevent.Greenlet[..., Any]] = []

    def run(self, fun: str, *arg: Any, **kwarg: Any) -> Any:
        """The result of a runner that must succeed."""
        outcome = self.bench.master.runs.call("runner", fun, list(arg), kwarg, "root")
        assert outcome.success, outcome.ret
        return outcome.ret

    def fails(self, fun: str, *arg: Any, **kwarg: Any) -> str:
        outcome = self.bench.master.runs.call("runner", fun, list(arg), kwarg, "root")
        assert not outcome.success
        return str(outcome.ret)

    def wheel(self, fun: str, *arg: Any, **kwarg: Any) -> Any:
        outcome = self.bench.master.runs.call("wheel", fun, list(arg), kwarg, "root")
        assert outcome.success, outcome.ret
        return outcome.ret

    def minion(self, minion_id: str, number: int = 0, **grains: Any) -> Peer:
        """An accepted minion that answers every job for it."""
        peer = self.bench.peer(minion_id, number)
        peer.request("_pillar", grains={"id": minion_id, **grains}, saltenv=None, pillarenv=None)
        bus = self.bench.listen("salt/job/")
        self._greenlets.append(gevent.spawn(self._answer, peer, minion_id, bus))
        return peer

    def _answer(self, peer: Peer, minion_id: str, bus: Any) -> None:
        while True:
            event = bus.next(None)
            if not event[0].endswith("/new") or minion_id not in event[1]["minions"]:
                continue
            answer = self.answers.get(event[1]["fun"])
            if callable(answer):
                answer = answer(minion_id, event[1]["arg"])
            if answer is not None:
                try:
                    peer.returns(event[1]["jid"], answer, fun=event[1]["fun"])
                except TransportError:
                    return

    def close(self) -> None:
        gevent.killall(self._greenlets)


@pytest.fixture(name="house")
def _house(bench: Callable[..., Bench]) -> Iterator[Callable[..., House]]:
    """Makes a House with the given options."""
    made: list[House] = []

    def make(**options: Any) -> House:
        made.append(House(bench(auto_accept=True, **options)))
        return made[-1]

    yield make
    for each in made:
        each.close()
