from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path

import pytest

from greensalt.crypto.keypair import PrivateKey
from greensalt.errors import BadKey, InvalidMinionId, StoreError
from greensalt.store.keyfiles import own_key, read_regular
from greensalt.store.keys import KeyStore, MinionKeys, SessionKeys, State, read_user_key, user_key
from tests._load import cpu_of


@cache
def key(number: int = 0) -> PrivateKey:
    return PrivateKey.generate(2048)


PEM = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----"
OTHER = "-----BEGIN PUBLIC KEY-----\nMIIC\n-----END PUBLIC KEY-----"


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    store = KeyStore(tmp_path / "pki")
    store.prepare()
    return store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_directories_are_salts_and_closed_to_others(store: KeyStore) -> None:
    names = {path.name for path in store.pki_dir.iterdir()}
    assert names == {"minions", "minions_pre", "minions_rejected", "minions_denied"}
    assert mode(store.pki_dir) == 0o700
    assert all(mode(path) == 0o700 for path in store.pki_dir.iterdir())
    store.prepare()  # again


def test_a_pki_dir_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file.* can't be created"):
        KeyStore(tmp_path / "file").prepare()


def test_an_empty_store_lists_all_states_as_empty(tmp_path: Path) -> None:
    assert KeyStore(tmp_path / "nowhere").list() == {state: [] for state in State}


def test_keys_are_stored_cleaned_one_file_per_id(store: KeyStore) -> None:
    store.put(State.PENDING, "web1", f"  {PEM}\r\n".replace("\n", "\r\n"))
    path = store.pki_dir / "minions_pre" / "web1"
    assert path.read_bytes() == PEM.encode()
    assert mode(path) == 0o644
    assert store.get(State.PENDING, "web1") == PEM
    assert store.get(State.ACCEPTED, "web1") is None
    assert store.state_of("web1") == (State.PENDING, PEM)
    assert store.state_of("web2") is None


def test_a_key_with_a_final_newline_reads_like_one_without(store: KeyStore) -> None:
    (store.pki_dir / "minions" / "web1").write_text(PEM + "\n")
    assert store.get(State.ACCEPTED, "web1") == PEM


def test_a_key_is_decided_about_once(store: KeyStore) -> None:
    store.put(State.PENDING, "web1", PEM)
    store.accept("web1")
    assert store.state_of("web1") == (State.ACCEPTED, PEM)
    store.put(State.REJECTED, "web1", OTHER)
    assert store.state_of("web1") == (State.REJECTED, OTHER)
    assert store.list() == {**{state: [] for state in State}, State.REJECTED: ["web1"]}


def test_a_denied_key_stands_beside_the_decision(store: KeyStore) -> None:
    store.put(State.ACCEPTED, "web1", PEM)
    store.put(State.DENIED, "web1", OTHER)
    assert store.state_of("web1") == (State.ACCEPTED, PEM)
    assert store.get(State.DENIED, "web1") == OTHER
    store.accept("web1", State.DENIED)
    assert store.state_of("web1") == (State.ACCEPTED, OTHER)
    assert store.ids(State.DENIED) == []


def test_a_denied_key_alone_decides_nothing(store: KeyStore) -> None:
    store.put(State.DENIED, "web1", PEM)
    assert store.state_of("web1") is None


def test_rejecting_takes_a_key_from_where_it_is_said_to_be(store: KeyStore) -> None:
    store.put(State.ACCEPTED, "web1", PEM)
    with pytest.raises(StoreError, match="web1 has no pending key"):
        store.reject("web1")
    store.reject("web1", State.ACCEPTED)
    assert store.state_of("web1") == (State.REJECTED, PEM)
    store.accept("web1", State.REJECTED)
    assert store.state_of("web1") == (State.ACCEPTED, PEM)


def test_deleting_tells_from_which_states(store: KeyStore) -> None:
    store.put(State.ACCEPTED, "web1", PEM)
    store.put(State.DENIED, "web1", OTHER)
    assert store.delete("web1", State.DENIED) == (State.DENIED,)
    assert store.state_of("web1") == (State.ACCEPTED, PEM)
    store.put(State.DENIED, "web1", OTHER)
    assert set(store.delete("web1")) == {State.ACCEPTED, State.DENIED}
    assert store.delete("web1") == ()


@pytest.mark.parametrize("bad", ["", "..", "../x", "a/b", ".hidden", "a\0b", "a*", "x" * 300])
def test_an_id_that_could_not_be_a_file_name_is_refused_everywhere(
    store: KeyStore, bad: str
) -> None:
    with pytest.raises(InvalidMinionId):
        store.put(State.PENDING, bad, PEM)
    with pytest.raises(InvalidMinionId):
        store.get(State.PENDING, bad)
    with pytest.raises(InvalidMinionId):
        store.accept(bad)
    with pytest.raises(InvalidMinionId):
        store.delete(bad)
    with pytest.raises(InvalidMinionId):
        SessionKeys(store.pki_dir).create(bad)


