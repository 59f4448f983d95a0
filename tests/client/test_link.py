"""Asking the master: keys of local users, lost replies, errors that say what to do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest
from gevent import socket
from gevent.server import StreamServer

from greensalt.client import identity, link as linking
from greensalt.client.identity import key_path, local_user, read_key
from greensalt.client.link import MasterLink
from greensalt.client.local import LocalClient
from greensalt.errors import (
    AuthenticationError,
    AuthorizationError,
    GreensaltError,
    MalformedMessage,
    RequestTimeout,
    StoreError,
    TransportError,
    VersionTooOld,
)
from greensalt.transport.device import Device
from greensalt.transport.sockets import new_context
from greensalt.wire.dialect import pack, unpack
from tests._bench import Bench
from tests._daemons import free_port
from tests.client._fleet import Fleet, client_config, client_of

JID = "20261122192410230816"


# -- who asks ----------------------------------------------------------------------------------


def test_root_by_sudo_is_named_after_who_used_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_name_of", lambda _uid: "root")
    monkeypatch.setenv("SUDO_USER", "ann")
    assert local_user() == "sudo_ann"
    monkeypatch.setenv("SUDO_USER", "root")
    assert local_user() == "root"
    monkeypatch.delenv("SUDO_USER")
    assert local_user() == "root"
    monkeypatch.setattr(identity, "_name_of", lambda _uid: "bob")
    monkeypatch.setenv("SUDO_USER", "ann")
    assert local_user() == "bob"


def test_a_user_without_an_entry_is_a_number() -> None:
    assert identity._name_of(3_999_999_999) == "3999999999"


def test_root_and_sudo_use_the_key_of_the_masters_user() -> None:
    cachedir = Path("/c")
    assert key_path(cachedir, "root", "root") == Path("/c/.root_key")
    assert key_path(cachedir, "root", "salt") == Path("/c/.salt_key")
    assert key_path(cachedir, "sudo_ann", "salt") == Path("/c/.salt_key")
    assert key_path(cachedir, "ann", "salt") == Path("/c/.ann_key")


def test_a_missing_key_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / ".ann_key"
    with pytest.raises(
        AuthenticationError, match=r"no key .*\.ann_key for user ann.*Is the master"
    ):
        read_key(path, "ann")
    path.write_text(" \n")
    with pytest.raises(AuthenticationError, match="is empty"):
        read_key(path, "ann")
    path.write_bytes(b"\xff")
    with pytest.raises(AuthenticationError, match="can't be read"):
        read_key(path, "ann")
    path.write_text("secret\n")
    assert read_key(path, "ann") == "secret"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_key_of_somebody_else_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / ".root_key"
    path.touch(0o000)
    with pytest.raises(AuthenticationError, match=r"user ann may not read .*publisher_acl"):
        read_key(path, "ann")


def test_a_wrong_key_is_refused(made: Bench, client: LocalClient) -> None:
    (made.config.cachedir / f".{made.config.user}_key").write_text("wrong")
    with pytest.raises(AuthenticationError, match="Authentication failure"):
        client.cmd("*", "test.ping")


def test_a_key_that_the_master_made_anew_is_read_again(
    made: Bench, fleet: Fleet, client: LocalClient
) -> None:
    client.link._key = "that of the master before its restart"
    assert client.cmd("db1", "test.ping") == {"db1": True}


# -- a master that is not there ------------------------------------------------------------------


def test_no_master_is_said_with_its_address(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linking, "RESTART_S", 0.1)
    port = free_port()
    for sock_dir in (made.config.sock_dir, made.root / "nowhere"):
        config = client_config(made, ret_port=port, sock_dir=str(sock_dir), publish_timeout=0.1)
        with (
            LocalClient(config=config) as client,
            pytest.raises(TransportError, match=rf"no master listens at tcp://127.0.0.1:{port}"),
        ):
            client.cmd("*", "test.ping")


def test_a_master_that_is_just_starting_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    link = MasterLink("127.0.0.1", port, tmp_path, "root", request_timeout_s=1)
    late = StreamServer(("127.0.0.1", port), lambda sock, _address: sock.close())
    starter = gevent.spawn_later(0.3, late.start)
    link.probe()
    starter.get()
    late.stop()
    link.close()


def test_somebody_else_at_the_port_is_told_apart_from_a_dead_master(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "FOLLOW_TIMEOUT_S", 0.05)
    silent = socket.create_server(("127.0.0.1", 0))
    config = client_config(made, ret_port=silent.getsockname()[1], publish_timeout=0.05)
    with (
        LocalClient(config=config) as client,
        pytest.raises(TransportError, match="listens but does not answer"),
    ):
        client.cmd("*", "test.ping")
    silent.close()


# -- replies -----------------------------------------------------------------------------------


class OddMaster:
    """A Ret interface that gives the answers of the test in turn, the last one for ever.

    None is no answer. It remembers the commands.
    """

    def __init__(self, directory: Path) -> None:
        (directory / ".root_key").write_text("key")
        self.commands: list[str] = []
        self.answers: list[object] = []
        self._context = new_context()
        self._device = Device(self._context, self._handle)
        self._device.bind_workers("inproc://workers", f"ipc://{directory}/workers.ipc")
        address = self._device.bind_clients("tcp://127.0.0.1:0")
        self._device.start()
        port = int(address.rpartition(":")[2])
        self.link = MasterLink("127.0.0.1", port, directory, "root", request_timeout_s=0.1)
        self.link.user = "root"
        self.link._key_path = directory / ".root_key"

    def close(self) -> None:
        self.link.close()
        self._device.stop(0)
        self._context.destroy(linger=0)

    def _handle(self, body: bytes, _connection: int) -> bytes:
        self.commands.append(unpack(body)["load"]["cmd"])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            gevent.sleep(60)
        return pack(answer)


@pytest.fixture
def odd(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OddMaster]:
    monkeypatch.setattr(linking, "FOLLOW_TIMEOUT_S", 0.1)
    odd = OddMaster(short_dir)
    yield odd
    odd.close()


def published(jid: str = JID) -> dict[str, object]:
    return {"enc": "clear", "load": {"jid": jid, "minions": ["a"], "missing": []}}


def page(minions: list[str], *rows: dict[str, object]) -> dict[str, object]:
    load = {"jid": JID, "minions": minions, "missing": [], "returns": list(rows)}
    return {"enc": "clear", "load": {**load, "cursor": len(rows), "more": False}}


def test_a_publish_whose_reply_was_lost_is_not_sent_twice(odd: OddMaster) -> None:
    odd.answers = [None, page(["a", "b"])]
    assert odd.link.publish({"jid": JID}).minions == ["a", "b"]
    assert odd.commands == ["publish", "follow_job"]


def test_a_publish_that_never_arrived_is_sent_again(odd: OddMaster) -> None:
    odd.answers = [None, page([]), published()]
    assert odd.link.publish({"jid": JID}).jid == JID
    assert odd.commands == ["publish", "follow_job", "publish"]


def test_a_publish_is_tried_three_times(odd: OddMaster) -> None:
    odd.answers = [None]
    with pytest.raises(TransportError, match="listens but does not answer"):
        odd.link.publish({"jid": JID})
    assert odd.commands.count("publish") == 3


def test_a_find_job_is_tried_once(odd: OddMaster) -> None:
    odd.answers = [None]
    with pytest.raises(RequestTimeout):
        odd.link.publish_once({"jid": JID}, 0.1)
    assert odd.commands == ["publish"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("AuthenticationError", AuthenticationError),
        ("AuthorizationError", AuthorizationError),
        ("StoreError", StoreError),
        ("SomethingNew", GreensaltError),
        ("VersionTooOld", VersionTooOld),
        ("annotations", GreensaltError),
    ],
)
def test_an_error_of_the_master_is_raised_as_ours(
    odd: OddMaster, name: str, kind: type[GreensaltError]
) -> None:
    odd.answers = [{"error": {"name": name, "message": "the reason"}}]
    with pytest.raises(kind, match="the reason") as raised:
        odd.link.publish({"jid": JID})
    assert type(raised.value) is kind
    odd.answers = [{"enc": "clear", "load": {"error": {"name": name, "message": "the reason"}}}]
    with pytest.raises(kind, match="the reason"):
        odd.link.follow(JID, 0)


def test_a_master_of_another_kind_is_told_apart(odd: OddMaster) -> None:
    """A stock master answers {} to a command that it does not know."""
    odd.answers = [{}]
    with pytest.raises(MalformedMessage, match="does not know the command follow_job"):
        odd.link.follow(JID, 0)
    odd.answers = ["bad load"]
    with pytest.raises(MalformedMessage, match="answered 'bad load'"):
        odd.link.follow(JID, 0)
    odd.answers = [{"load": {"jid": JID}}]
    with pytest.raises(MalformedMessage, match="no returns or no cursor"):
        odd.link.follow(JID, 0)


def test_a_row_of_a_page_may_lack_everything_but_its_minion(odd: OddMaster) -> None:
    odd.answers = [
        page(
            ["a"],
            {"id": "a"},
            {"id": "b", "return": 1, "retcode": {"x.y": 0, "x.z": 4}, "fun": ["x.y", "x.z"]},
            {"id": "c", "retcode": True, "success": False, "out": "txt", "fun": "x.y"},
            {"id": "d", "retcode": "odd", "out": 7},
        )
    ]
    rows = odd.link.follow(JID, 0).results
    assert [(row.id, row.ret, row.retcode, row.failed, row.out) for row in rows] == [
        ("a", None, 0, False, None),
        ("b", 1, 4, True, None),
        ("c", None, 1, True, "txt"),
        ("d", None, 1, True, None),
    ]


def test_a_job_of_another_user_is_not_shown(bench: Callable[..., Bench]) -> None:
    made = bench(auto_accept=True)
    with Fleet(made, ["db1"]), client_of(made) as client:
        jid = client.cmd_async("db1", "test.ping")
        key = made.config.cachedir / ".somebody_key"
        key.write_text("x")
        client.link.user = "somebody"
        client.link._key = ""
        client.link._key_path = key
        with pytest.raises(AuthenticationError):
            client.get_cache_returns(jid)


def test_probing_takes_no_longer_than_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "RESTART_S", 0.2)
    link = MasterLink("127.0.0.1", free_port(), tmp_path, "root", request_timeout_s=1)
    took_s = []
    for _ in range(3):  # what a busy machine adds is not there each time
        began = time.monotonic()
        with pytest.raises(TransportError, match="Connection refused"):
            link.probe()
        took_s.append(time.monotonic() - began)
    assert 0.2 <= min(took_s) < 2
    link.close()
