"""Both halves of the sign-in driven against each other, and each check of the minion's half."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given, settings, strategies as st

from greensalt.crypto.crypticle import generate_key_string
from greensalt.crypto.handshake import (
    Accepted,
    BadAlgorithm,
    BadIdentity,
    Full,
    MasterTrust,
    Pending,
    Rejected,
    SignInAttempt,
    SignInRequest,
    accepted_reply,
    algorithm_reply,
    check_tok,
    public_key_signature,
    publish_key_signature,
    read_sign_in,
    sign_in_request,
    state_reply,
    tok,
    verify_reply,
)
from greensalt.crypto.keypair import ENC_ALGOS, SIG_ALGOS, PrivateKey
from greensalt.errors import (
    AlgorithmRefused,
    AuthenticationError,
    BadKey,
    CryptoError,
    MalformedMessage,
    MasterKeyChanged,
    MasterKeyUnproven,
    SignInFailed,
    UntrustedReply,
)
from greensalt.wire.dialect import pack, unpack
from greensalt.wire.envelope import ClearRequest, clear_request, parse_request, signed_reply
from tests.vectors.load import golden, key, vectors
from tests.wire.test_dialect import objects

MASTER, MINION, STRANGER, SIGNER = (
    key(name) for name in ("master", "minion", "stranger", "master_sign")
)
SMALL = key("small")
NONCE: str = vectors("sign_in")["nonce"]
AES: str = vectors("sign_in")["aes"]
SESSION: str = vectors("sign_in")["session"]
AES_SIG = golden("sign_in", "aes_sig")
SECRET = golden("sign_in", "secret")
SHA1 = "PKCS1v15-SHA1"

TOFU = MasterTrust()
KNOWN = MasterTrust(cached=MASTER.public)


def attempt(trust: MasterTrust = KNOWN, **changes: Any) -> SignInAttempt:
    return SignInAttempt("m1", MINION, NONCE, SECRET, trust)._replace(**changes)


def over_the_wire(load: dict[str, Any]) -> dict[str, Any]:
    request = parse_request(clear_request(load))
    assert isinstance(request, ClearRequest)
    return request.load


def as_read(asked: SignInAttempt, grains: dict[str, Any] | None = None) -> SignInRequest:
    request = read_sign_in(over_the_wire(sign_in_request(asked, grains)))
    assert isinstance(request, SignInRequest)
    return request


def accepted(
    asked: SignInAttempt, master: PrivateKey = MASTER, pub_sig: bytes | None = None
) -> bytes:
    return accepted_reply(
        as_read(asked),
        master_key=master,
        publish_port=4505,
        aes=AES,
        aes_sig=publish_key_signature(master, AES),
        session=SESSION,
        pub_sig=pub_sig,
    )


def altered(body: bytes, signer: PrivateKey = MASTER, **changes: Any) -> bytes:
    """A reply with some fields changed (None: removed) and signed anew."""
    reply = {**unpack(unpack(body)["load"]), **changes}
    signed = pack({name: value for name, value in reply.items() if value is not None})
    return signed_reply(signed, signer.sign(signed, SHA1))


# --- what goes over the wire ----------------------------------------------------------------------


def test_golden_request_is_read() -> None:
    request = parse_request(golden("sign_in", "request"))
    assert isinstance(request, ClearRequest)
    read = read_sign_in(request.load)
    assert isinstance(read, SignInRequest)
    assert read._replace(token=None) == SignInRequest(
        "m1", NONCE, MINION.public.pem, "OAEP-SHA1", SHA1, None, {}
    )
    assert MASTER.decrypt(read.token or b"", "OAEP-SHA1") == SECRET


def test_a_serializer_is_wished_for_and_granted() -> None:
    asked = attempt(serializer="orjson")
    request = as_read(asked)
    assert request.serializer == "orjson"
    body = accepted_reply(
        request,
        master_key=MASTER,
        publish_port=4515,
        aes=AES,
        aes_sig=AES_SIG,
        session=SESSION,
        serializer="orjson",
    )
    answer = verify_reply(body, asked)
    assert isinstance(answer, Accepted)
    assert (answer.serializer, answer.publish_port) == ("orjson", 4515)


def test_a_master_that_says_nothing_of_serializers_means_msgpack() -> None:
    answer = verify_reply(accepted(attempt(serializer="orjson")), attempt(serializer="orjson"))
    assert isinstance(answer, Accepted)
    assert answer.serializer is None


def test_without_a_wish_a_request_has_no_word_of_it() -> None:
    assert "serializer" not in sign_in_request(attempt())
    assert as_read(attempt()).serializer is None


@pytest.mark.parametrize("granted", ["cbor2", "msgpack", 7, True])
def test_a_serializer_that_nobody_asked_for_is_not_believed(granted: object) -> None:
    for asked in (attempt(), attempt(serializer="orjson")):
        with pytest.raises(UntrustedReply, match="another serializer"):
            verify_reply(altered(accepted(asked), serializer=granted), asked)


def test_golden_replies_are_verified() -> None:
    assert verify_reply(golden("sign_in", "accepted"), attempt()) == Accepted(
        4505, AES, SESSION, MASTER.public, is_new=False
    )
    assert verify_reply(golden("sign_in", "pending"), attempt()) == Pending(verified=True)
    assert verify_reply(golden("sign_in", "rejected"), attempt()) == Rejected(verified=True)
    assert verify_reply(golden("sign_in", "full"), attempt()) == Full(verified=True)


def test_golden_parts_of_the_replies() -> None:
    assert publish_key_signature(MASTER, AES) == AES_SIG
    pub_sig = vectors("sign_in")["pub_sig"].encode()
    assert public_key_signature(SIGNER, MASTER.public.pem, SHA1) == pub_sig
    assert state_reply(True, NONCE, MASTER, SHA1) == golden("sign_in", "pending")
    assert state_reply(False, NONCE, MASTER, SHA1) == golden("sign_in", "rejected")
    assert state_reply("full", NONCE, MASTER, SHA1) == golden("sign_in", "full")
    assert algorithm_reply("enc") == golden("sign_in", "bad_enc_algo")
    assert algorithm_reply("sig") == golden("sign_in", "bad_sig_algo")
    assert tok(MINION) == golden("sign_in", "tok")


def test_the_accepted_reply_has_the_fields_of_spec_2_2() -> None:
    reply = unpack(unpack(accepted(attempt(), pub_sig=b"x"))["load"])
    assert set(reply) == {
        *("enc", "pub_key", "publish_port", "aes", "session", "sig", "token", "pub_sig", "nonce")
    }
    assert reply["enc"] == "pub"
    assert reply["pub_key"] == MASTER.public.pem
    assert reply["nonce"] == NONCE


# --- the two halves together ----------------------------------------------------------------------


@pytest.mark.parametrize("enc_algo", sorted(ENC_ALGOS))
@pytest.mark.parametrize("sig_algo", sorted(SIG_ALGOS))
@pytest.mark.parametrize("trust", [TOFU, KNOWN], ids=["first use", "known master"])
def test_a_minion_is_accepted(trust: MasterTrust, enc_algo: str, sig_algo: str) -> None:
    asked = attempt(trust, enc_algo=enc_algo, sig_algo=sig_algo)
    answer = verify_reply(accepted(asked), asked)
    assert answer == Accepted(4505, AES, SESSION, MASTER.public, is_new=trust is TOFU)


def test_the_token_is_sent_only_to_a_known_master() -> None:
    assert as_read(attempt(TOFU)).token is None
    assert as_read(attempt(KNOWN)).token is not None


def test_autosign_grains_travel() -> None:
    assert as_read(attempt(), {"role": ["web"]}).autosign_grains == {"role": ["web"]}


@pytest.mark.parametrize(
    ("ret", "kind"), [(True, Pending), (False, Rejected), ("full", Full)], ids=str
)
def test_a_state_is_verified_when_the_master_is_known(
    ret: bool | Literal["full"], kind: type[Pending | Rejected | Full]
) -> None:
    body = state_reply(ret, NONCE, MASTER, SHA1)
    assert verify_reply(body, attempt(KNOWN)) == kind(verified=True)
    assert verify_reply(body, attempt(TOFU)) == kind(verified=False)
    with pytest.raises(UntrustedReply, match="not signed by the known master"):
        verify_reply(state_reply(ret, NONCE, STRANGER, SHA1), attempt(KNOWN))


def test_a_token_for_another_masters_key_is_left_out_of_the_reply() -> None:
    asked = attempt(MasterTrust(cached=STRANGER.public))
    assert "token" not in unpack(unpack(accepted(asked))["load"])
    with pytest.raises(MasterKeyChanged, match="another public key"):
        verify_reply(accepted(asked), asked)


@pytest.mark.parametrize("kind", ["enc", "sig"])
def test_a_refused_algorithm_is_an_error_of_its_own(kind: Literal["enc", "sig"]) -> None:
    with pytest.raises(AlgorithmRefused, match=f"bad {kind} algo"):
        verify_reply(algorithm_reply(kind), attempt())


@pytest.mark.parametrize(
    "outer", ["bad load", "Some exception handling minion payload", b"\xff", None, 1, [], {}]
)
def test_an_error_text_is_a_failed_attempt(outer: object) -> None:
    with pytest.raises(SignInFailed):
        verify_reply(pack(outer), attempt())


# --- the signed master key: the matrix of spec 2.5 ------------------------------------------------


def signed_trust(**changes: Any) -> MasterTrust:
    return MasterTrust(signing_key=SIGNER.public, verify_signature=True)._replace(**changes)


def pub_sig(master: PrivateKey = MASTER, signer: PrivateKey = SIGNER) -> bytes:
    return public_key_signature(signer, master.public.pem, SHA1)


def test_both_sign_and_verify_first_join_and_changed_key_are_accepted() -> None:
    for cached in (None, STRANGER.public):
        asked = attempt(signed_trust(cached=cached))
        answer = verify_reply(accepted(asked, pub_sig=pub_sig()), asked)
        assert isinstance(answer, Accepted)
        assert answer.is_new
        assert answer.master_key == MASTER.public
    assert verify_reply(golden("sign_in", "accepted_signed_key"), attempt(signed_trust()))


def test_master_signs_but_minion_does_not_verify_is_refused() -> None:
    for trust in (TOFU, KNOWN):
        with pytest.raises(MasterKeyUnproven, match="is off here"):
            verify_reply(accepted(attempt(trust), pub_sig=pub_sig()), attempt(trust))


def test_minion_verifies_but_master_does_not_sign_is_refused() -> None:
    for cached in (None, MASTER.public, STRANGER.public):
        asked = attempt(signed_trust(cached=cached))
        with pytest.raises(MasterKeyUnproven, match="does not sign"):
            verify_reply(accepted(asked), asked)


def test_a_known_key_is_verified_again_only_when_asked_for() -> None:
    wrong = pub_sig(signer=STRANGER)
    asked = attempt(signed_trust(cached=MASTER.public))
    assert isinstance(verify_reply(accepted(asked, pub_sig=wrong), asked), Accepted)
    asked = attempt(signed_trust(cached=MASTER.public, always_verify=True))
    with pytest.raises(MasterKeyUnproven, match="not signed by its signing key"):
        verify_reply(accepted(asked, pub_sig=wrong), asked)
    assert isinstance(verify_reply(accepted(asked, pub_sig=pub_sig()), asked), Accepted)


@pytest.mark.parametrize(
    "wrong",
    [pub_sig(signer=STRANGER), pub_sig(master=STRANGER), b"", b"AAAA", b"A", b"\xff"],
    ids=["signer", "key", "empty", "short", "not base64", "not text"],
)
def test_a_wrong_signature_of_the_master_key_is_refused(wrong: bytes) -> None:
    asked = attempt(signed_trust())
    with pytest.raises(MasterKeyUnproven):
        verify_reply(accepted(asked, pub_sig=wrong), asked)


def test_the_signature_of_the_master_key_is_decoded_leniently() -> None:
    asked = attempt(signed_trust())
    wrapped = b"\n".join([b"", pub_sig()[:70], pub_sig()[70:], b""])
    assert isinstance(verify_reply(accepted(asked, pub_sig=wrapped), asked), Accepted)


def test_verifying_needs_the_signing_key() -> None:
    asked = attempt(signed_trust(signing_key=None))
    with pytest.raises(MasterKeyUnproven, match="signing key is not here"):
        verify_reply(accepted(asked, pub_sig=pub_sig()), asked)


# --- the minion's other checks (spec 2.4) ---------------------------------------------------------


@pytest.mark.parametrize("trust", [TOFU, KNOWN], ids=["first use", "known master"])
def test_master_finger_must_match(trust: MasterTrust) -> None:
    finger = MASTER.public.fingerprint()
    for same in (finger, finger.upper(), f" {finger}\n"):
        asked = attempt(trust._replace(finger=same))
        assert isinstance(verify_reply(accepted(asked), asked), Accepted)
    for other in (STRANGER.public.fingerprint(), finger[:-1], "é"):
        asked = attempt(trust._replace(finger=other))
        with pytest.raises(MasterKeyUnproven, match="master_finger"):
            verify_reply(accepted(asked), asked)
    asked = attempt(trust._replace(finger=MASTER.public.fingerprint("md5"), hash_type="md5"))
    assert isinstance(verify_reply(accepted(asked), asked), Accepted)


def test_cve_2022_22935_a_reply_to_another_attempt_is_refused() -> None:
    other = attempt(nonce="f" * 32)
    for body in (accepted(other), state_reply(True, other.nonce, MASTER, SHA1)):
        with pytest.raises(UntrustedReply, match="another attempt"):
            verify_reply(body, attempt())


def test_cve_2022_22935_an_unsigned_reply_is_refused() -> None:
    for body in (accepted(attempt()), state_reply(False, NONCE, MASTER, SHA1)):
        signed = unpack(body)["load"]
        for forged in (
            {"enc": "clear", "load": signed},
            {"enc": "clear", "load": signed, "sig": b""},
            {"enc": "clear", "load": unpack(signed), "sig": unpack(body)["sig"]},
        ):
            with pytest.raises(UntrustedReply):
                verify_reply(pack(forged), attempt())


def test_a_reply_changed_on_the_way_is_refused() -> None:
    outer = unpack(accepted(attempt()))
    for position in range(0, len(outer["load"]), 50):
        changed = bytearray(outer["load"])
        changed[position] ^= 1
        with pytest.raises(AuthenticationError):
            verify_reply(pack({**outer, "load": bytes(changed)}), attempt())


def test_a_first_master_must_own_the_key_it_presents() -> None:
    body = accepted(attempt(TOFU))
    with pytest.raises(UntrustedReply, match="not signed by the master key in it"):
        verify_reply(altered(body, signer=STRANGER), attempt(TOFU))


def test_a_known_master_must_return_the_secret() -> None:
    body = accepted(attempt())
    wrong = MINION.public.encrypt(b"another secret", "OAEP-SHA1")
    for token in (None, b"rubbish", wrong):
        with pytest.raises(UntrustedReply):
            verify_reply(altered(body, token=token), attempt())


def test_the_publish_key_must_be_the_masters() -> None:
    body = accepted(attempt())
    other = MINION.public.encrypt(generate_key_string().encode(), "OAEP-SHA1")
    forgeries: list[dict[str, Any]] = [
        {"aes": other},
        {"sig": publish_key_signature(STRANGER, AES)},
        {"sig": b"\0" * 256},
        {"sig": None},
    ]
    for changes in forgeries:
        with pytest.raises(UntrustedReply):
            verify_reply(altered(body, **changes), attempt())


@pytest.mark.parametrize("field", ["aes", "session"])
@pytest.mark.parametrize("value", [b"x", b"\xff" * 76, AES[:-4].encode(), None])
def test_keys_must_be_key_strings(field: str, value: bytes | None) -> None:
    changes: dict[str, Any] = {field: value and MINION.public.encrypt(value, "OAEP-SHA1")}
    with pytest.raises(UntrustedReply):
        verify_reply(altered(accepted(attempt()), **changes), attempt())


@pytest.mark.parametrize("port", [None, 0, -1, 65536, True, "4505", 4505.0])
def test_the_publish_port_must_be_a_port(port: object) -> None:
    with pytest.raises(UntrustedReply, match="port"):
        verify_reply(altered(accepted(attempt()), publish_port=port), attempt())


@pytest.mark.parametrize("pub_key", ["", "rubbish", 5, SMALL.public.pem])
def test_an_unusable_master_key_is_refused(pub_key: object) -> None:
    with pytest.raises(AuthenticationError):
        verify_reply(altered(accepted(attempt()), pub_key=pub_key), attempt())


@pytest.mark.parametrize("ret", [None, 1, 0, "True", "Full", [], {}])
def test_a_state_without_a_known_meaning_is_refused(ret: object) -> None:
    body = altered(state_reply(True, NONCE, MASTER, SHA1), ret=ret)
    with pytest.raises(UntrustedReply, match="no known meaning"):
        verify_reply(body, attempt())


@pytest.mark.parametrize("signed", [pack([]), pack("text"), b"\xc1", pack({"ret": True})])
def test_a_signed_part_of_another_shape_is_refused(signed: bytes) -> None:
    with pytest.raises(UntrustedReply):
        verify_reply(signed_reply(signed, MASTER.sign(signed, SHA1)), attempt())


# --- the master's reading (spec 2.1, 9.2: CVE-2017-14696) -----------------------------------------


def load(**changes: Any) -> dict[str, Any]:
    changed = {**sign_in_request(attempt(TOFU)), **changes}
    return over_the_wire({name: value for name, value in changed.items() if value is not None})


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": None},
        {"nonce": "short"},
        {"nonce": 5},
        {"token": 5},
        {"token": ["x"]},
        {"autosign_grains": "role"},
        {"enc_algo": 5},
        {"sig_algo": []},
    ],
)
def test_cve_2017_14696_a_field_of_the_wrong_type_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        read_sign_in(load(**changes))


@pytest.mark.parametrize("minion_id", [None, "", "../m1", "a/b", 5, b"\xff", "a\0b", "*"])
def test_cve_2017_12791_an_invalid_id_is_a_bad_identity(minion_id: object) -> None:
    answer = read_sign_in(load(id=minion_id))
    assert isinstance(answer, BadIdentity)
    assert answer.nonce == NONCE
    assert answer.sig_algo == SHA1
    assert "id" in answer.reason


@pytest.mark.parametrize("pub", [None, "", 5, b"\xff", "x" * 20_000])
def test_an_unusable_key_is_a_bad_identity(pub: object) -> None:
    answer = read_sign_in(load(pub=pub))
    assert isinstance(answer, BadIdentity)
    assert "public key" in answer.reason


def test_absent_algorithms_mean_sha1() -> None:
    request = read_sign_in(load(enc_algo=None, sig_algo=None))
    assert isinstance(request, SignInRequest)
    assert (request.enc_algo, request.sig_algo) == ("OAEP-SHA1", SHA1)


@pytest.mark.parametrize(("field", "kind"), [("enc_algo", "enc"), ("sig_algo", "sig")])
def test_algorithms_are_checked_before_the_key_and_the_id(field: str, kind: str) -> None:
    answer = read_sign_in(load(id="../m1", pub="", **{field: "ROT13"}))
    assert isinstance(answer, BadAlgorithm)
    assert answer.kind == kind
    assert "ROT13" in answer.reason


def test_the_key_is_compared_in_its_cleaned_form() -> None:
    pub = MINION.public.pem.replace("\n", "\r\n") + "\r\n"
    request = read_sign_in(load(pub=pub))
    assert isinstance(request, SignInRequest)
    assert request.pub == MINION.public.pem


def test_a_corrupt_or_too_small_key_cannot_be_answered_in_full() -> None:
    request = as_read(attempt(TOFU))
    keys = {
        "master_key": MASTER,
        "publish_port": 4505,
        "aes": AES,
        "aes_sig": AES_SIG,
        "session": SESSION,
    }
    with pytest.raises(BadKey):
        accepted_reply(request._replace(pub="rubbish"), **keys)  # type: ignore[arg-type]
    small = request._replace(pub=SMALL.public.pem, enc_algo="OAEP-SHA224")
    with pytest.raises(CryptoError):
        accepted_reply(small, **keys)  # type: ignore[arg-type]


# --- the proof in each request --------------------------------------------------------------------


def test_cve_2013_4439_tok_proves_the_key_of_one_minion() -> None:
    assert check_tok(MINION.public, tok(MINION))
    assert not check_tok(STRANGER.public, tok(MINION))
    assert not check_tok(MINION.public, MINION.sign_x931(b"pepper"))
    assert not check_tok(MINION.public, b"")


def test_nothing_secret_is_printed() -> None:
    answer = verify_reply(accepted(attempt()), attempt())
    for shown in (repr(answer), repr(attempt())):
        assert AES not in shown
        assert SESSION not in shown
        assert repr(SECRET) not in shown


# --- anything at all ------------------------------------------------------------------------------

names = st.sampled_from(
    [
        *("cmd", "id", "nonce", "pub", "enc_algo", "sig_algo", "token", "autosign_grains"),
        *("ret", "pub_key", "publish_port", "aes", "session", "sig", "pub_sig", "load", "enc"),
    ]
)
plausible = st.sampled_from(
    [NONCE, "m1", MINION.public.pem, MASTER.public.pem, "OAEP-SHA1", SHA1, 4505, True, "full"]
)
fields = st.dictionaries(names, plausible | objects, max_size=8)


@given(fields)
def test_nothing_but_a_protocol_error_escapes_from_read_sign_in(some: dict[str, Any]) -> None:
    for request in (over_the_wire(some), load(**some)):
        try:
            read_sign_in(request)
        except MalformedMessage:
            pass


@given(st.binary(max_size=300) | (fields | objects).map(pack))
def test_nothing_but_an_authentication_error_escapes_from_verify_reply(body: bytes) -> None:
    for trust in (TOFU, KNOWN):
        with pytest.raises(AuthenticationError):
            verify_reply(body, attempt(trust))


ACCEPTED = golden("sign_in", "accepted")


@settings(max_examples=50)
@given(fields, st.sampled_from([TOFU, KNOWN, signed_trust()]))
def test_nothing_but_an_authentication_error_escapes_when_the_master_itself_errs(
    changes: dict[str, Any], trust: MasterTrust
) -> None:
    try:
        verify_reply(altered(ACCEPTED, **changes), attempt(trust))
    except AuthenticationError:
        pass
