"""A minion's link in another codec than msgpack, at a real master in the same process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from greensalt.config import MinionConfig
from greensalt.minion.daemon import Minion
from greensalt.minion.session import MasterSession
from greensalt.serializers import MSGPACK, names
from greensalt.transport.sockets import new_context
from tests._bench import Bench
from tests._daemons import free_port
from tests._peer import key

Make = Callable[..., Bench]
Join = Callable[..., MasterSession]
EXTRA = [name for name in names() if name != "msgpack"]


@pytest.mark.parametrize("name", EXTRA)
def test_a_session_speaks_the_codec_that_was_agreed_on(bench: Make, join: Join, name: str) -> None:
    master = bench(auto_accept=True, serializers={name: free_port()})
    session = join(master, serializer=name)
    session.sign_in()
    assert session.codec.name == name
    assert session.publish_port == master.config.serializers[name]
    value = {"a": {1: b"\xff", "n": [None, 1.5, (1, 2)]}}
    assert session.request({"cmd": "_mine", "data": value, "clear": False}) is True
    got = session.request({"cmd": "_mine_get", "tgt": "m1", "fun": "a"})
    assert got == {"m1": {1: b"\xff", "n": [None, 1.5, [1, 2]]}}
    assert session.pillar({"cmd": "_pillar", "grains": {}, "pillar_override": {"a": 1}}) == {"a": 1}


@pytest.mark.parametrize("name", ["orjson", "ormsgpack"])
def test_signed_messages_are_accepted_in_any_codec(bench: Make, join: Join, name: str) -> None:
    master = bench(auto_accept=True, serializers={name: free_port()})
    session = join(master, serializer=name, minion_sign_messages=True)
    session.sign_in()
    assert session.request({"cmd": "_mine", "data": {"a": b"\xff"}, "clear": False}) is True


def test_a_master_that_says_nothing_gets_msgpack_and_the_log_one_line(
    bench: Make, join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    master = bench(auto_accept=True)
    session = join(master, serializer="orjson")
    for _ in range(3):
        session.sign_in()
    assert session.codec is MSGPACK
    assert session.publish_port == master.config.publish_port
    assert session.request({"cmd": "_mine_flush"}) is False
    assert caplog.text.count("the master does not serve orjson: msgpack it is") == 1


def test_a_master_that_no_longer_serves_the_codec_is_signed_in_at_anew(
    bench: Make, join: Join
) -> None:
    master = bench(auto_accept=True, serializers={"orjson": free_port()})
    session = join(master, serializer="orjson")
    session.sign_in()
    del master.options["serializers"]
    master.restart()
    assert session.request({"cmd": "_mine_flush"}, tries=5) is False
    assert (session.codec, session.sign_ins) == (MSGPACK, 2)
    assert session.publish_port == master.config.publish_port


# -- whole minions ---------------------------------------------------------------------------


@pytest.fixture
def run_minion(short_dir: Path) -> Iterator[Callable[..., Minion]]:
    """Starts minions inside the test's process."""
    context = new_context()
    made: list[Minion] = []

    def make(master: Bench, minion_id: str, **options: Any) -> Minion:
        root = short_dir / minion_id
        root.mkdir()
        config = MinionConfig.load(
            root,
            {
                "id": minion_id,
                "root_dir": str(root),
                "master": "127.0.0.1",
                "master_port": master.config.ret_port,
                "recon_default": 50,
                "recon_max": 100,
                "recon_randomize": False,
                "random_reauth_delay": 0,
                **options,
            },
        )
        config.pki_dir.mkdir(parents=True)
        (config.pki_dir / "minion.pem").write_text(key(1).to_pem())
        (config.pki_dir / "minion.pem").chmod(0o400)
        minion = Minion(config, context)
        made.append(minion)
        minion.start()
        return minion

    yield make
    for minion in made:
        minion.close()
    context.destroy(linger=0)


def until(look: Callable[[], bool], what: str) -> None:
    with gevent.Timeout(60, AssertionError(what)):
        while not look():
            gevent.sleep(0.02)


def reach(master: Bench, count: int) -> None:
    """Until a job gets to so many minions: the subscriptions follow the handshakes in their time.

    A job that is sent before a subscription stands is lost.
    """

    def reached() -> bool:
        jid = master.job("*")
        again = time.monotonic() + 0.5
        while len(master.follow(jid)["load"]["returns"]) < count:
            if time.monotonic() > again:
                return False
            gevent.sleep(0.02)
        return True

    until(reached, f"{count} subscriptions")


def answers(master: Bench, *minions: str) -> dict[str, Any]:
    """What all minions echo."""
    value = {"deep": [{"a": {1: b"\xff"}}], "text": "é", "none": None}
    jid = master.job("*", "test.echo", arg=[value])

    def rows() -> list[Any]:
        found: list[Any] = master.follow(jid)["load"]["returns"]
        return found

    until(lambda: len(rows()) == len(minions), f"returns of {minions}, not {rows()}")
    return {row["id"]: row["return"] == value for row in rows()}


def test_minions_of_every_codec_answer_one_job(
    bench: Make, run_minion: Callable[..., Minion]
) -> None:
    master = bench(auto_accept=True, serializers={name: free_port() for name in EXTRA})
    everybody = [run_minion(master, f"m-{name}", serializer=name) for name in names()]
    until(lambda: all(minion.link.is_up for minion in everybody), "all links up")
    reach(master, len(everybody))
    assert answers(master, *names()) == {f"m-{name}": True for name in names()}
    assert {minion.session.codec.name for minion in everybody} == set(names())


def test_an_idle_minion_follows_when_its_codec_is_given_up(
    bench: Make, run_minion: Callable[..., Minion], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greensalt.minion.link.ASK_S", 0.5)
    master = bench(auto_accept=True, serializers={"orjson": free_port()})
    minion = run_minion(master, "m1", serializer="orjson")
    until(lambda: minion.link.is_up, "link up")
    del master.options["serializers"]
    master.restart()
    until(lambda: minion.session.codec is MSGPACK and minion.link.is_up, "fallback to msgpack")
    reach(master, 1)
    assert answers(master, "m1") == {"m1": True}


def test_a_codec_that_is_served_later_is_taken_up_at_the_next_sign_in(
    bench: Make, run_minion: Callable[..., Minion]
) -> None:
    master = bench(auto_accept=True)
    minion = run_minion(master, "m1", serializer="orjson")
    until(lambda: minion.link.is_up, "link up")
    assert minion.session.codec is MSGPACK
    master.options["serializers"] = {"orjson": free_port()}
    master.restart()
    until(lambda: minion.link.is_up, "link up again")
    minion.session.sign_in()
    port = master.config.serializers["orjson"]
    until(lambda: minion.link.publisher.endswith(f":{port}") and minion.link.is_up, "new port")
    reach(master, 1)
    assert answers(master, "m1") == {"m1": True}
    assert minion.session.codec.name == "orjson"
