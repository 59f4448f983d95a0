from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from greensalt.cli.main import main
from greensalt.crypto.keypair import PrivateKey, PublicKey
from greensalt.store.keys import KeyStore, SessionKeys, State


@cache
def pem(number: int) -> str:
    return PrivateKey.generate(2048).public.pem


class Tool:
    """`greensalt key` on a small pki_dir."""

    def __init__(self, where: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.dir = where
        self.pki_dir, self.cachedir = where / "pki", where / "cache"
        options = {"pki_dir": str(self.pki_dir), "cachedir": str(self.cachedir), "id": "boss"}
        (where / "master").write_text(yaml.safe_dump(options))
        self.store = KeyStore(self.pki_dir)
        self.capsys = capsys
        for state, names in {
            State.ACCEPTED: ("db1", "web1", "web2"),
            State.PENDING: ("new1", "new2", "odd"),
            State.REJECTED: ("bad1", "badx"),
        }.items():
            for name in names:
                self.store.put(state, name, pem(1))
        for name in ("odd2", "web1"):
            self.store.put(State.DENIED, name, pem(2))

    def __call__(self, *argv: str, code: int = 0) -> str:
        """What the command prints on stdout; what it says on stderr is in `said`."""
        assert main(["key", "-c", str(self.dir), *argv]) == code
        out, self.said = self.capsys.readouterr()
        return out

    def ids(self, state: State) -> list[str]:
        return self.store.ids(state)

    @property
    def wants_rotation(self) -> bool:
        return (self.cachedir / ".dfn").exists()


@pytest.fixture
def key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Tool:
    return Tool(tmp_path, capsys)


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


ALL = """\
Accepted Keys:
db1
web1
web2
Denied Keys:
odd2
web1
Unaccepted Keys:
new1
new2
odd
Rejected Keys:
bad1
badx
"""


@pytest.mark.parametrize("argv", [(), ("-L",), ("-L", "all"), ("-l", "all"), ("--list-all",)])
def test_all_keys_are_listed_as_salt_does(key: Tool, argv: tuple[str, ...]) -> None:
    assert key(*argv) == ALL


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("acc", "Accepted Keys:\ndb1\nweb1\nweb2\n"),
        ("accepted", "Accepted Keys:\ndb1\nweb1\nweb2\n"),
        ("pre", "Unaccepted Keys:\nnew1\nnew2\nodd\n"),
        ("un", "Unaccepted Keys:\nnew1\nnew2\nodd\n"),
        ("rej", "Rejected Keys:\nbad1\nbadx\n"),
        ("den", "Denied Keys:\nodd2\nweb1\n"),
    ],
)
def test_one_state_is_listed(key: Tool, word: str, text: str) -> None:
    assert key("-l", word) == text
    assert key("-L", word) == text


def test_an_empty_pki_dir_is_listed_with_its_headings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "master").write_text(f"pki_dir: {tmp_path / 'nowhere'}\n")
    assert main(["key", "-c", str(tmp_path)]) == 0
    headings = "Accepted Keys:\nDenied Keys:\nUnaccepted Keys:\nRejected Keys:\n"
    assert capsys.readouterr().out == headings


def test_data_is_printed_for_programs(key: Tool) -> None:
    expected = {
        "minions": ["db1", "web1", "web2"],
        "minions_pre": ["new1", "new2", "odd"],
        "minions_rejected": ["bad1", "badx"],
        "minions_denied": ["odd2", "web1"],
    }
    assert json.loads(key("-L", "--out", "json")) == expected
    assert yaml.safe_load(key("-L", "--out=yaml")) == expected
    assert "minions: ['db1', 'web1', 'web2']\n" in key("-L", "--out=txt")
    assert key("-l", "rej", "--out=raw") == "{'minions_rejected': ['bad1', 'badx']}\n"
    assert key("-l", "rej", "--out=nested") == "minions_rejected:\n    - bad1\n    - badx\n"
    assert "there is no outputter 'bogus'" not in key("-L", "--out", "bogus")
    assert "there is no outputter 'bogus', nested it is" in key.said


