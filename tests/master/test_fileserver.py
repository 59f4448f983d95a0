"""The file commands over the wire: every shape of docs/protocol.md 6.2, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from greensalt.errors import ConfigError
from tests._bench import Bench
from tests._peer import Peer
from tests.master._files import BUFFER_BYTES, LARGE, make_tree, serve

Make = Callable[..., Bench]


@pytest.fixture(name="minion")
def _minion(bench: Make, tmp_path: Path) -> Peer:
    return serve(bench, tmp_path)


def ask(minion: Peer, cmd: str, saltenv: Any = "base", **fields: Any) -> Any:
    return minion.request(cmd, saltenv=saltenv, **fields)


def fetch(minion: Peer, path: Any, **fields: Any) -> bytes:
    """The whole file, as a minion collects it."""
    pieces: list[bytes] = []
    while True:
        loc = sum(len(piece) for piece in pieces)
        piece = data_of(ask(minion, "_serve_file", path=path, loc=loc, **fields))
        if not piece:
            return b"".join(pieces)
        assert len(piece) <= BUFFER_BYTES
        pieces.append(piece)


def data_of(reply: dict[str, Any]) -> bytes:
    data = reply["data"]
    assert isinstance(data, str | bytes)
    raw = data.encode() if isinstance(data, str) else data
    return gzip.decompress(raw) if reply.get("gzip") else raw


def test_the_environments_are_named(minion: Peer) -> None:
    assert minion.request("_file_envs") == ["base", "dev"]


def test_the_files_of_all_roots_are_listed_once_and_sorted(minion: Peer) -> None:
    files = ask(minion, "_file_list", prefix="")
    assert files == sorted(set(files))
    assert {"top.sls", "empty", "web/init.sls", "only-here.txt", "link.sls", "broken"} <= {*files}
    assert ask(minion, "_file_list", "dev", prefix="") == ["top.sls"]


def test_what_can_never_be_served_is_not_listed(minion: Peer) -> None:
    assert not {"out", "abs", "fifo", "outdir/secret"} & {*ask(minion, "_file_list", prefix="")}
    assert "outdir" not in ask(minion, "_dir_list", prefix="")


def test_a_prefix_narrows_a_listing(minion: Peer) -> None:
    assert ask(minion, "_file_list", prefix="/web/files/") == ["web/files/large.bin"]
    assert ask(minion, "_dir_list", prefix="bare") == ["bare", "bare/inner"]
    assert ask(minion, "_symlink_list", prefix="link") == {"link.sls": "top.sls"}


def test_directories_and_empty_ones_are_listed(minion: Peer) -> None:
    dirs = ask(minion, "_dir_list", prefix="")
    assert {"web", "web/files", "bare", "bare/inner", "weblink", ".git"} <= {*dirs}
    assert ask(minion, "_file_list_emptydirs", prefix="") == ["bare/inner"]


def test_symlinks_are_listed_with_their_text(minion: Peer) -> None:
    links = ask(minion, "_symlink_list", prefix="")
    assert links["link.sls"] == "top.sls"
    assert links["across"] == "../two/only-here.txt"
    assert not {"out", "abs", "outdir"} & {*links}


def test_symlinks_to_directories_are_followed_but_not_in_a_circle(minion: Peer) -> None:
    files = ask(minion, "_file_list", prefix="weblink")
    assert "weblink/init.sls" in files
    assert not any("/up/" in path for path in files)


def test_symlinks_can_be_left_out_or_not_be_followed(bench: Make, tmp_path: Path) -> None:
    without = serve(bench, tmp_path / "a", fileserver_ignoresymlinks=True)
    assert ask(without, "_symlink_list", prefix="") == {}
    assert "link.sls" not in ask(without, "_file_list", prefix="")


def test_links_that_are_not_followed_are_listed_as_they_are(bench: Make, tmp_path: Path) -> None:
    minion = serve(bench, tmp_path, fileserver_followsymlinks=False)
    assert "weblink/init.sls" not in ask(minion, "_file_list", prefix="")
    assert ask(minion, "_symlink_list", prefix="out") == {
        "out": "../outside/secret",
        "outdir": "../outside",
    }
    assert fetch(minion, "out") == b""


def test_a_new_file_is_in_the_next_listing_and_a_removed_one_is_not(
    minion: Peer, tmp_path: Path
) -> None:
    for number in range(20):
        place = tmp_path / f"srv/one/web/files/{number}"
        place.write_text("")
        assert f"web/files/{number}" in ask(minion, "_file_list", prefix="web")
        place.unlink()
        assert f"web/files/{number}" not in ask(minion, "_file_list", prefix="web")


def test_an_environment_that_is_not_configured_has_nothing(minion: Peer) -> None:
    for saltenv in ("nope", "", "../base", None, "base\0", 7):
        assert ask(minion, "_file_list", saltenv, prefix="") == []
        assert ask(minion, "_symlink_list", saltenv, prefix="") == {}
        assert ask(minion, "_file_find", saltenv, path="top.sls") == {"path": "", "rel": ""}
        assert ask(minion, "_file_hash", saltenv, path="top.sls") == ""
        assert ask(minion, "_serve_file", saltenv, path="top.sls", loc=0) == MISSING


def test_a_file_is_found_with_ten_numbers(minion: Peer, tmp_path: Path) -> None:
    real = tmp_path / "srv/one/top.sls"
    found = ask(minion, "_file_find", path="top.sls")
    assert found == {
        "path": str(real),
        "rel": "top.sls",
        "back": "roots",
        "stat": list(real.stat())[:10],
    }
    assert ask(minion, "_file_find", path="gone") == {"path": "", "rel": ""}
    assert ask(minion, "_file_find", path="web") == {"path": "", "rel": ""}


def test_the_first_root_wins_and_the_second_fills_up(minion: Peer) -> None:
    assert fetch(minion, "top.sls") == b"base: {}\n"
    assert fetch(minion, "only-here.txt") == b"two"


def test_a_hash_comes_with_its_type_and_an_empty_text_stands_for_no_file(minion: Peer) -> None:
    wanted = {"hsum": hashlib.sha256(LARGE).hexdigest(), "hash_type": "sha256"}
    assert ask(minion, "_file_hash", path="web/files/large.bin") == wanted
    assert ask(minion, "_file_hash", path="gone") == ""
    both = ask(minion, "_file_hash_and_stat", path="web/files/large.bin")
    assert both[0] == wanted
    assert both[1][6] == len(LARGE)
    assert ask(minion, "_file_hash_and_stat", path="gone") == ["", None]


def test_the_hash_type_is_an_option(bench: Make, tmp_path: Path) -> None:
    minion = serve(bench, tmp_path, hash_type="md5")
    wanted = {"hsum": hashlib.md5(b"two").hexdigest(), "hash_type": "md5"}
    assert ask(minion, "_file_hash", path="only-here.txt") == wanted


def test_a_changed_file_has_another_hash_at_once(minion: Peer, tmp_path: Path) -> None:
    for content in (b"a", b"b", b"c", b"d"):
        (tmp_path / "srv/one/top.sls").write_bytes(content)
        wanted = hashlib.sha256(content).hexdigest()
        assert ask(minion, "_file_hash", path="top.sls")["hsum"] == wanted


MISSING = {"data": "", "dest": ""}


def test_a_file_comes_in_chunks_until_one_is_empty(minion: Peer) -> None:
    assert fetch(minion, "web/files/large.bin") == LARGE
    end = ask(minion, "_serve_file", path="web/files/large.bin", loc=len(LARGE))
    assert end == {"data": "", "dest": "web/files/large.bin"}
    beyond = ask(minion, "_serve_file", path="web/files/large.bin", loc=2**63)
    assert beyond == end


def test_an_empty_file_is_not_a_missing_one(minion: Peer) -> None:
    assert ask(minion, "_serve_file", path="empty", loc=0) == {"data": "", "dest": "empty"}
    assert ask(minion, "_serve_file", path="gone", loc=0) == MISSING


def test_chunks_are_compressed_on_request(minion: Peer) -> None:
    reply = ask(minion, "_serve_file", path="web/files/large.bin", loc=0, gzip=5)
    assert reply["gzip"] == 5
    assert data_of(reply) == LARGE[:BUFFER_BYTES]
    assert fetch(minion, "web/files/large.bin", gzip=9) == LARGE
    assert "gzip" not in ask(minion, "_serve_file", path="empty", loc=0, gzip=5)


@pytest.mark.parametrize(
    "fields", [{"loc": -1}, {"loc": "0"}, {"loc": None}, {"loc": 0, "gzip": 11}, {"loc": True}]
)
def test_a_request_for_no_possible_chunk_is_refused(minion: Peer, fields: Any) -> None:
    assert ask(minion, "_serve_file", path="top.sls", **fields) == ""


def test_a_path_may_name_its_environment_and_be_taken_literally(minion: Peer) -> None:
    assert fetch(minion, "top.sls?saltenv=dev") == b"dev: {}\n"
    assert fetch(minion, "|web/name with ? and |") == b"odd"
    assert fetch(minion, "web/name with ? and |") == b""
    assert fetch(minion, "top.sls?saltenv=../base") == b""


UNSAFE = [
    "/etc/passwd",
    "//etc/passwd",
    "../outside/secret",
    "web/../../outside/secret",
    "web/../top.sls",
    "..",
    ".",
    "",
    "top.sls\0",
    "|/etc/passwd",
    "|../outside/secret",
    "||../outside/secret",
    "?saltenv=base",
    "out",
    "abs",
    "outdir/secret",
    "web/up/out",
    "weblink/../../outside/secret",
    "fifo",
    "broken",
    "web",
    "a" * 300,
    "a/" * 5000,
    b"\xff\xfe/../../x",
    "file:///etc/passwd",
    "top.sls/",
    "top.sls/.",
    "..\\outside\\secret",
    "%2e%2e/outside/secret",
]


@pytest.mark.parametrize("path", UNSAFE, ids=lambda path: repr(path)[:30])
def test_nothing_outside_the_roots_is_served(minion: Peer, path: Any) -> None:
    if path in ("top.sls/", "top.sls/."):
        assert fetch(minion, path) == b"base: {}\n"
        return
    assert ask(minion, "_serve_file", path=path, loc=0) == MISSING
    assert ask(minion, "_file_find", path=path) == {"path": "", "rel": ""}
    assert ask(minion, "_file_hash", path=path) == ""
    assert ask(minion, "_file_hash_and_stat", path=path) == ["", None]


@pytest.mark.parametrize("path", [["top.sls"], {"a": 1}, None])
def test_a_path_that_is_no_text_is_refused(minion: Peer, path: Any) -> None:
    assert ask(minion, "_serve_file", path=path, loc=0) in ("", MISSING)


def test_a_symlink_to_another_root_of_the_environment_is_served(minion: Peer) -> None:
    assert fetch(minion, "across") == b"two"
    assert fetch(minion, "weblink/init.sls") == b"nothing: test.nop\n"


def test_a_name_that_is_not_utf_8_travels(minion: Peer, tmp_path: Path) -> None:
    name = b"caf\xe9.txt"
    (tmp_path / "srv/dev" / os.fsdecode(name)).write_text("latin")
    assert ask(minion, "_file_list", "dev", prefix="") == [name, "top.sls"]
    assert ask(minion, "_serve_file", "dev", path=name, loc=0) == {"data": "latin", "dest": name}


def test_ignored_files_are_neither_listed_nor_served(bench: Make, tmp_path: Path) -> None:
    options = {"file_ignore_regex": [r"/\.git($|/)"], "file_ignore_glob": ["*.bin"]}
    minion = serve(bench, tmp_path, **options)
    assert ".git" not in ask(minion, "_dir_list", prefix="")
    assert not {".git/config", "web/files/large.bin"} & {*ask(minion, "_file_list", prefix="")}
    assert fetch(minion, ".git/config") == b""
    assert fetch(minion, "web/files/large.bin") == b""
    assert fetch(minion, "top.sls") != b""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"file_ignore_regex": ["("]}, "file_ignore_regex"),
        ({"fileserver_backend": ["roots", "gitfs"]}, "gitfs"),
    ],
)
def test_options_that_can_not_be_are_named(bench: Make, options: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        bench(**options)


def test_a_root_that_does_not_exist_yet_is_empty_until_it_does(bench: Make, tmp_path: Path) -> None:
    minion = bench(auto_accept=True, file_roots={"base": [str(tmp_path / "new")]}).peer()
    assert ask(minion, "_file_list", prefix="") == []
    (tmp_path / "new").mkdir()
    (tmp_path / "new/a").write_text("A")
    assert ask(minion, "_file_list", prefix="") == ["a"]
    assert fetch(minion, "a") == b"A"


def test_a_root_may_be_a_symlink_that_is_switched(bench: Make, tmp_path: Path) -> None:
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    current = tmp_path / "current"
    current.symlink_to("v1")
    minion = bench(auto_accept=True, file_roots={"base": [str(current)]}).peer()
    assert ask(minion, "_file_list", prefix="") == ["v1"]
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").rename(current)
    assert ask(minion, "_file_list", prefix="") == ["v2"]
    assert fetch(minion, "v2") == b"v2"


def test_the_masters_options_for_states(minion: Peer) -> None:
    few = minion.request("_master_opts", env_only=True)
    assert few == {
        "file_roots": {"base": [], "dev": []},
        "top_file_merging_strategy": "merge",
        "env_order": [],
        "default_top": "base",
    }
    assert minion.request("_master_opts") == {
        **few,
        "renderer": "jinja|yaml",
        "failhard": False,
        "state_top": "top.sls",
        "state_top_saltenv": None,
        "nodegroups": {},
        "state_auto_order": True,
        "state_events": False,
        "state_aggregate": False,
        "jinja_env": {},
        "jinja_sls_env": {},
        "jinja_lstrip_blocks": False,
        "jinja_trim_blocks": False,
    }


def test_there_are_no_tops_from_outside(minion: Peer) -> None:
    assert minion.request("_master_tops", opts={"id": "m1"}) == {}


@pytest.fixture(name="slow_disk")
def _slow_disk(tmp_path: Path) -> Iterator[Path]:
    """A large sparse file: reading it all takes a while, making it takes none."""
    srv = make_tree(tmp_path)
    large = srv / "one/sparse"
    with large.open("wb") as file:
        file.truncate(1 << 30)
    yield srv
    large.unlink()


def test_a_large_file_being_hashed_does_not_hold_up_others(bench: Make, slow_disk: Path) -> None:
    made = bench(auto_accept=True, file_roots={"base": [str(slow_disk / "one")]})
    hasher, other = made.peer("m1"), made.peer("m2")
    hashing = gevent.spawn(ask, hasher, "_file_hash", path="sparse")
    answers = 0
    while not hashing.ready():
        assert other.request("_file_envs") == ["base"]
        answers += 1
    assert hashing.get()["hsum"]
    assert answers > 20
