"""A client of either kind of master that measures its jobs.

It publishes with a local user's key and watches the event bus for the returns: as the command line
does, without the start of a command.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from loadtest._publisher import Jids, Publisher
from loadtest._watch import BusWatch
from tests._daemons import Master, StockMaster
from tests._peer import Peer
from tools.bench.generator import Generator

JOB_S = 180.0
MINION = "watch"


class Job(NamedTuple):
    """What became of one job, in seconds since it was sent; `return_s` are those of each return."""

    acknowledged_s: float
    last_sent_s: float
    last_seen_s: float
    return_s: list[float]


class Client:
    """Runs jobs on a swarm, one after the other."""

    def __init__(self, master: Master) -> None:
        address = f"tcp://127.0.0.1:{master.ret_port}"
        self._jids = Jids()
        self._publisher = Publisher(
            address, str(master.cache_dir / f".{master.config['user']}_key")
        )
        self._peer = Peer(address, MINION)
        self._peer.sign_in()
        bus = str(master.root / "var/run/salt/master/master_event_pub.ipc")
        self._watch = BusWatch(
            bus, "stream" if isinstance(master, StockMaster) else "zmq", self._fire
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.close()
        self._publisher.close()
        self._peer.close()

    def _fire(self, tag: str) -> None:
        self._peer.request("_minion_event", tag=tag, data={"id": MINION})

    def run(self, swarm: Generator, count: int, target: str) -> Job:
        """test.ping to `target`, of whom `count` have to return. Raises TimeoutError."""
        jid = self._jids.next()
        arrivals = self._watch.expect(jid)
        published = self._publisher.publish(target, "test.ping", JOB_S, jid)
        if not arrivals.wait(count, JOB_S):
            raise TimeoutError(f"{len(arrivals.times)} of {count} returns were seen on the bus")
        self._watch.forget(jid)
        answer: dict[str, Any] = swarm.ask("job", jid=jid, count=count, timeout_s=JOB_S)
        if answer["count"] < count or answer["refused"]:
            raise TimeoutError(f"{answer['count']} of {count} returned: {answer['refused'][:3]}")
        return Job(
            published.acknowledged - published.sent,
            answer["last_sent"] - published.sent,
            max(arrivals.times.values()) - published.sent,
            answer["return_s"],
        )