def test_colors_are_for_terminals_or_on_request(key: Tool) -> None:
    assert "\x1b" not in key("-L")
    colored = key("-l", "rej", "--force-color")
    assert "\x1b[0;1;34mRejected Keys:" in colored
    assert "\x1b" not in key("-L", "--no-color")


def test_accepting_asks_first_and_return_means_yes(
    key: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, "\n")
    assert key("-a", "new*") == (
        "The following keys are going to be accepted:\n"
        "Unaccepted Keys:\nnew1\nnew2\n"
        "Proceed? [n/Y] Key for minion new1 accepted.\nKey for minion new2 accepted.\n"
    )
    assert key.ids(State.ACCEPTED) == ["db1", "new1", "new2", "web1", "web2"]
    assert key.ids(State.PENDING) == ["odd"]
    assert not key.wants_rotation


def test_no_means_no(key: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "n\n")
    assert key("-a", "new1").endswith("Proceed? [n/Y] ")
    assert key.ids(State.PENDING) == ["new1", "new2", "odd"]


def test_deleting_wants_an_explicit_yes(key: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "\n")
    assert key("-d", "web2").endswith("Accepted Keys:\nweb2\nProceed? [N/y] ")
    assert "web2" in key.ids(State.ACCEPTED)
    answer(monkeypatch, "Yes\n")
    assert key("-d", "web2").endswith("Key for minion web2 deleted.\n")
    assert "web2" not in key.ids(State.ACCEPTED)


def test_without_an_answer_nothing_is_changed(key: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "")
    key("-A", code=1)
    assert key.said == "greensalt key: error: no answer, nothing was changed; -y says yes\n"
    assert key.ids(State.PENDING) == ["new1", "new2", "odd"]


def test_several_ids_and_globs_are_given_with_commas(key: Tool) -> None:
    key("-y", "-a", "odd,new*,nobody")
    assert key.ids(State.PENDING) == []


def test_what_matches_nothing_is_said_as_salt_says_it(key: Tool) -> None:
    text = "The key glob 'nope' does not match any unaccepted keys.\n"
    for flag in ("-a", "-r", "-d"):
        assert key(flag, "nope") == text
    assert key("-f", "nope") == ""
    assert key("-p", "nope") == ""


def test_accepting_all_takes_pending_keys_only_unless_told(key: Tool) -> None:
    key("-y", "-A")
    assert key.ids(State.REJECTED) == ["bad1", "badx"]
    key("-y", "-A", "--include-rejected")
    assert key.ids(State.REJECTED) == []
    assert key.ids(State.DENIED) == ["odd2", "web1"]


def test_accepting_a_denied_key_replaces_the_accepted_one(key: Tool) -> None:
    sessions = SessionKeys(key.cachedir)
    sessions.create("web1")
    key("-y", "-a", "web1", "--include-denied")
    assert key.store.get(State.ACCEPTED, "web1") == pem(2)
    assert key.ids(State.DENIED) == ["odd2"]
    assert sessions.get("web1") is None
    assert key.wants_rotation


def test_rejecting_takes_accepted_keys_only_when_told(key: Tool) -> None:
    assert "does not match" in key("-y", "-r", "web1")
    key("-y", "-r", "web1", "--include-accepted")
    assert key.ids(State.ACCEPTED) == ["db1", "web2"]
    assert key.ids(State.REJECTED) == ["bad1", "badx", "web1"]
    assert key.ids(State.DENIED) == ["odd2", "web1"]


def test_rejecting_all_takes_pending_keys_only(key: Tool) -> None:
    key("-y", "-R")
    assert key.ids(State.REJECTED) == ["bad1", "badx", "new1", "new2", "odd"]
    assert key.ids(State.ACCEPTED) == ["db1", "web1", "web2"]
    assert key.wants_rotation


