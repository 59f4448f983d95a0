from __future__ import annotations

import base64
import itertools

import pytest
from Crypto.PublicKey import ECC, RSA
from hypothesis import given, strategies as st

from greensalt.crypto.keypair import (
    ENC_ALGOS,
    MAX_PEM_CHARS,
    SIG_ALGOS,
    PrivateKey,
    PublicKey,
    _read_usual,
    check_enc_algo,
    check_sig_algo,
    clean_pem,
    fingerprint,
)
from greensalt.errors import BadKey, CryptoError, DecryptError, UnsupportedAlgorithm
from tests.vectors.load import golden, key, vectors

SMALL = key("small")
MASTER = key("master")
MINION = key("minion")


def pem(body: bytes) -> str:
    text = base64.b64encode(body).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----"


def public_pem(bits_of: RSA.RsaKey) -> str:
    return bits_of.export_key().decode()


def test_golden_signature_and_fingerprint() -> None:
    sig = golden("rsa", "pkcs1v15_sha1_abc")
    assert SMALL.sign(b"abc", "PKCS1v15-SHA1") == sig
    assert SMALL.public.verify(b"abc", sig, "PKCS1v15-SHA1")
    assert SMALL.public.fingerprint() == vectors("rsa")["fingerprint"]


@pytest.mark.parametrize("algo", sorted(SIG_ALGOS))
def test_a_signature_verifies_for_its_data_key_and_algorithm_only(algo: str) -> None:
    sig = MASTER.sign(b"data", algo)
    assert MASTER.public.verify(b"data", sig, algo)
    assert not MASTER.public.verify(b"date", sig, algo)
    assert not MASTER.public.verify(b"data", sig[:-1] + bytes([sig[-1] ^ 1]), algo)
    assert not MASTER.public.verify(b"data", b"", algo)
    assert not MINION.public.verify(b"data", sig, algo)
    for other in SIG_ALGOS - {algo}:
        assert not MASTER.public.verify(b"data", sig, other)


@pytest.mark.parametrize("algo", sorted(ENC_ALGOS))
def test_only_the_owner_decrypts_and_only_with_the_same_algorithm(algo: str) -> None:
    sealed = MASTER.public.encrypt(b"secret", algo)
    assert MASTER.decrypt(sealed, algo) == b"secret"
    for other_key, other_algo in itertools.product((MASTER, MINION), ENC_ALGOS):
        if (other_key, other_algo) != (MASTER, algo):
            with pytest.raises(DecryptError):
                other_key.decrypt(sealed, other_algo)


@pytest.mark.parametrize("sealed", [b"", b"x", b"\0" * 256, b"\xff" * 256, b"x" * 257])
def test_undecryptable_bytes_all_give_the_same_error(sealed: bytes) -> None:
    with pytest.raises(DecryptError, match=r"^RSA decryption failed$") as caught:
        MASTER.decrypt(sealed, "OAEP-SHA1")
    assert caught.value.__cause__ is None


def test_data_that_does_not_fit_is_refused() -> None:
    with pytest.raises(CryptoError, match="can't encrypt"):
        SMALL.public.encrypt(b"x" * 87, "OAEP-SHA1")
    assert SMALL.decrypt(SMALL.public.encrypt(b"x" * 86, "OAEP-SHA1"), "OAEP-SHA1") == b"x" * 86


@pytest.mark.parametrize("algo", ["", "OAEP", "PKCS1v15-MD5", "OAEP-SHA512", "oaep-sha1"])
def test_an_algorithm_off_the_list_is_refused_by_name(algo: str) -> None:
    for use in (
        lambda: MASTER.sign(b"", algo),
        lambda: MASTER.public.verify(b"", b"", algo),
        lambda: MASTER.public.encrypt(b"", algo),
        lambda: MASTER.decrypt(b"", algo),
        lambda: check_enc_algo(algo),
        lambda: check_sig_algo(algo),
    ):
        with pytest.raises(UnsupportedAlgorithm, match="is not one of"):
            use()


