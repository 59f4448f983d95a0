"""greensalt's key files and key command beside stock Salt's: each works on what the other made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from greensalt.crypto.keypair import PrivateKey, PublicKey
from greensalt.store.keys import KeyStore, MinionKeys, State
from tests._daemons import BIN, NEWEST, STOCK_VERSIONS, run, stock_bin

OURS = (BIN / "greensalt", "key")
MEMBER, STRANGER = (PrivateKey.generate(2048).public.pem for _ in range(2))
# The release whose fingerprints are of the body alone, as `master_finger` wants them.
BODY_FINGERPRINTS = "3006.30"
KEYS = {
    State.ACCEPTED: ("db1", "web1", "web.example.org"),
    State.PENDING: ("new1", "new2"),
    State.REJECTED: ("bad1",),
    State.DENIED: ("web1",),
}


class Pki:
    """A directory with a master's configuration, worked on by greensalt's and Salt's commands."""

    def __init__(self, where: Path, version: str) -> None:
        self.dir = where
        self.stock = (stock_bin(version) / "salt-key",)
        places = ("pki_dir", "cachedir", "sock_dir")
        options = {"root_dir": str(where), "id": "boss", **{name: f"/{name}" for name in places}}
        (where / "master").write_text(yaml.safe_dump(options))
        self.store = KeyStore(where / "pki_dir")

    def fill(self) -> None:
        """Put greensalt's own files there."""
        self.store.prepare()
        self.store.own("master")
        (self.dir / "cachedir").mkdir()
        for state, names in KEYS.items():
            for name in names:
                self.store.put(state, name, STRANGER if state is State.DENIED else MEMBER)

    def ask(self, command: tuple[Path | str, ...], *args: str) -> str:
        done = run(*command, "-c", self.dir, *args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def data(self, command: tuple[Path | str, ...], *args: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.ask(command, *args, "--out=json"))
        return answer


@pytest.fixture(params=STOCK_VERSIONS)
def pki(request: pytest.FixtureRequest, tmp_path: Path) -> Pki:
    return Pki(tmp_path, request.param)


def test_stock_salt_lists_and_prints_our_keys_as_we_do(pki: Pki) -> None:
    pki.fill()
    assert pki.ask(OURS, "-L") == pki.ask(pki.stock, "-L")
    assert pki.ask(OURS, "-P").split() == pki.ask(pki.stock, "-P").split()
    assert pki.data(OURS, "-L") == pki.data(pki.stock, "-L")


def test_we_read_what_stock_salt_did_to_our_keys(pki: Pki) -> None:
    pki.fill()
    pki.ask(pki.stock, "-y", "-a", "new*")
    pki.ask(pki.stock, "-y", "-r", "db1", "--include-accepted")
    pki.ask(pki.stock, "-y", "-d", "bad1")
    assert pki.store.list() == {
        State.ACCEPTED: ["new1", "new2", "web.example.org", "web1"],
        State.PENDING: [],
        State.REJECTED: ["db1"],
        State.DENIED: ["web1"],
    }
    assert pki.store.state_of("new1") == (State.ACCEPTED, MEMBER)
    assert (pki.dir / "cachedir" / ".dfn").exists()


def test_stock_salt_reads_what_we_did_to_the_keys(pki: Pki) -> None:
    pki.fill()
    pki.ask(OURS, "-y", "-a", "new*")
    pki.ask(OURS, "-y", "-r", "db1", "--include-accepted")
    pki.ask(OURS, "-y", "-d", "bad1")
    assert pki.data(pki.stock, "-L") == {
        "minions": ["new1", "new2", "web.example.org", "web1"],
        "minions_pre": [],
        "minions_rejected": ["db1"],
        "minions_denied": ["web1"],
    }


@pytest.mark.parametrize(
    "words",
    [
        ("-l", "bogus"),
        ("-L", "--out=yaml"),
        ("-y", "-a", "new*"),
        ("-y", "-A"),
        ("-y", "-a", "nosuch"),
        ("-y", "-a", "bad1", "--include-rejected"),
        ("-y", "-r", "new1"),
        ("-y", "-D"),
        ("-a",),
    ],
    ids=" ".join,
)
def test_both_commands_say_and_do_the_same(tmp_path: Path, words: tuple[str, ...]) -> None:
    seen = []
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        pki = Pki(tmp_path / name, NEWEST)
        pki.fill()
        command = OURS if name == "ours" else pki.stock
        done = run(*command, "-c", pki.dir, "--no-color", *words)
        seen.append((done.stdout.rstrip(), done.returncode, pki.store.list()))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("pki", [BODY_FINGERPRINTS], indirect=True)
def test_our_fingerprints_are_those_of_the_releases_that_minions_agree_with(pki: Pki) -> None:
    pki.fill()
    assert pki.ask(OURS, "-f", "web*,bad1") == pki.ask(pki.stock, "-f", "web*,bad1")
    ours, theirs = pki.data(OURS, "-F"), pki.data(pki.stock, "-F")
    # Salt also shows a fingerprint of the private key's file, which nobody can compare.
    del theirs["local"]["master.pem"]
    assert ours == theirs
    assert pki.data(OURS, "-f", "master.pub") == pki.data(pki.stock, "-f", "master.pub")


@pytest.mark.parametrize("pki", [BODY_FINGERPRINTS], indirect=True)
def test_a_pair_made_by_either_is_used_by_the_other(pki: Pki) -> None:
    pki.store.prepare()
    theirs = pki.ask(pki.stock, "--gen-keys=minion", f"--gen-keys-dir={pki.dir}")
    own = MinionKeys(pki.dir).own()
    assert theirs == f"return:\n    {own.public.fingerprint()}\n"
    ours = pki.ask(OURS, "--gen-keys=other", f"--gen-keys-dir={pki.dir}")
    assert pki.ask(pki.stock, "--gen-keys=other", f"--gen-keys-dir={pki.dir}") == ours


def test_the_masters_own_key_that_stock_salt_made_is_ours_too(pki: Pki) -> None:
    """In 3008 master.pem is a symlink to <id>.pem."""
    pki.store.prepare()
    pki.ask(pki.stock, "--gen-keys=master", f"--gen-keys-dir={pki.store.pki_dir}")
    public = (pki.store.pki_dir / "master.pub").read_text()
    private = (pki.store.pki_dir / "master.pem").read_bytes()
    assert pki.store.own("master").public == PublicKey.from_pem(public)
    assert (pki.store.pki_dir / "master.pem").read_bytes() == private
