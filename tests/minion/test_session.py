"""A minion's session against a real master in the same process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from greensalt.crypto.keypair import fingerprint
from greensalt.errors import MasterKeyChanged, MasterKeyUnproven, RequestRefused, SignInRefused
from greensalt.minion.session import MasterSession
from tests._bench import Bench
from tests._peer import key

Make = Callable[..., Bench]
Join = Callable[..., MasterSession]


def test_a_minion_signs_in_and_remembers_the_masters_key(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    session = join(master)
    session.sign_in()
    assert session.publish_port == master.config.publish_port
    assert session.request({"cmd": "_mine_flush"}) is False
    again = join(master)
    again.sign_in()
    assert again.request({"cmd": "_mine_flush"}) is False


def test_a_pending_minion_waits_until_it_is_accepted(bench: Make, join: Join) -> None:
    master = bench()
    session = join(master)
    waiting = gevent.spawn(session.sign_in)
    with gevent.Timeout(60):
        while master.master.signin.counts.get("pend", 0) < 3:
            gevent.sleep(0.01)
    assert not waiting.ready()
    master.master.keys.accept("m1")
    waiting.get(timeout=60)
    assert session.sign_ins == 1


def test_a_rejected_minion_says_so_and_gives_up(bench: Make, join: Join) -> None:
    master = bench()
    reasons: list[str] = []
    session = join(master, reasons.append)
    waiting = gevent.spawn(session.sign_in)
    with gevent.Timeout(60):
        while not master.master.signin.counts.get("pend"):
            gevent.sleep(0.01)
    master.master.keys.reject("m1")
    with pytest.raises(SignInRefused, match="rejected the public key of m1"):
        waiting.get(timeout=60)
    assert len(reasons) == 1


def test_with_rejected_retry_it_goes_on_asking(bench: Make, join: Join) -> None:
    master = bench()
    session = join(master, rejected_retry=True)
    waiting = gevent.spawn(session.sign_in)
    with gevent.Timeout(60):
        while not master.master.signin.counts.get("pend"):
            gevent.sleep(0.01)
        master.master.keys.reject("m1")
        while master.master.signin.counts.get("reject", 0) < 2:
            gevent.sleep(0.01)
    assert not waiting.ready()
    waiting.kill()


def test_master_finger_must_fit(bench: Make, join: Join, tmp_path: Path) -> None:
    master = bench(auto_accept=True)
    with pytest.raises(MasterKeyUnproven, match="master_finger"):
        join(master, master_finger=":".join(["00"] * 32)).sign_in()
    assert not list(tmp_path.rglob("minion_master.pub"))
    right = fingerprint(master.master.master_key.public.pem)
    join(master, master_finger=right).sign_in()


def test_another_master_key_is_not_trusted(bench: Make, join: Join, tmp_path: Path) -> None:
    master = bench(auto_accept=True)
    join(master).sign_in()
    (cached,) = tmp_path.rglob("minion_master.pub")
    cached.chmod(0o644)
    cached.write_text(key(2).public.pem)
    with pytest.raises(MasterKeyChanged):
        join(master).sign_in()


def test_a_session_that_the_master_forgot_is_renewed_under_way(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    session = join(master)
    session.sign_in()
    master.master.sessions.forget("m1")
    assert session.request({"cmd": "_mine_flush"}) is False
    assert session.sign_ins == 2


def test_greenlets_that_find_their_session_gone_sign_in_once(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    session = join(master)
    session.sign_in()
    master.master.sessions.forget("m1")
    asking = [gevent.spawn(session.request, {"cmd": "_mine_flush"}) for _ in range(20)]
    gevent.joinall(asking, raise_error=True)
    assert session.sign_ins == 2


def test_a_restarted_master_is_asked_on_without_a_sign_in(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    session = join(master)
    session.sign_in()
    master.restart()
    assert session.request({"cmd": "_mine_flush"}, tries=5) is False
    assert session.sign_ins == 1


def test_the_pillar_comes_signed_and_the_master_keeps_the_grains(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    session = join(master)
    session.sign_in()
    pillar = session.pillar(
        {"cmd": "_pillar", "grains": {"os": "Debian"}, "pillar_override": {"a": 1}}
    )
    assert pillar == {"a": 1}
    grains = master.master.cache.grains("m1")
    assert grains == {"os": "Debian", "id": "m1"}


def test_what_the_master_does_not_serve_as_pillar_is_an_error(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    session = join(master)
    session.sign_in()
    with pytest.raises(RequestRefused):
        session.pillar({"cmd": "_pillar", "grains": "none"})


def test_signed_messages_are_accepted(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    session = join(master, minion_sign_messages=True)
    session.sign_in()
    assert session.request({"cmd": "_mine", "data": {"a": 1}, "clear": False}) is True


@pytest.mark.parametrize(
    "options", [{"encryption_algorithm": "OAEP-SHA224"}, {"signing_algorithm": "PKCS1v15-SHA224"}]
)
def test_the_other_algorithms_work_as_well(
    bench: Make, join: Join, options: dict[str, str]
) -> None:
    session = join(bench(auto_accept=True), **options)
    session.sign_in()
    assert session.request({"cmd": "_mine_flush"}) is False
    assert session.pillar({"cmd": "_pillar", "grains": {}}) == {}