def test_allowed_algorithms_pass_their_check() -> None:
    assert {check_enc_algo(algo) for algo in ENC_ALGOS} == ENC_ALGOS
    assert {check_sig_algo(algo) for algo in SIG_ALGOS} == SIG_ALGOS


@pytest.mark.parametrize("passphrase", [None, "Zürich 1"])
def test_a_private_key_survives_its_file(passphrase: str | None) -> None:
    text = MASTER.to_pem(passphrase)
    assert text.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert text.endswith("-----END RSA PRIVATE KEY-----\n")
    assert ("ENCRYPTED" in text) is (passphrase is not None)
    assert PrivateKey.from_pem(text, passphrase).public == MASTER.public


def test_a_wrong_passphrase_is_a_bad_key() -> None:
    text = MASTER.to_pem("right")
    for wrong in ("wrong", None):
        with pytest.raises(BadKey):
            PrivateKey.from_pem(text, wrong)


@pytest.mark.parametrize("text", ["", "rubbish", "é", MASTER.public.pem, "\0"])
def test_what_is_no_private_key_is_a_bad_key(text: str) -> None:
    with pytest.raises(BadKey):
        PrivateKey.from_pem(text)


def test_a_new_key_pair_works() -> None:
    new = PrivateKey.generate(1024)
    assert new.public != PrivateKey.generate(1024).public
    assert new.decrypt(new.public.encrypt(b"x", "OAEP-SHA1"), "OAEP-SHA1") == b"x"
    assert new.public.recover_x931(new.sign_x931(b"salt")) == b"salt"


@pytest.mark.parametrize("bits", [0, 512, 1023, 8193])
def test_key_sizes_out_of_bounds_are_not_generated(bits: int) -> None:
    with pytest.raises(BadKey, match=str(bits)):
        PrivateKey.generate(bits)


def test_a_public_key_is_always_written_the_same_way() -> None:
    text = MASTER.public.pem
    assert not text.endswith("\n")
    one_line = pem(base64.b64decode("".join(text.split("\n")[1:-1])))
    for variant in (
        f"\n{text}\n\n",
        text.replace("\n", "\r\n"),
        text.replace("\n", "\r"),
        one_line,
    ):
        assert PublicKey.from_pem(variant).pem == text
        assert PublicKey.from_pem(variant) == MASTER.public
        assert hash(PublicKey.from_pem(variant)) == hash(MASTER.public)
    assert MASTER.public != MINION.public
    assert MASTER.public != text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a PEM public key"),
        ("rubbish", "not a PEM public key"),
        (MASTER.to_pem(), "not a PEM public key"),
        (MASTER.public.pem[:-5], "not a PEM public key"),
        (pem(b""), "not an RSA public key"),
        (pem(b"rubbish"), "not an RSA public key"),
        (pem(b"").replace("\n\n", "\né\n"), "not base64"),
        (pem(b"").replace("\n\n", "\n====\n"), "not base64"),
        (pem(b"x" * MAX_PEM_CHARS), "longer"),
        (
            ECC.generate(curve="P-256").public_key().export_key(format="PEM"),
            "not an RSA public key",
        ),
        (pem(RSA.import_key(SMALL.to_pem()).export_key("DER")), "private key"),
        (public_pem(RSA.construct((2**1000 + 1, 65537), consistency_check=False)), "1001 bits"),
        (public_pem(RSA.construct((2**8200 + 1, 65537), consistency_check=False)), "8201 bits"),
        (public_pem(RSA.construct((2**2047 + 1, 2), consistency_check=False)), "."),
        (public_pem(RSA.construct((2**2047 + 1, 2**33 + 1), consistency_check=False)), "."),
        (public_pem(RSA.construct((2**2047, 65537), consistency_check=False)), "."),
        (public_pem(RSA.construct((2**2047 + 1, 2**32 + 1), consistency_check=False)), "unusable"),
    ],
)
def test_what_is_no_usable_public_key_is_a_bad_key(text: str, reason: str) -> None:
    with pytest.raises(BadKey, match=reason):
        PublicKey.from_pem(text)