def test_symlinks_directories_fifos_and_temporary_files_are_no_keys(store: KeyStore) -> None:
    directory = store.pki_dir / "minions"
    secret = store.pki_dir / "secret"
    secret.write_text(PEM)
    (directory / "link").symlink_to(secret)
    (directory / "dir").mkdir()
    os.mkfifo(directory / "fifo")
    (directory / ".web1.17.new").write_text(PEM)
    store.put(State.ACCEPTED, "web1", PEM)
    assert store.ids(State.ACCEPTED) == ["web1"]
    for name in ("link", "dir", "fifo"):
        assert store.get(State.ACCEPTED, name) is None
        with pytest.raises(StoreError, match=f"{name} has no accepted key"):
            store.reject(name, State.ACCEPTED)


def test_a_file_too_large_for_a_key_is_an_error_that_names_it(store: KeyStore) -> None:
    (store.pki_dir / "minions" / "web1").write_bytes(b"x" * 20000)
    with pytest.raises(StoreError, match="minions/web1: has more than 16384 bytes"):
        store.get(State.ACCEPTED, "web1")


def test_a_listing_that_fails_names_the_directory(tmp_path: Path) -> None:
    (tmp_path / "minions").write_text("")
    with pytest.raises(StoreError, match="minions: can't be listed: Not a directory"):
        KeyStore(tmp_path).ids(State.ACCEPTED)


def test_fingerprints_are_of_the_body_alone(store: KeyStore) -> None:
    store.put(State.ACCEPTED, "web1", PEM)
    one = store.fingerprint(State.ACCEPTED, "web1")
    (store.pki_dir / "minions" / "web1").write_text(PEM.replace("\n", "\r\n") + "\r\n\n")
    assert store.fingerprint(State.ACCEPTED, "web1") == one
    assert store.fingerprint(State.ACCEPTED, "web2") is None
    assert store.fingerprint(State.ACCEPTED, "web1", "md5") != one


def test_ten_thousand_keys_are_listed_at_once(store: KeyStore) -> None:
    directory = store.pki_dir / "minions"
    for number in range(10_000):
        os.close(os.open(directory / f"minion-{number:05}", os.O_CREAT | os.O_WRONLY))
    assert len(store.list()[State.ACCEPTED]) == 10_000
    assert min(cpu_of(store.list) for _ in range(3)) < 0.4


def test_listing_needs_no_crypto_and_no_greenlets(store: KeyStore) -> None:
    code = (
        "import sys; from pathlib import Path; from greensalt.store.keys import KeyStore;"
        f"KeyStore(Path({str(store.pki_dir)!r})).list();"
        "print(sorted({'Crypto', 'gevent', 'zmq', 'yaml', 'msgpack'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_wish_for_rotation_is_a_private_file_with_the_masters_id(tmp_path: Path) -> None:
    KeyStore.request_rotation(tmp_path, "vm_master")
    KeyStore.request_rotation(tmp_path, "vm_master")  # one wish, however often it is made
    assert (tmp_path / ".dfn").read_text() == "vm_master"
    assert mode(tmp_path / ".dfn") == 0o400


# -- own keys -------------------------------------------------------------------------------------


def test_an_own_key_is_made_once_and_never_readable_by_others(store: KeyStore) -> None:
    before = os.umask(0)
    try:
        made = store.own("master")
    finally:
        os.umask(before)
    assert mode(store.pki_dir / "master.pem") == 0o400
    assert mode(store.pki_dir / "master.pub") == 0o644
    pem = (store.pki_dir / "master.pem").read_text()
    assert pem.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert (store.pki_dir / "master.pub").read_text() == made.public.pem + "\n"
    assert store.own("master").public == made.public
    assert (store.pki_dir / "master.pem").read_text() == pem
    assert not list(store.pki_dir.glob(".*"))


def test_two_that_make_the_same_key_at_once_agree_on_one(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from greensalt.store.keyfiles import own_key;"
        f"sys.stdin.readline(); print(own_key(Path({str(tmp_path)!r}), 'master').public.pem)"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    threads = []
    answers: list[str] = []
    for child in children:
        thread = threading.Thread(target=lambda c=child: answers.append(c.communicate("\n")[0]))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    assert len(answers) == 2
    assert answers[0] == answers[1] != ""


def test_the_own_key_of_salt_3008_is_read_through_its_symlink(store: KeyStore) -> None:
    (store.pki_dir / "boss.pem").write_text(key().to_pem())
    (store.pki_dir / "boss.pem").chmod(0o400)
    (store.pki_dir / "boss.pub").write_text(key().public.pem + "\n")
    (store.pki_dir / "master.pem").symlink_to(store.pki_dir / "boss.pem")
    (store.pki_dir / "master.pub").symlink_to(store.pki_dir / "boss.pub")
    assert store.own("master").public == key().public
    assert (store.pki_dir / "master.pub").is_symlink()


def test_a_missing_or_wrong_public_half_is_written_anew(store: KeyStore) -> None:
    store.own("master")
    public = store.pki_dir / "master.pub"
    right = public.read_text()
    public.write_text(PEM)
    store.own("master")
    assert public.read_text() == right
    public.unlink()
    store.own("master")
    assert public.read_text() == right


def test_a_key_with_a_passphrase_needs_it(tmp_path: Path) -> None:
    own_key(tmp_path, "master", passphrase="sesame")
    assert "ENCRYPTED" in (tmp_path / "master.pem").read_text()
    own_key(tmp_path, "master", passphrase="sesame")
    with pytest.raises(BadKey, match=r"master.pem: .*passphrase"):
        own_key(tmp_path, "master")


def test_an_own_key_that_is_damaged_is_named_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "master.pem").write_text("")
    with pytest.raises(BadKey, match=r"master.pem: "):
        own_key(tmp_path, "master")
    assert (tmp_path / "master.pem").read_text() == ""
    (tmp_path / "other.pem").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadKey, match=r"other.pem: "):
        own_key(tmp_path, "other")


