"""Minions of the tests that answer jobs as they are told, at a master inside the process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Self

import gevent
from gevent.event import Event

from greensalt.client.findjob import FIND_JOB
from greensalt.client.local import LocalClient
from greensalt.config import ClientConfig
from greensalt.transport.addresses import master_event_pub
from greensalt.transport.bus import BusClient
from tests._bench import Bench

SILENT: Final = object()
"""What `answer` returns for a job that the minion does not return (yet)."""

Answer = Callable[[str, Any, Any], Any]


def ping(_minion_id: str, _fun: Any, _arg: Any) -> Any:
    return True


class Fleet:
    """Signs minions in and has them return `answer(id, fun, arg)` for every job they get.

    A tuple (value, retcode) tells the exit code, too. A minion that was silent for a job says to
    find_job that it runs it, until `finish` or `forget`. `asked` remembers (id, fun) of all jobs,
    `finds` the ids that each find_job asked.
    """

    def __init__(self, made: Bench, ids: Iterable[str], answer: Answer = ping) -> None:
        self.made = made
        self.answer = answer
        self.peers = {minion_id: made.peer(minion_id) for minion_id in ids}
        self.asked: list[tuple[str, Any]] = []
        self.finds: list[list[str]] = []
        self.down: set[str] = set()
        self.busy: dict[str, set[str]] = {}
        self.heard = Event()
        self._greenlet = gevent.spawn(self._serve)
        assert self.heard.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._greenlet.kill()

    def finish(self, jid: str, minion_id: str, value: Any) -> None:
        """Return for a job that the minion was silent about."""
        self.busy[jid].discard(minion_id)
        self.peers[minion_id].returns(jid, value)

    def forget(self, minion_id: str) -> None:
        """Let it say from now on that it runs nothing."""
        for ids in self.busy.values():
            ids.discard(minion_id)

    def _serve(self) -> None:
        bus = BusClient(master_event_pub(self.made.config.sock_dir))
        bus.subscribe("salt/job/")
        bus.sync(60)
        self.heard.set()
        try:
            while True:
                event = bus.next(None)
                assert event is not None
                tag, data = event
                if tag.endswith("/new"):
                    self._job(data)
        finally:
            bus.close()

    def _job(self, data: dict[str, Any]) -> None:
        jid, fun, arg = data["jid"], data["fun"], data["arg"]
        if fun == FIND_JOB:
            self.finds.append(list(data["minions"]))
        for minion_id in data["minions"]:
            if minion_id in self.down or minion_id not in self.peers:
                continue
            self.asked.append((minion_id, fun))
            if fun == FIND_JOB:
                runs = minion_id in self.busy.get(arg[0], set())
                value: Any = {"jid": arg[0], "pid": 1} if runs else {}
            else:
                value = self.answer(minion_id, fun, arg)
            if value is SILENT:
                self.busy.setdefault(jid, set()).add(minion_id)
                continue
            value, retcode = value if isinstance(value, tuple) else (value, 0)
            peer = self.peers[minion_id]
            gevent.spawn(peer.returns, jid, value, fun=fun, retcode=retcode, success=retcode == 0)


def client_config(made: Bench, **options: Any) -> ClientConfig:
    """The configuration of a client of a master on the bench."""
    config = made.config
    overrides = {
        "root_dir": str(made.root),
        "interface": "127.0.0.1",
        "ret_port": config.ret_port,
        "publish_port": config.publish_port,
        "nodegroups": config.nodegroups,
        "timeout": 0.3,
        "gather_job_timeout": 0.5,
        **options,
    }
    return ClientConfig.load(made.root / "conf", overrides)


def client_of(made: Bench, **options: Any) -> LocalClient:
    return LocalClient(config=client_config(made, **options))
