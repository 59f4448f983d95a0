"""greensalt's crypto and stock Salt's, each reading what the other wrote."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from greensalt.crypto.crypticle import Crypticle, check_key_string
from greensalt.crypto.keypair import ENC_ALGOS, SIG_ALGOS, PrivateKey, PublicKey, fingerprint
from greensalt.wire.dialect import pack, unpack
from tests._daemons import STOCK_VERSIONS, stock_bin
from tests.vectors.load import key, vectors

SCRIPT = Path(__file__).with_name("_stock_crypto.py")
MINION = key("minion")
BOX = Crypticle(vectors("crypticle")["key_string"])
NONCE: str = vectors("crypticle")["nonce"]
MESSAGE = "salt"
OBJECT = {
    "fun": "test.arg",
    "arg": [1, -1, 2.5, None, True, "\u00e9t\u00e9", {"deep": [{"er": "x" * 300}]}],
    "big": 2**63,
    "bigger": str(2**64),
}


@pytest.fixture(scope="module", name="stock", params=STOCK_VERSIONS)
def _stock(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What one release of Salt makes of greensalt's bytes, and bytes of its own."""
    where = tmp_path_factory.mktemp("keys")
    (where / "minion.pem").write_text(MINION.to_pem())
    (where / "minion.pub").write_text(MINION.public.pem)
    message = MESSAGE.encode()
    given = {
        "packet_with_nonce": BOX.dumps(OBJECT, NONCE),
        "packed": pack(OBJECT),
        "x931": MINION.sign_x931(message),
        **{algo: MINION.sign(message, algo) for algo in SIG_ALGOS},
        **{algo: MINION.public.encrypt(message, algo) for algo in ENC_ALGOS},
    }
    asked = {
        "private": str(where / "minion.pem"),
        "public": str(where / "minion.pub"),
        "directory": str(where),
        "key_string": BOX.key_string,
        "message": MESSAGE,
        "nonce": NONCE,
        "object": OBJECT,
        # Several: from the second on, the chain of the encryptor runs.
        "packets": [BOX.dumps(OBJECT).hex() for _ in range(3)],
        "given": {name: value.hex() for name, value in given.items()},
    }
    done = subprocess.run(
        [str(stock_bin(request.param) / "python"), str(SCRIPT)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_packets_are_read_both_ways(stock: dict[str, Any]) -> None:
    assert stock["read_packets"] == [OBJECT] * 3
    assert stock["read_reply"] == OBJECT
    assert BOX.loads(bytes.fromhex(stock["packet"])) == OBJECT
    assert BOX.loads(bytes.fromhex(stock["packet_with_nonce"]), NONCE) == OBJECT


def test_the_dialect_is_the_same_to_the_byte(stock: dict[str, Any]) -> None:
    assert pack(OBJECT).hex() == stock["packed"]
    assert stock["unpacked"] == OBJECT == unpack(bytes.fromhex(stock["packed"]))


def test_x931_signatures_are_the_same_to_the_byte(stock: dict[str, Any]) -> None:
    assert stock["x931"] == MINION.sign_x931(MESSAGE.encode()).hex()
    assert stock["read_x931"] == MESSAGE


def test_signatures_are_the_same_to_the_byte(stock: dict[str, Any]) -> None:
    for algo in SIG_ALGOS:
        assert stock["signed"][algo] == MINION.sign(MESSAGE.encode(), algo).hex()
        assert stock["verified"][algo] is True


def test_secrets_are_opened_both_ways(stock: dict[str, Any]) -> None:
    for algo in ENC_ALGOS:
        sealed = bytes.fromhex(stock["sealed"][algo])
        assert MINION.decrypt(sealed, algo) == MESSAGE.encode()
        assert stock["opened"][algo] == MESSAGE


def test_fingerprints_are_the_same(stock: dict[str, Any]) -> None:
    assert stock["finger"] == MINION.public.fingerprint()


def test_keys_that_stock_made_are_read_and_written_the_same_way(stock: dict[str, Any]) -> None:
    private = PrivateKey.from_pem(stock["generated"]["pem"])
    public = PublicKey.from_pem(stock["generated"]["pub"])
    assert private.public == public
    assert public.pem == stock["generated"]["pub"].strip()
    assert private.to_pem().strip() == stock["generated"]["pem"].strip()
    assert fingerprint(stock["generated"]["pub"]) == public.fingerprint()
    check_key_string(stock["key_string"])