def test_include_all_is_rejected_for_accepting_and_accepted_for_rejecting(key: Tool) -> None:
    key("-y", "-A", "--include-all")
    assert key.ids(State.REJECTED) == []
    key("-y", "-R", "--include-all")
    assert key.ids(State.ACCEPTED) == []


def test_deleting_takes_an_id_from_all_states(key: Tool) -> None:
    assert key("-y", "-d", "web*") == (
        "The following keys are going to be deleted:\n"
        "Accepted Keys:\nweb1\nweb2\nDenied Keys:\nweb1\n"
        "Key for minion web1 deleted.\nKey for minion web2 deleted.\n"
        "Key for minion web1 deleted.\n"
    )


def test_keys_of_one_state_are_deleted(key: Tool) -> None:
    key("-y", "-D", "--state", "denied")
    assert key.ids(State.DENIED) == []
    assert key.ids(State.ACCEPTED) == ["db1", "web1", "web2"]
    key("-y", "-d", "bad*", "--state=rej")
    assert key.ids(State.REJECTED) == []


def test_all_keys_are_deleted(key: Tool) -> None:
    key("-y", "-D")
    assert key.store.list() == {state: [] for state in State}


def test_whoever_is_shut_out_loses_session_and_publish_key_in_one_rotation(key: Tool) -> None:
    sessions = SessionKeys(key.cachedir)
    for name in ("web1", "web2", "db1"):
        sessions.create(name)
    key("-y", "-d", "web*")
    assert sessions.get("web1") is None
    assert sessions.get("web2") is None
    assert sessions.get("db1") is not None
    assert (key.cachedir / ".dfn").read_text() == "boss"


def test_the_rotation_can_be_left_out(key: Tool) -> None:
    key("-y", "-d", "web1", "--rotate-aes-key", "False")
    assert not key.wants_rotation
    with (key.dir / "master").open("a") as config:
        config.write("rotate_aes_key: false\n")
    key("-y", "-d", "web2")
    assert not key.wants_rotation


def test_quiet_changes_say_nothing(key: Tool) -> None:
    assert key("-q", "-y", "-a", "new1") == ""
    assert "new1" in key.ids(State.ACCEPTED)


def test_with_data_as_output_the_words_go_to_stderr(key: Tool) -> None:
    assert json.loads(key("-y", "-a", "new1", "--out=json")) == {"minions_pre": ["new1"]}
    assert "Key for minion new1 accepted.\n" in key.said


def test_one_key_that_cannot_be_changed_does_not_stop_the_others(key: Tool) -> None:
    blocker = key.pki_dir / "minions" / "new1"
    blocker.mkdir()
    assert "Key for minion new2 accepted.\n" in key("-y", "-a", "new1,new2", code=1)
    assert "new1" in key.said
    assert "can't be moved" in key.said


def test_keys_are_printed(key: Tool) -> None:
    assert key("-p", "web1") == f"Accepted Keys:\nweb1:  {pem(1)}\nDenied Keys:\nweb1:  {pem(2)}\n"
    assert key("-p", "web1", "--state", "den") == f"Denied Keys:\nweb1:  {pem(2)}\n"
    assert json.loads(key("-P", "--out=json"))["minions_rejected"] == {
        "bad1": pem(1),
        "badx": pem(1),
    }


def test_fingerprints_are_of_the_body_and_the_masters_own_come_first(key: Tool) -> None:
    master = key.store.own("master")
    one, two = (PublicKey.from_pem(pem(number)).fingerprint() for number in (1, 2))
    assert key("-f", "web*") == (
        f"Accepted Keys:\nweb1:  {one}\nweb2:  {one}\nDenied Keys:\nweb1:  {two}\n"
    )
    assert key("-F", "master").startswith(
        f"Local Keys:\nmaster.pub:  {master.public.fingerprint()}\nAccepted Keys:\ndb1:  {one}\n"
    )
    assert json.loads(key("-f", "master.pub", "--out=json")) == {
        "local": {"master.pub": master.public.fingerprint()}
    }


