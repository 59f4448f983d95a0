"""Spec 2: every state a key can be in, every answer the master can give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greensalt.crypto.handshake import Accepted, Full, MasterTrust, Pending, Rejected
from greensalt.crypto.keypair import PublicKey
from greensalt.errors import MasterKeyUnproven, SignInFailed
from greensalt.store.keys import State
from tests._bench import Bench

Make = Callable[..., Bench]


def states(made: Bench) -> dict[str, list[str]]:
    return {state.value: list(ids) for state, ids in made.master.keys.list().items() if ids}


def test_a_new_key_waits_until_it_is_accepted(bench: Make) -> None:
    made = bench()
    listener = made.listen("salt/auth")
    peer = made.peer()
    assert isinstance(peer.answer, Pending)
    assert states(made) == {"pending": ["m1"]}
    event = listener.next(60)
    assert event is not None
    assert {key: event[1][key] for key in ("act", "id", "result")} == {
        "act": "pend",
        "id": "m1",
        "result": True,
    }
    assert isinstance(peer.sign_in(), Pending)
    made.master.keys.accept("m1")
    answer = peer.sign_in()
    assert isinstance(answer, Accepted)
    assert answer.publish_port == made.config.publish_port


def test_auto_accept_accepts(bench: Make) -> None:
    made = bench(auto_accept=True)
    assert isinstance(made.peer().answer, Accepted)
    assert states(made) == {"accepted": ["m1"]}


def test_a_rejected_key_stays_rejected(bench: Make) -> None:
    made = bench(auto_accept=False)
    peer = made.peer()
    made.master.keys.reject("m1")
    assert isinstance(peer.sign_in(), Rejected)
    assert isinstance(made.peer("m1", key_number=1).answer, Rejected)


@pytest.mark.parametrize("accepted", [True, False])
def test_another_key_for_a_known_id_is_denied(bench: Make, accepted: bool) -> None:
    made = bench(auto_accept=accepted)
    made.peer("m1")
    assert isinstance(made.peer("m1", key_number=1).answer, Rejected)
    assert states(made)["denied"] == ["m1"]
    assert isinstance(made.peer("m1").answer, Accepted if accepted else Pending)


def test_open_mode_takes_any_key(bench: Make) -> None:
    made = bench(open_mode=True)
    made.peer("m1")
    other = made.peer("m1", key_number=1)
    assert isinstance(other.answer, Accepted)
    assert made.master.keys.get(State.ACCEPTED, "m1") == other.key.public.pem


def test_max_minions_admits_no_more_but_those_who_are_in(bench: Make) -> None:
    made = bench(auto_accept=True, max_minions=1)
    first, second = made.peer("m1"), made.peer("m2", key_number=1)
    assert isinstance(second.answer, Full)
    assert isinstance(first.sign_in(), Accepted)


def test_autosign_and_autoreject_files(bench: Make) -> None:
    made = bench()
    (made.root / "conf" / "sign").write_text("# comment\nweb*\n")
    (made.root / "conf" / "reject").write_text("bad.*\n")
    made.close()
    made = bench(
        autosign_file=str(made.root / "conf" / "sign"),
        autoreject_file=str(made.root / "conf" / "reject"),
    )
    assert isinstance(made.peer("web1").answer, Accepted)
    assert isinstance(made.peer("bad1").answer, Rejected)
    assert isinstance(made.peer("other").answer, Pending)


def test_a_known_master_proves_itself_by_the_token(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    again = peer.sign_in(MasterTrust(cached=peer.answer.master_key))
    assert isinstance(again, Accepted)
    assert not again.is_new


def test_a_token_for_another_master_is_left_out_and_the_rest_is_answered(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    stale = peer.key.public.encrypt(b"secret", "OAEP-SHA1")
    assert isinstance(peer.sign_in(token=stale), Accepted)


def test_the_master_signs_its_key_with_master_sign_pubkey(bench: Make) -> None:
    made = bench(auto_accept=True, master_sign_pubkey=True)
    pem = (made.config.pki_dir / "master_sign.pub").read_text()
    trust = MasterTrust(signing_key=PublicKey.from_pem(pem), verify_signature=True)
    peer = made.peer(sign_in=False)
    assert isinstance(peer.sign_in(trust), Accepted)
    with pytest.raises(MasterKeyUnproven):
        peer.sign_in()


def test_the_signature_of_the_key_may_come_from_a_file(bench: Make) -> None:
    first = bench(auto_accept=True, master_sign_pubkey=True)
    pub_sig = first.master.signin._pub_sig("PKCS1v15-SHA1")
    assert pub_sig is not None
    pem = (first.config.pki_dir / "master_sign.pub").read_text()
    first.config.pubkey_signature_path.write_bytes(pub_sig)
    first.close()
    made = bench(auto_accept=True, master_sign_pubkey=True, master_use_pubkey_signature=True)
    trust = MasterTrust(signing_key=PublicKey.from_pem(pem), verify_signature=True)
    assert isinstance(made.peer(sign_in=False).sign_in(trust), Accepted)


@pytest.mark.parametrize(
    "minion_id",
    ["", ".", "..", "../x", "a/b", "a\\b", "a\0b", ".hidden", "*", "a?", "[a]", "x" * 254, 7, None],
)
def test_cve_2017_12791_an_id_that_could_leave_the_directory_is_refused(
    bench: Make, minion_id: Any
) -> None:
    made = bench(auto_accept=True)
    peer = made.peer(sign_in=False)
    load = {"id": minion_id} if minion_id is not None else {"id": 0}
    assert isinstance(peer.sign_in(**load), Rejected)
    assert states(made) == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"nonce": 7},
        {"nonce": ""},
        {"token": {}},
        {"autosign_grains": "x"},
        {"enc_algo": 7},
        {"sig_algo": []},
    ],
)
def test_cve_2017_14696_a_crafted_sign_in_is_answered(bench: Make, fields: dict[str, Any]) -> None:
    made = bench(auto_accept=True)
    peer = made.peer(sign_in=False)
    with pytest.raises(SignInFailed):
        peer.sign_in(**fields)
    assert isinstance(peer.sign_in(), Accepted)


@pytest.mark.parametrize("pub", ["", "no key", 7, "-----BEGIN PUBLIC KEY-----\nAAAA"])
def test_a_key_that_is_none_is_refused_and_not_stored(bench: Make, pub: Any) -> None:
    made = bench(auto_accept=True)
    assert isinstance(made.peer(sign_in=False).sign_in(pub=pub), Rejected)
    assert states(made) == {}


@pytest.mark.parametrize(
    ("field", "reply"), [("enc_algo", "bad enc algo"), ("sig_algo", "bad sig algo")]
)
def test_an_algorithm_that_is_not_allowed_is_named(bench: Make, field: str, reply: str) -> None:
    from greensalt.crypto.handshake import sign_in_request

    peer = bench(auto_accept=True).peer(sign_in=False)
    load = {**sign_in_request(peer.attempt()), field: "ROT13"}
    assert peer.clear(load) == {"enc": "clear", "load": {"ret": reply}}


def test_one_id_that_signs_in_all_the_time_is_slowed_down_and_others_are_not(
    bench: Make,
) -> None:
    """Spec 9.3 item 9."""
    made = bench(auto_accept=True)
    peer = made.peer("m1")
    for _ in range(10):
        peer.sign_in()
    with pytest.raises(SignInFailed):
        peer.sign_in()
    assert isinstance(made.peer("m2").answer, Accepted)


def test_a_restart_keeps_publish_key_serial_and_sessions(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    before = peer.answer
    serial = made.master.publish_key.serial
    made.restart()
    assert peer.request("_mine_flush") is False
    after = peer.sign_in()
    assert (after.aes, after.session) == (before.aes, before.session)
    assert made.master.publish_key.serial > serial


def test_deleting_keys_rotates_once_per_batch(bench: Make) -> None:
    import gevent

    made = bench(auto_accept=True)
    listener = made.listen("key")
    peers = [made.peer(f"m{number}") for number in range(5)]
    aes = peers[0].answer.aes
    for number in range(1, 5):
        made.master.keys.delete(f"m{number}")
    made.master.keys.request_rotation(made.config.cachedir)
    event = listener.next(60)
    assert event is not None
    assert event[0] == "key"
    assert event[1]["rotate_aes_key"] is True
    gevent.sleep(1.5)
    assert made.master.upkeep.rotations == 1
    assert peers[0].sign_in().aes != aes