def test_keys_do_not_print_their_secrets() -> None:
    for shown in (repr(MASTER), str(MASTER), repr(MASTER.public)):
        assert MASTER.public.fingerprint() in shown
        assert "BEGIN" not in shown


def test_a_fingerprint_covers_the_body_lines_of_the_file() -> None:
    text = MASTER.public.pem
    finger = fingerprint(text)
    assert len(finger) == 95
    assert fingerprint(text + "\n") == finger
    assert fingerprint(text.replace("\n", "\r\n")) == finger
    assert fingerprint(text.replace("\n", "\n\n")) == finger
    assert len(fingerprint(text, "md5")) == 47
    assert MASTER.public.fingerprint("md5") == fingerprint(text, "md5")


def test_a_fingerprint_of_nothing_or_by_an_unknown_hash_is_refused() -> None:
    for text in ("", "a\nb", "one line"):
        with pytest.raises(BadKey, match="no body"):
            fingerprint(text)
    with pytest.raises(UnsupportedAlgorithm):
        fingerprint(MASTER.public.pem, "crc32")


def test_clean_pem_has_no_ends_and_unix_lines() -> None:
    assert clean_pem(" \r\na\r\nb\rc\n\n") == "a\nb\nc"


@given(st.text() | st.binary(max_size=200).map(pem) | st.text().map(lambda t: pem(b"") + t))
def test_nothing_but_a_bad_key_escapes(text: str) -> None:
    for read in (PublicKey.from_pem, PrivateKey.from_pem, fingerprint):
        try:
            read(text)
        except BadKey:
            pass


DER = base64.b64decode("".join(SMALL.public.pem.split("\n")[1:-1]))


@given(st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), min_size=1))
def test_nothing_but_a_crypto_error_escapes_from_a_damaged_key(
    changes: list[tuple[int, int]],
) -> None:
    body = bytearray(DER)
    for position, value in changes:
        body[position] = value
    try:
        damaged = PublicKey.from_pem(pem(bytes(body)))
        damaged.encrypt(b"x", "OAEP-SHA1")
        assert not damaged.verify(b"abc", b"\1" * 128, "PKCS1v15-SHA1")
        damaged.recover_x931(b"\1" * 128)
    except CryptoError:
        pass


@given(at=st.integers(0, 293), value=st.integers(0, 255))
def test_a_usual_key_is_read_the_same_way_as_any_other(at: int, value: int) -> None:
    body = bytearray(RSA.import_key(key("minion").public.pem).export_key("DER"))
    assert _read_usual(bytes(body)) is not None
    body[at] = value
    pem = "-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(body).decode()
    pem += "\n-----END PUBLIC KEY-----"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("greensalt.crypto.keypair._read_usual", lambda _: None)
        expected = _numbers(pem)
    assert _numbers(pem) == expected


def _numbers(pem: str) -> tuple[int, int] | str:
    try:
        read = PublicKey.from_pem(pem)._key
    except BadKey:
        return "bad"
    return read.n, read.e


@pytest.mark.parametrize("cut", [0, 33, 288, 289, 290, 293])
def test_a_cut_key_is_no_usual_one(cut: int) -> None:
    body = RSA.import_key(key("minion").public.pem).export_key("DER")
    assert _read_usual(body[:cut]) is None


@pytest.mark.parametrize(("at", "value"), [(33, 0x7F), (291, 0x80), (291, 0)])
def test_a_number_that_is_not_in_its_shortest_form_is_no_usual_key(at: int, value: int) -> None:
    body = bytearray(RSA.import_key(key("minion").public.pem).export_key("DER"))
    body[at] = value
    assert _read_usual(bytes(body)) is None