def test_a_file_without_a_key_does_not_hide_the_other_fingerprints(key: Tool) -> None:
    (key.pki_dir / "minions" / "db1").write_text("")
    printed = key("-F")
    assert "db1:  (PEM text has no body)\n" in printed
    assert "badx:  " in printed


def test_fingerprints_use_the_configured_hash(key: Tool) -> None:
    with (key.dir / "master").open("a") as config:
        config.write("hash_type: md5\n")
    fingerprint = json.loads(key("-f", "db1", "--out=json"))["minions"]["db1"]
    assert fingerprint == PublicKey.from_pem(pem(1)).fingerprint("md5")


def test_a_key_pair_is_made_once(key: Tool) -> None:
    place = key.dir / "made"
    fingerprint = key("--gen-keys", "web9", "--gen-keys-dir", str(place))
    made = PublicKey.from_pem((place / "web9.pub").read_text())
    assert fingerprint == f"return:\n    {made.fingerprint()}\n"
    assert (place / "web9.pem").stat().st_mode & 0o777 == 0o400
    assert key("--gen-keys", "web9", "--gen-keys-dir", str(place)) == fingerprint


@pytest.mark.parametrize("argv", [("--keysize", "1024"), ("--keysize", "x")])
def test_a_key_size_out_of_bounds_is_refused(key: Tool, argv: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        key("--gen-keys", "x", *argv)
    assert caught.value.code == 64
    assert "invalid key size from 2048 to 8192 value" in key.capsys.readouterr().err


def test_a_name_that_leaves_the_directory_makes_no_keys(key: Tool) -> None:
    key("--gen-keys", "../x", code=1)
    assert "is no name for key files" in key.said


def test_the_masters_key_is_signed_for_minions_that_verify_it(key: Tool) -> None:
    from base64 import b64decode

    key("--gen-signature", code=1)
    assert "there is no signing key" in key.said
    key("--gen-signature", "--auto-create", code=1)
    assert "there is no public key" in key.said
    master = key.store.own("master")
    assert key("--gen-signature") == "return:\n    True\n"
    signature = b64decode((key.pki_dir / "boss_pubkey_signature").read_text())
    signer = PublicKey.from_pem((key.pki_dir / "master_sign.pub").read_text())
    assert signer.verify(master.public.pem.encode(), signature, "PKCS1v15-SHA1")
    other = key.dir / "elsewhere"
    key("--gen-signature", "--signature-path", str(other))
    assert (other / "boss_pubkey_signature").exists()
    key("--gen-signature", "--priv", str(key.pki_dir / "master.pub"), code=1)
    assert "ends in .pem" in key.said


def test_two_actions_at_once_are_refused(key: Tool) -> None:
    with pytest.raises(SystemExit) as caught:
        key("-A", "-D")
    assert caught.value.code == 64


def test_a_wrong_configuration_is_one_line(key: Tool) -> None:
    (key.dir / "master").write_text("pki_dri: /x\n")
    key("-L", code=1)
    assert key.said == (
        f"greensalt key: error: {key.dir}/master: unknown option 'pki_dri';"
        " did you mean 'pki_dir'?\n"
    )


def test_ten_thousand_keys_are_listed_in_half_a_second(key: Tool) -> None:
    directory = key.pki_dir / "minions"
    for number in range(10_000):
        os.close(os.open(directory / f"minion-{number:05}", os.O_CREAT | os.O_WRONLY))
    argv = [sys.executable, "-m", "greensalt", "key", "-c", str(key.dir), "-L"]
    took_s = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(argv, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took_s.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert done.stdout.count(b"\n") == 10_014
    assert min(took_s) < 0.5  # of CPU: it waits for nobody


def test_listing_imports_neither_sockets_nor_crypto(key: Tool) -> None:
    code = (
        "import sys; from greensalt.cli.main import main;"
        f"main(['key', '-c', {str(key.dir)!r}, '-L']);"
        "print({'zmq', 'gevent', 'Crypto', 'msgpack'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "set()\n"
