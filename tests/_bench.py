"""A whole master inside the test's process, on free ports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

from greensalt.config import MasterConfig
from greensalt.master.daemon import Master
from greensalt.transport.addresses import master_event_pub, master_event_pull
from greensalt.transport.bus import BusClient
from tests._daemons import free_port
from tests._peer import Peer, key


class Bench:
    """A running master, its peers and its local users."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.root = root
        self.options = options
        self.peers: list[Peer] = []
        self.listeners: list[BusClient] = []
        self.start()

    def start(self) -> None:
        overrides = {
            "root_dir": str(self.root),
            "interface": "127.0.0.1",
            "publish_port": free_port(),
            "ret_port": free_port(),
            "keysize": 2048,
            **self.options,
        }
        self.config = MasterConfig.load(self.root / "conf", overrides)
        self._give_key()
        self.master = Master(self.config)
        self.master.start()

    def _give_key(self) -> None:
        """The master's key pair, which would take a while to make."""
        pem = self.config.pki_dir / "master.pem"
        if not pem.exists():
            pem.parent.mkdir(mode=0o700, parents=True)
            pem.touch(0o400)
            pem.write_text(key(99).to_pem())
            pem.with_suffix(".pub").write_text(key(99).public.pem)

    def restart(self) -> None:
        self.master.close()
        self.options.update(publish_port=self.config.publish_port, ret_port=self.config.ret_port)
        self.start()

    def close(self) -> None:
        for peer in self.peers:
            peer.close()
        for listener in self.listeners:
            listener.close()
        self.master.close()

    def until(self, true: Callable[[], bool], timeout_s: float = 60) -> None:
        """Let the master work until something is true."""
        with gevent.Timeout(timeout_s):
            while not true():
                gevent.sleep(0.005)

    def peer(
        self,
        minion_id: str = "m1",
        key_number: int = 0,
        *,
        sign_in: bool = True,
        serializer: str | None = None,
    ) -> Peer:
        peer = Peer(self.master.clients_address, minion_id, key_number)
        self.peers.append(peer)
        if sign_in:
            peer.sign_in(serializer=serializer)
        return peer

    def listen(self, *prefixes: str) -> BusClient:
        sock_dir = self.config.sock_dir
        client = BusClient(master_event_pub(sock_dir), master_event_pull(sock_dir))
        for prefix in prefixes:
            client.subscribe(prefix)
        client.sync(60)
        self.listeners.append(client)
        return client

    def user_key(self, user: str = "root") -> str:
        return (self.config.cachedir / f".{user}_key").read_text()

    def publish(self, tgt: Any, fun: Any = "test.ping", arg: Any = (), **fields: Any) -> Any:
        """The reply to a publish command of root, or of whom `fields` name."""
        load = {
            "cmd": "publish",
            "tgt": tgt,
            "fun": fun,
            "arg": list(arg),
            "tgt_type": "glob",
            "ret": "",
            "jid": "",
            "kwargs": {},
            "user": "root",
            "key": self.user_key(),
            **fields,
        }
        return self.anybody().clear(load)

    def job(self, tgt: Any, fun: Any = "test.ping", **fields: Any) -> str:
        """Publish; the jid."""
        jid = self.publish(tgt, fun, **fields)["load"]["jid"]
        assert isinstance(jid, str)
        return jid

    def follow(self, jid: Any, after: Any = 0, **fields: Any) -> Any:
        load = {"cmd": "follow_job", "jid": jid, "after": after, "user": "root"}
        return self.anybody().clear({**load, "key": self.user_key(), **fields})

    def anybody(self) -> Peer:
        """Somebody who can reach the port, and no more."""
        if not hasattr(self, "_anybody"):
            self._anybody = self.peer("anybody", sign_in=False)
        return self._anybody
