from __future__ import annotations

import pytest
from Crypto.PublicKey import RSA
from Crypto.PublicKey.RSA import RsaKey
from hypothesis import given, strategies as st

from greensalt.crypto import x931
from greensalt.errors import CryptoError
from tests.vectors.load import golden, vectors

SIZE = 128
LONGEST = SIZE - 2


def number(field: str) -> int:
    return int(vectors("rsa")[field], 16)


KEY = RSA.construct(tuple(number(field) for field in ("n", "e", "d", "p", "q")))


def forge(padded: bytes) -> bytes:
    """Sign any padded form, also a wrong one, as only the owner of the key could."""
    root = pow(int.from_bytes(padded, "big"), KEY.d, KEY.n)
    return min(root, KEY.n - root).to_bytes(SIZE, "big")


def test_golden_signature() -> None:
    assert x931.sign(b"salt", KEY) == golden("rsa", "x931_salt")
    assert x931.recover(golden("rsa", "x931_salt"), KEY.n, KEY.e) == b"salt"


@given(st.binary(max_size=LONGEST))
def test_every_message_that_fits_is_recovered(message: bytes) -> None:
    sig = x931.sign(message, KEY)
    assert len(sig) == SIZE
    assert int.from_bytes(sig, "big") <= KEY.n // 2
    assert x931.recover(sig, KEY.n, KEY.e) == message


@pytest.mark.parametrize("length", [0, 1, LONGEST - 1, LONGEST])
@pytest.mark.parametrize("fill", [b"\xbb", b"\xba", b"\x00", b"\xcc"])
def test_messages_that_look_like_padding_are_recovered(length: int, fill: bytes) -> None:
    assert x931.recover(x931.sign(fill * length, KEY), KEY.n, KEY.e) == fill * length


def test_a_message_that_does_not_fit_is_refused() -> None:
    with pytest.raises(CryptoError, match="too long"):
        x931.sign(b"x" * (LONGEST + 1), KEY)


@pytest.mark.parametrize(
    "sig",
    [b"", b"\x01", b"\x01" * (SIZE - 1), b"\x01" * (SIZE + 1), b"\xff" * SIZE, b"\0" * SIZE],
)
def test_a_signature_of_another_length_or_range_is_refused(sig: bytes) -> None:
    with pytest.raises(CryptoError):
        x931.recover(sig, KEY.n, KEY.e)


@pytest.mark.parametrize(
    "padded",
    [
        b"\x6b" + b"\xbb" * (SIZE - 7) + b"\xbasalt" + b"\x0c",
        b"\x6b" + b"\xbb" * (SIZE - 7) + b"\xbbsalt" + b"\xcc",
        b"\x6b" + b"\xbb" * (SIZE - 2) + b"\xcc",
        b"\x4b" + b"\xbb" * (SIZE - 7) + b"\xbasalt" + b"\xcc",
        b"\x6b" + b"\x00" * (SIZE - 7) + b"\xbasalt" + b"\xcc",
    ],
    ids=["trailer", "no end of fill", "fill only", "header", "fill"],
)
def test_wrong_padding_is_refused(padded: bytes) -> None:
    with pytest.raises(CryptoError, match=r"padding|trailer"):
        x931.recover(forge(padded), KEY.n, KEY.e)


@given(st.binary(min_size=SIZE, max_size=SIZE) | st.binary(max_size=300))
def test_nothing_but_a_crypto_error_escapes(sig: bytes) -> None:
    try:
        x931.recover(sig, KEY.n, KEY.e)
    except CryptoError:
        pass


def test_a_faulty_private_operation_never_leaves_the_process() -> None:
    class Faulty:
        """The key, with one half of the Chinese remainder theorem broken."""

        n, e, d, p, q = KEY.n, KEY.e, KEY.d, KEY.p, KEY.q + 2

        def size_in_bytes(self) -> int:
            return SIZE

    broken: RsaKey = Faulty()  # type: ignore[assignment]
    with pytest.raises(CryptoError, match="went wrong"):
        x931.sign(b"salt", broken)
