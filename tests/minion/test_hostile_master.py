"""Masters that lie, answer nonsense or vanish, and jobs without manners: the minion lives on."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import zmq
from gevent.event import Event

from greensalt.config import MinionConfig
from greensalt.crypto.crypticle import Crypticle, generate_key_string
from greensalt.crypto.handshake import (
    SignInRequest,
    accepted_reply,
    publish_key_signature,
    read_sign_in,
    state_reply,
)
from greensalt.crypto.signing import signed_publish
from greensalt.errors import AuthenticationError, GreensaltError, RequestRefused, RequestTimeout
from greensalt.green import Backoff, Crew
from greensalt.minion.daemon import Minion
from greensalt.minion.executor import Executor
from greensalt.minion.outbox import Outbox
from greensalt.minion.session import MasterSession
from greensalt.store.minionkeys import MinionKeys
from greensalt.transport.sockets import Context, green_socket, new_context
from greensalt.wire.dialect import pack, unpack
from greensalt.wire.envelope import BAD_LOAD, encrypted_reply
from tests._load import MIB, wait_for
from tests._peer import key

MASTER, OTHER = 99, 98


class FakeMaster:
    """A Ret interface whose every answer the test decides: `answer(load) -> body or frames`."""

    def __init__(self, context: Context) -> None:
        self.sock = green_socket(context, zmq.ROUTER)
        self.sock.set(zmq.LINGER, 0)
        self.port = self.sock.bind_to_random_port("tcp://127.0.0.1")
        self.session, self.aes = generate_key_string(), generate_key_string()
        self.seen: list[Any] = []
        self.answer: Callable[[Any], Any] = self.honest
        self.greenlet = gevent.spawn(self.run)

    def run(self) -> None:
        while True:
            *path, body = self.sock.recv_multipart()
            request = unpack(body)
            self.seen.append(request)
            reply = self.answer(request)
            if reply is not None:
                self.sock.send_multipart([*path, *(reply if isinstance(reply, list) else [reply])])

    def honest(self, request: Any) -> Any:
        load = request["load"]
        if request["enc"] == "clear":
            return self.accept(load)
        packet = load if isinstance(load, bytes) else load.encode()
        opened = Crypticle(self.session).loads(packet)
        return self.seal(None, opened["nonce"])

    def seal(self, result: Any, nonce: str) -> bytes:
        return encrypted_reply(Crypticle(self.session).dumps(result, nonce=nonce))

    def accept(self, load: dict[str, Any], key_number: int = MASTER, **other: Any) -> bytes:
        asked = read_sign_in(load)
        assert isinstance(asked, SignInRequest)
        master_key = key(key_number)
        options: dict[str, Any] = {
            "publish_port": 4505,
            "aes": self.aes,
            "aes_sig": publish_key_signature(master_key, self.aes),
            "session": self.session,
            **other,
        }
        return accepted_reply(asked, master_key=master_key, **options)

    def close(self) -> None:
        self.greenlet.kill()
        self.sock.close(0)


@pytest.fixture
def context() -> Iterator[Context]:
    context = new_context()
    with gevent.Timeout(60):
        yield context
    context.destroy(linger=0)


@pytest.fixture
def master(context: Context) -> Iterator[FakeMaster]:
    made = FakeMaster(context)
    yield made
    made.close()


def configure(root: Path, master: FakeMaster, **options: Any) -> MinionConfig:
    wanted = {
        "id": "m1",
        "root_dir": str(root),
        "master": "127.0.0.1",
        "master_port": master.port,
        "acceptance_wait_time": 0.05,
        "auth_timeout": 1,
        "random_reauth_delay": 0,
        "request_channel_timeout": 0.5,
        "request_channel_tries": 1,
        "return_retry_timer": 0.2,
        "return_retry_timer_max": 0.3,
        "recon_default": 20,
        "recon_max": 50,
        **options,
    }
    (root / "conf").mkdir(parents=True, exist_ok=True)
    config = MinionConfig.load(root / "conf", wanted)
    config.pki_dir.mkdir(parents=True, exist_ok=True)
    pem = config.pki_dir / "minion.pem"
    if not pem.exists():
        pem.write_text(key(1).to_pem())
        pem.chmod(0o400)
    return config


@pytest.fixture
def session(context: Context, master: FakeMaster, short_dir: Path) -> Iterator[MasterSession]:
    config = configure(short_dir, master)
    made = MasterSession(config, MinionKeys(config.pki_dir), context, dict, print)
    made.connect()
    yield made
    made.close()


# -- requests ------------------------------------------------------------------------------------


def random_packet(_: Any) -> bytes:
    return encrypted_reply(Crypticle(generate_key_string()).dumps(None, nonce="0" * 32))


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\xc1",
        pack(None),
        pack(7),
        pack([1, 2]),
        pack({}),
        pack({"key": 1, "pillar": 2}),
        pack({"error": {"deep": ["x"]}}),
        pack(BAD_LOAD),
        pack("x" * 5000),
        pack(bytes(5000)),
        [b"", b"too", b"many", b"frames"],
        [b"\x91" * 3000],
    ],
)
def test_a_nonsense_reply_is_an_error_and_the_next_request_works(
    session: MasterSession, master: FakeMaster, reply: Any
) -> None:
    session.sign_in()
    master.answer = lambda request: (
        reply if request["enc"] == "aes" else master.accept(request["load"])
    )
    for ask in (lambda: session.request({"cmd": "x"}), lambda: session.pillar({"cmd": "_pillar"})):
        with pytest.raises(GreensaltError):
            ask()
    master.answer = master.honest
    assert session.request({"cmd": "x"}) is None


def test_a_reply_to_another_request_is_refused(session: MasterSession, master: FakeMaster) -> None:
    session.sign_in()
    master.answer = lambda request: (
        master.seal("forged", "0" * 32)
        if request["enc"] == "aes"
        else master.accept(request["load"])
    )
    with pytest.raises(GreensaltError):
        session.request({"cmd": "x"})
    assert len([one for one in master.seen if one["enc"] == "aes"]) <= 2


def test_another_key_of_the_master_is_refused_and_the_trusted_one_stays(
    session: MasterSession, master: FakeMaster
) -> None:
    session.sign_in()
    master.answer = lambda request: master.accept(request["load"], OTHER)
    with pytest.raises(AuthenticationError):
        session.sign_in()
    assert session._keys.master_pem() == key(MASTER).public.pem


@pytest.mark.parametrize(
    "lie",
    [
        lambda m, load: m.accept({**load, "nonce": "0" * 32}),
        lambda m, load: m.accept(load, aes_sig=publish_key_signature(key(OTHER), m.aes)),
        lambda m, load: m.accept(load, aes_sig=b"x" * 256),
        lambda m, load: m.accept(load, publish_port=70_000),
        lambda m, load: m.accept(load, publish_port=0),
        lambda m, load: m.accept(load)[:-1] + b"x",
        lambda m, load: state_reply(True, "0" * 32, key(MASTER), "PKCS1v15-SHA1"),
        lambda m, load: state_reply(False, load["nonce"], key(OTHER), "PKCS1v15-SHA1"),
    ],
)
def test_a_sign_in_reply_with_a_lie_in_it_is_not_believed(
    session: MasterSession, master: FakeMaster, lie: Any
) -> None:
    session.sign_in()
    before = (session._session, session.aes, session.publish_port)
    master.answer = lambda request: lie(master, request["load"])
    with pytest.raises(AuthenticationError):
        session.sign_in()
    assert (session._session, session.aes, session.publish_port) == before


def test_a_request_in_flight_when_the_master_dies_is_sent_again_at_once(
    context: Context, master: FakeMaster, short_dir: Path
) -> None:
    """The link is back long before the time for the lost reply is over."""
    config = configure(short_dir, master, request_channel_timeout=30, request_channel_tries=3)
    session = MasterSession(config, MinionKeys(config.pki_dir), context, dict, print)
    session.connect()
    session.sign_in()
    master.answer = lambda _: None  # dies with it
    asking = gevent.spawn(session.request, {"cmd": "x"})
    wait_for(lambda: len(master.seen) == 2)
    master.answer = master.honest
    session.hurry()
    assert asking.get(timeout=60) is None
    session.close()


# -- a whole minion ------------------------------------------------------------------------------


@pytest.fixture
def minion(context: Context, master: FakeMaster, short_dir: Path) -> Iterator[Minion]:
    made = Minion(configure(short_dir, master), context)
    yield made
    made.close()


def test_publishes_made_to_hurt_end_nothing(
    context: Context, master: FakeMaster, minion: Minion
) -> None:
    pub = green_socket(context, zmq.PUB)
    port = pub.bind_to_random_port("tcp://127.0.0.1")
    master.answer = lambda request: (
        master.accept(request["load"], publish_port=port)
        if request["enc"] == "clear"
        else master.honest(request)
    )
    minion.start()
    wait_for(lambda: minion.link.is_up)
    box, thief = Crypticle(master.aes), Crypticle(generate_key_string())
    job = {"fun": "test.ping", "arg": [], "tgt": "*", "tgt_type": "glob", "ret": "", "user": "root"}

    def signed(load: Any, number: int = MASTER, crypticle: Crypticle = box) -> bytes:
        return signed_publish(crypticle.dumps(load), key(number))

    jid = "2026112212000000000{}"
    hostile: list[list[bytes]] = [
        [b""],
        [b"\xc1"],
        [pack({"enc": "clear", "load": {}})],
        [b"a", b"b", b"c"],
        [b"x"] * 1000,
        [signed({**job, "jid": jid.format(1), "serial": 1}, OTHER)],
        [signed_publish(box.dumps({**job, "jid": jid.format(1), "serial": 1}), None)],
        [signed({**job, "jid": jid.format(1), "serial": 1}, MASTER, thief)],
        [signed("text")],
        [signed({})],
        [signed({**job, "jid": "../../etc", "serial": 2})],
        [signed({**job, "jid": jid.format(2), "serial": "3"})],
        [signed({**job, "jid": jid.format(3), "serial": 4, "tgt": 7})],
        [signed({**job, "jid": jid.format(3), "serial": 5, "tgt": "(", "tgt_type": "compound"})],
        [signed({**job, "jid": jid.format(3), "serial": 6, "tgt_type": "pcre", "tgt": "(["})],
        [signed({**job, "jid": jid.format(3), "serial": 7, "fun": [{}], "arg": [{}]})],
        [signed({**job, "jid": jid.format(4), "serial": 8, "fun": ["test.ping"], "arg": []})],
        [signed({**job, "jid": jid.format(5), "serial": 9, "metadata": {"a": 1}})],
        [signed({**job, "jid": jid.format(5), "serial": 10})],
        [signed({**job, "jid": jid.format(6), "serial": 9})],
    ]
    for frames in hostile:
        pub.send_multipart(frames)
    wait_for(lambda: sum(minion.inbox.counts.values()) == len(hostile))
    assert not minion._ended.ready()
    assert minion.inbox.counts["seen before"] == 1
    assert minion.inbox.counts["replayed"] == 2
    wait_for(lambda: not len(minion.outbox))
    pub.close(0)


def test_a_result_that_no_master_takes_is_replaced_by_the_reason(
    master: FakeMaster, minion: Minion
) -> None:
    """A master drops the connection for more than 100 MB: the outbox would try it for ever."""
    master.answer = lambda request: (
        master.accept(request["load"]) if request["enc"] == "clear" else master.honest(request)
    )
    minion.session.connect()
    minion.session.sign_in()
    minion.outbox.open()
    sent: list[Any] = []
    minion.outbox._send = sent.append
    crew = Crew("test")
    minion.outbox.start(crew)
    load = {"cmd": "_return", "jid": "1", "id": "m1", "fun": "x.y", "return": "x" * (101 * MIB)}
    minion.outbox.put({**load, "retcode": 0, "success": True})
    minion.outbox.put({**load, "return": "small"})
    wait_for(lambda: len(sent) == 2)
    assert "too large" in sent[0]["return"]
    assert (sent[0]["success"], sent[0]["jid"]) == (False, "1")
    assert sent[1]["return"] == "small"
    crew.stop()


def test_a_link_that_comes_and_goes_starts_no_crowd(minion: Minion, master: FakeMaster) -> None:
    master.answer = lambda _: None
    for _ in range(100):
        minion.link._moved(True)
        gevent.sleep(0)
        minion.link._moved(False)
        gevent.sleep(0)
    assert len(minion.link._crew) <= 2
    minion.link.close()


def test_orders_that_cant_be_carried_out_end_nothing(minion: Minion) -> None:
    minion.bus._orders = {"x": lambda _: None}
    minion._start_bus()
    minion.bus._intercept("x", {"a": {1, object()}})  # can't be published
    wait_for(lambda: minion.bus.failed_orders == 1)
    assert not minion._ended.ready()


# -- outbox and jobs -----------------------------------------------------------------------------


def test_a_result_that_cant_be_removed_from_the_disk_ends_nothing(tmp_path: Path) -> None:
    sent: list[Any] = []
    outbox = Outbox(tmp_path / "outbox", sent.append, Backoff(0.01, 0.02))
    outbox.open()
    outbox.put({"jid": "1"})
    (spooled,) = (tmp_path / "outbox").iterdir()
    spooled.unlink()
    spooled.mkdir()  # as little removable as a file on a disk that became read-only
    crew = Crew("test")
    outbox.start(crew)
    outbox.put({"jid": "2"})
    wait_for(lambda: len(sent) == 2)
    assert outbox.flush(1) == 0
    assert not crew.failed.ready()
    crew.stop()


def test_an_error_that_nobody_foresaw_is_one_more_try(tmp_path: Path) -> None:
    sent: list[Any] = []

    def send(load: dict[str, Any]) -> None:
        if load["jid"] == "1" and not sent:
            raise KeyError("a bug")
        sent.append(load)

    outbox = Outbox(tmp_path / "outbox", send, Backoff(0.01, 0.02))
    outbox.open()
    outbox.put({"jid": "1"})
    outbox.put({"jid": "2"})
    crew = Crew("test")
    outbox.start(crew)
    assert outbox.flush(5) == 0
    assert [load["jid"] for load in sent] == ["2", "1"]
    crew.stop()


def test_half_written_results_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    (tmp_path / "outbox").mkdir()
    (tmp_path / "outbox/.00-1-1.p.77.new").write_bytes(b"half")
    outbox = Outbox(tmp_path / "outbox", print, Backoff(0.01, 0.02))
    outbox.open()
    assert list((tmp_path / "outbox").iterdir()) == []


def test_a_result_that_cant_be_packed_is_replaced_by_the_reason(tmp_path: Path) -> None:
    sent: list[Any] = []
    executor = Executor(tmp_path / "proc", lambda load: load, sent.append, -1, cut_off=dict)
    executor.open()
    outbox = Outbox(tmp_path / "outbox", sent.append, Backoff(0.01, 0.02))
    outbox.open()
    outbox.put({"jid": "1", "id": "m1", "return": object()})
    crew = Crew("test")
    outbox.start(crew)
    assert outbox.flush(5) == 0
    assert sent[0]["jid"] == "1"
    assert sent[0]["success"] is False
    crew.stop()


def test_a_job_that_is_killed_before_it_began_frees_its_place(tmp_path: Path) -> None:
    gate = Event()
    done: list[str] = []

    def execute(load: dict[str, Any]) -> dict[str, Any]:
        gate.wait()
        return load

    executor = Executor(
        tmp_path / "proc", execute, lambda load: done.append(load["jid"]), 1, cut_off=dict
    )
    executor.open()
    executor.submit({"jid": "1", "fun": "x", "arg": []})
    assert executor.signal("1", signal.SIGKILL)  # its greenlet has not had its first turn
    wait_for(lambda: executor.running() == [])
    gate.set()
    executor.submit({"jid": "2", "fun": "x", "arg": []})
    wait_for(lambda: done == ["2"])


def test_a_greenlet_that_does_not_die_does_not_keep_the_others_from_stopping() -> None:
    crew = Crew("stubborn")
    release = Event()

    def stubborn() -> None:
        while not release.is_set():
            try:
                release.wait()
            except gevent.GreenletExit:
                pass

    crew.spawn("one", stubborn)
    gevent.sleep(0)
    late = gevent.spawn_later(5, release.set)
    crew.stop(0.1)
    assert not release.is_set()
    late.kill()
    release.set()


def test_the_error_of_a_request_says_what_happened(
    session: MasterSession, master: FakeMaster
) -> None:
    session.sign_in()
    master.answer = lambda _: None
    with pytest.raises(RequestTimeout):
        session.request({"cmd": "x"})
    master.answer = lambda request: (
        pack({"error": "the disk is full"})
        if request["enc"] == "aes"
        else master.accept(request["load"])
    )
    with pytest.raises(RequestRefused, match="disk is full"):
        session.request({"cmd": "x"})
