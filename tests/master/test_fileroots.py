"""The backend `roots` by itself: when it walks, what it remembers, where it never goes."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import gevent
import pytest
from hypothesis import given, settings, strategies as st

from greensalt.crypto.crypticle import Crypticle, generate_key_string
from greensalt.errors import UnsafePath
from greensalt.master.fileserver import content, index as index_module
from greensalt.master.fileserver.backend import Found, Listing
from greensalt.master.fileserver.content import Hashes, open_regular, read_chunk
from greensalt.master.fileserver.index import Index
from greensalt.master.fileserver.roots import Roots
from greensalt.master.fileserver.server import FileServer
from greensalt.master.sessions import Peer
from greensalt.serializers import MSGPACK
from greensalt.wire.dialect import unpack
from tests._peer import key
from tests.master._files import make_tree

BOX = Crypticle(generate_key_string())
PEER = Peer("m1", "0" * 32, key().public, BOX, "OAEP-SHA1", "PKCS1v15-SHA1", MSGPACK)


def settle(*roots: Path) -> None:
    """Wait until time stamps that are given now differ from those that the tree has."""
    newest = max(path.lstat().st_ctime_ns for root in roots for path in [root, *root.rglob("*")])
    while time.time_ns() < newest + 150_000_000:
        time.sleep(0.01)


def index_of(*roots: Path, follow: bool = True) -> Index:
    return Index([str(root) for root in roots], follow, False, lambda rel: rel == "hidden")


def test_an_unchanged_tree_is_walked_once(tmp_path: Path) -> None:
    srv = make_tree(tmp_path)
    settle(srv)
    index = index_of(srv / "one", srv / "two")
    assert [index.current() for _ in range(5)] == [index.current()] * 5
    assert index.walks == 1


def test_a_change_anywhere_is_seen(tmp_path: Path) -> None:
    srv = make_tree(tmp_path)
    index = index_of(srv / "one")
    settle(srv)
    before = index.current()
    (srv / "one/bare/inner/new").touch()
    after = index.current()
    assert {*after.files} - {*before.files} == {"bare/inner/new"}
    assert after.empty_dirs == []


def test_a_link_whose_target_changes_elsewhere_is_seen(tmp_path: Path) -> None:
    root, away = tmp_path / "root", tmp_path / "away"
    root.mkdir()
    away.mkdir()
    (root / "f").touch()
    (away / "hop").symlink_to(tmp_path)
    (root / "link").symlink_to(away / "hop")
    settle(root, away)
    index = index_of(root)
    assert index.current().files == ["f"]
    (away / "hop").unlink()
    (away / "hop").symlink_to(root / "f")
    assert index.current().files == ["f", "link"]


def test_a_link_to_an_empty_directory_is_empty_whether_followed_or_not(tmp_path: Path) -> None:
    (tmp_path / "root/real").mkdir(parents=True)
    (tmp_path / "root/link").symlink_to("real")
    for follow in (True, False):
        listing = index_of(tmp_path / "root", follow=follow).current()
        assert listing.empty_dirs == ["link", "real"]
        assert listing.dirs == ["link", "real"]


def test_hidden_names_are_in_no_list(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "a/hidden").symlink_to("../b")
    assert index_of(tmp_path).current().dirs == ["a"]
    (tmp_path / "hidden").rmdir()
    (tmp_path / "hidden").symlink_to("a")
    assert "hidden" not in index_of(tmp_path).current().links


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_directory_that_can_not_be_listed_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    (tmp_path / "link").symlink_to("locked")
    for follow in (True, False):
        assert index_of(tmp_path, follow=follow).current().empty_dirs == []


def test_a_directory_that_vanishes_during_the_walk_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "link").symlink_to("gone")
    real = os.scandir

    def scan(path: str) -> object:
        if path == str(tmp_path):
            return real(path)
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "scandir", scan)
    listing = index_of(tmp_path, follow=False).current()
    assert (listing.dirs, listing.empty_dirs) == (["gone", "link"], [])


def test_a_link_that_vanishes_during_the_walk_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to("gone")
    real = index_module._link_mark

    def mark_and_remove(path: str) -> tuple[str, int]:
        mark = real(path)
        if path.endswith("link"):
            os.unlink(path)  # noqa: PTH108
        return mark

    monkeypatch.setattr(index_module, "_link_mark", mark_and_remove)
    assert index_of(tmp_path).current().files == []


def test_a_settled_file_is_hashed_once(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")
    settle(tmp_path)
    hashes = Hashes("sha256")
    roots = Roots({"base": [str(tmp_path)]})
    found = roots.find("base", "f")
    assert found is not None
    assert hashes.known(found) is None
    for _ in range(3):
        assert hashes.compute(found) == hashlib.sha256(b"content").hexdigest()
    assert hashes.computed == 1


def test_a_file_changed_a_moment_ago_is_hashed_again(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")
    hashes = Hashes("sha256")
    found = Roots({"base": [str(tmp_path)]}).find("base", "f")
    assert found is not None
    hashes.compute(found)
    assert hashes.known(found) is None


def test_only_so_many_hashes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "HASHES_MOST", 3)
    for number in range(9):
        (tmp_path / str(number)).write_text(str(number))
    settle(tmp_path)
    hashes = Hashes("sha256")
    roots = Roots({"base": [str(tmp_path)]})
    found = [roots.find("base", str(number)) for number in range(9)]
    for each in found:
        assert each is not None
        hashes.compute(each)
    assert [bool(each and hashes.known(each)) for each in found] == [False] * 6 + [True] * 3


def test_what_took_the_place_of_a_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("f")
    (tmp_path / "link").symlink_to("f")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", "gone", "."):
        with pytest.raises(OSError, match=r".+"):
            open_regular(str(tmp_path / name))
    assert read_chunk(str(tmp_path / "f"), 0, 10) == b"f"


words = st.sampled_from(["..", ".", "", "one", "web", "outside", "secret", "up", "outdir", "out"])


@pytest.fixture(scope="module", name="tree")
def _tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("roots"))


@settings(max_examples=400)
@given(path=st.lists(words | st.text(max_size=5), max_size=7).map("/".join) | st.text(max_size=20))
def test_whatever_the_path_only_files_below_the_roots_are_found(tree: Path, path: str) -> None:
    roots = Roots({"base": [str(tree / "one")], "root": ["/"]})
    try:
        found = roots.find("base", path)
    except UnsafePath:
        return
    if found is not None:
        assert os.path.realpath(found.path).startswith(f"{tree}/one/")
        assert found.real == os.path.realpath(found.path)


def test_a_root_may_be_the_whole_file_system(tree: Path) -> None:
    found = Roots({"base": ["/"]}).find("base", str(tree / "one/top.sls")[1:])
    assert found is not None
    assert found.real == str(tree / "one/top.sls")


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_root_may_be_switched_to_another_tree_at_any_time(
    tmp_path: Path, is_removed: bool
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    root = tmp_path / "root"
    roots = Roots({"base": [str(root), str(tmp_path / "later")]})
    assert roots.find("base", "file") is None
    root.symlink_to("one")
    for name in ("one", "two"):
        (tmp_path / "new").symlink_to(name)
        (tmp_path / "new").replace(root)
        if is_removed and name == "two":
            (tmp_path / "one/file").unlink()
            (tmp_path / "one").rmdir()
        found = roots.find("base", "file")
        assert found is not None
        assert Path(found.real).read_text() == name
        assert found.path == str(root / "file")
    root.unlink()
    (tmp_path / "later").mkdir()
    (tmp_path / "later/file").write_text("later")
    found = roots.find("base", "file")
    assert found is not None
    assert found.real == str(tmp_path / "later/file")


def test_an_environment_that_does_not_exist_is_empty(tree: Path) -> None:
    roots = Roots({"base": [str(tree / "one")]})
    assert roots.listing("nope").files == ()
    assert roots.find("nope", "top.sls") is None


class Shelf:
    """A backend with one file, which may be gone when it is read."""

    def __init__(self, name: str, place: Path) -> None:
        self.name = name
        self._place = place

    def envs(self) -> list[str]:
        return ["base"]

    def listing(self, env: str) -> Listing:
        return Listing([self.name, "shared"], [], [], {"shared": f"{env}/{self.name}"})

    def find(self, env: str, path: str) -> Found | None:
        if path not in (self.name, "shared"):
            return None
        real = str(self._place)
        return Found(real, real, path, Path("/").stat())


@pytest.fixture(name="shelves")
def _shelves(tmp_path: Path) -> FileServer:
    (tmp_path / "second").write_text("second")
    backends = [Shelf(name, tmp_path / name) for name in ("first", "second")]
    return FileServer(backends, "sha256", 100)


def test_several_backends_are_one_file_server(shelves: FileServer) -> None:
    load = {"saltenv": "base", "prefix": ""}
    assert shelves.envs() == ["base"]
    assert shelves.file_list(PEER, load) == ["first", "second", "shared"]
    assert shelves.symlink_list(PEER, load) == {"shared": "base/first"}
    assert shelves.file_find(PEER, {**load, "path": "second"})["back"] == "second"
    assert shelves.file_find(PEER, {**load, "path": "shared"})["back"] == "first"


def test_a_file_that_is_gone_when_it_is_read_is_missing(shelves: FileServer) -> None:
    load = {"saltenv": "base", "path": "first", "loc": 0}
    reply = unpack(shelves.serve_file(PEER, load))
    assert BOX.loads(reply, nonce=PEER.nonce) == {"data": "", "dest": ""}
    assert shelves.file_hash_and_stat(PEER, load) == ["", None]


def test_many_who_ask_for_one_hash_wait_for_one_reading(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(1 << 20))
    settle(tmp_path)
    server = FileServer([Roots({"base": [str(tmp_path)]})], "sha256", 100)
    load = {"saltenv": "base", "path": "f"}
    asking = [gevent.spawn(server.file_hash, PEER, load) for _ in range(20)]
    assert len({str(each.get()) for each in asking}) == 1
    assert server.hashes.computed == 1