def test_an_own_key_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "master.pem").write_text(key().to_pem())
    (tmp_path / "master.pem").chmod(0o644)
    own_key(tmp_path, "master")
    assert "master.pem can be read by others (mode 0644); make it 0400" in caplog.text


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/master.pem: can't be read: Not a directory"):
        own_key(tmp_path / "file", "master")


# -- the minion's side ----------------------------------------------------------------------------


def test_a_minion_has_its_pair_and_trusts_no_master_at_first(tmp_path: Path) -> None:
    keys = MinionKeys(tmp_path / "pki")
    made = keys.own()
    assert keys.own().public == made.public
    assert mode(tmp_path / "pki" / "minion.pem") == 0o400
    assert keys.master_pem() is None
    assert keys.sign_key() is None


def test_a_trusted_master_is_remembered_in_salts_file(tmp_path: Path) -> None:
    keys = MinionKeys(tmp_path)
    keys.trust_master(PEM + "\n")
    assert (tmp_path / "minion_master.pub").read_text() == PEM
    (tmp_path / "minion_master.pub").write_text(PEM + "\r\n")
    assert keys.master_pem() == PEM


def test_an_empty_file_of_the_masters_key_is_not_taken_for_no_key(tmp_path: Path) -> None:
    (tmp_path / "minion_master.pub").write_text("\n")
    with pytest.raises(BadKey, match=r"minion_master.pub is empty; remove it to trust"):
        MinionKeys(tmp_path).master_pem()


def test_the_key_that_signs_masters_is_read_under_its_configured_name(tmp_path: Path) -> None:
    (tmp_path / "notary.pub").write_text(key().public.pem + "\n")
    assert MinionKeys(tmp_path).sign_key("notary") == key().public
    (tmp_path / "master_sign.pub").write_text("nonsense")
    with pytest.raises(BadKey, match=r"master_sign.pub: not a PEM public key"):
        MinionKeys(tmp_path).sign_key()


# -- secrets in the cache directory ---------------------------------------------------------------


def test_a_users_key_is_made_once_and_private(tmp_path: Path) -> None:
    assert read_user_key(tmp_path, "root") is None
    made = user_key(tmp_path, "root")
    assert len(made) == 76
    assert user_key(tmp_path, "root") == read_user_key(tmp_path, "root") == made
    assert (tmp_path / ".root_key").read_text() == made
    assert mode(tmp_path / ".root_key") == 0o600


def test_a_damaged_users_key_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".root_key").write_text("short")
    assert read_user_key(tmp_path, "root") is None
    assert len(user_key(tmp_path, "root")) == 76


def test_users_of_a_domain_have_salts_file_name(tmp_path: Path) -> None:
    user_key(tmp_path, "LAB\\ann")
    assert (tmp_path / ".LAB_ann_key").exists()


@pytest.mark.parametrize("user", ["", "../x", "a/b", "a\0b"])
def test_what_is_no_user_name_makes_no_file(tmp_path: Path, user: str) -> None:
    with pytest.raises(StoreError, match="is no user name"):
        user_key(tmp_path, user)


def test_session_keys_are_kept_with_their_age(tmp_path: Path) -> None:
    sessions = SessionKeys(tmp_path)
    assert sessions.get("web1") is None
    made = sessions.create("web1")
    path = tmp_path / "sessions" / "web1"
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    os.utime(path, (time.time() - 100,) * 2)
    stored = sessions.get("web1")
    assert stored is not None
    assert stored[0] == made == path.read_text()
    assert 100 <= stored[1] < 110
    assert sessions.create("web1") != made
    sessions.forget("web1")
    sessions.forget("web1")
    assert sessions.get("web1") is None


def test_a_damaged_session_key_is_none(tmp_path: Path) -> None:
    sessions = SessionKeys(tmp_path)
    sessions.create("web1")
    (tmp_path / "sessions" / "web1").write_text("x" * 75)
    assert sessions.get("web1") is None


def test_a_file_that_may_not_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/x: can't be read: Not a directory"):
        read_regular(tmp_path / "file" / "x")
    with pytest.raises(StoreError, match="file/sessions/web1: can't be deleted"):
        SessionKeys(tmp_path / "file").forget("web1")
    with pytest.raises(StoreError, match="file/sessions/web1: can't be written"):
        SessionKeys(tmp_path / "file").create("web1")
