"""Files of the master: `cp` and `cmd.script`, with the real file server at the other end."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from greensalt.config import MasterConfig
from greensalt.crypto.crypticle import Crypticle, generate_key_string
from greensalt.errors import MalformedMessage, RequestRefused
from greensalt.master.fileserver.receive import Receiver
from greensalt.master.fileserver.server import file_server
from greensalt.master.sessions import Peer
from greensalt.minion.files import as_bytes, parse_url
from greensalt.serializers import MSGPACK
from greensalt.wire.dialect import pack, unpack
from tests._calls import Caller
from tests._peer import key

LARGE = bytes(range(256)) * 20


class MasterFiles:
    """Answers file requests as a master does, the wire's dialect included.

    `change` is called before each.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requests: list[dict[str, Any]] = []
        self.change: Any = lambda load: None
        self.server = file_server(
            MasterConfig(
                file_roots={"base": (str(root / "base"),), "dev": (str(root / "dev"),)},
                file_buffer_size=1000,
            )
        )
        self.receiver = Receiver(root / "cache", enabled=True, most_bytes=1 << 20)
        box = Crypticle(generate_key_string())
        self.peer = Peer(
            "mouse", "0" * 32, key().public, box, "OAEP-SHA1", "PKCS1v15-SHA1", MSGPACK
        )

    def request(self, load: dict[str, Any]) -> Any:
        self.requests.append(load)
        self.change(load)
        asked, command = unpack(pack(load)), load["cmd"]
        if command == "_serve_file":
            sealed = unpack(self.server.serve_file(self.peer, asked))
            return self.peer.crypticle.loads(as_bytes(sealed), nonce=self.peer.nonce)
        if command == "_file_recv":
            return self.receiver.take(self.peer, asked)
        handler = getattr(self.server, command.removeprefix("_"))
        return unpack(pack(handler(self.peer, asked)))

    def count(self, command: str) -> int:
        return [load["cmd"] for load in self.requests].count(command)


@pytest.fixture(name="master")
def _master(
    tmp_path: Path, minion: Caller, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MasterFiles]:
    root = tmp_path / "master"
    for name, content in {
        "base/one.txt": b"one",
        "base/large.bin": LARGE,
        "base/empty": b"",
        "base/web/a": b"a",
        "base/web/deep/b": b"b",
        "base/website": b"not in web",
        "base/what?|": b"odd",
        "base/run.sh": b"#!/bin/sh\necho ran $1\n",
        "dev/one.txt": b"dev",
    }.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    (root / "base/web/hollow").mkdir()
    served = MasterFiles(root)
    monkeypatch.setattr(minion.ear, "request", served.request)
    with gevent.Timeout(60):
        yield served


@pytest.mark.usefixtures("master")
class TestWithAMaster:
    """Everything that needs a master."""

    def test_a_file_is_fetched(self, minion: Caller, tmp_path: Path) -> None:
        for name in ("one.txt", "large.bin", "empty"):
            dest = str(tmp_path / name)
            assert minion.call("cp.get_file", f"salt://{name}", dest) == dest
            assert Path(dest).read_bytes() == (tmp_path / "master/base" / name).read_bytes()

    def test_a_file_comes_compressed_on_request(
        self, minion: Caller, master: MasterFiles, tmp_path: Path
    ) -> None:
        minion.call("cp.get_file", "salt://large.bin", str(tmp_path / "x"), gzip=9)
        assert (tmp_path / "x").read_bytes() == LARGE
        assert any(load.get("gzip") == 9 for load in master.requests)

    def test_a_destination_may_be_a_directory_or_have_to_be_made(
        self, minion: Caller, tmp_path: Path
    ) -> None:
        assert minion.call("cp.get_file", "salt://web/a", str(tmp_path)) == str(tmp_path / "a")
        deep = str(tmp_path / "x/y/a")
        assert minion.call("cp.get_file", "salt://web/a", deep) is False
        assert minion.call("cp.get_file", "salt://web/a", deep, makedirs=True) == deep
        assert "absolute" in minion.job("cp.get_file", "salt://web/a", "x").ret
        assert "template" in minion.job("cp.get_file", "salt://a", "/x", template="jinja").ret
        assert "template" in minion.job("cp.get_dir", "salt://a", "/x", template="jinja").ret

    def test_a_fetched_file_keeps_the_mode_and_the_symlink_of_the_old_one(
        self, minion: Caller, tmp_path: Path
    ) -> None:
        old = tmp_path / "old"
        old.write_text("old")
        old.chmod(0o600)
        (tmp_path / "link").symlink_to("old")
        minion.call("cp.get_file", "salt://one.txt", str(tmp_path / "link"))
        assert (tmp_path / "link").is_symlink()
        assert (old.read_text(), old.stat().st_mode & 0o777) == ("one", 0o600)

    def test_a_file_that_is_not_there_gives_nothing(self, minion: Caller, tmp_path: Path) -> None:
        for name in ("gone", "../secret", "/etc/passwd", "web"):
            assert minion.call("cp.get_file", f"salt://{name}", str(tmp_path / "x")) == ""
            assert minion.call("cp.hash_file", f"salt://{name}") == {}
        assert minion.call("cp.cache_file", "salt://gone") == ""
        assert minion.call("cp.get_file_str", "salt://gone") is False
        assert not (tmp_path / "x").exists()

    def test_the_environment_is_an_argument_or_in_the_name(self, minion: Caller) -> None:
        assert minion.call("cp.get_file_str", "salt://one.txt") == "one"
        assert minion.call("cp.get_file_str", "salt://one.txt", saltenv="dev") == "dev"
        assert minion.call("cp.get_file_str", "salt://one.txt?saltenv=dev") == "dev"
        assert minion.call("cp.get_file_str", "salt://|what?|") == "odd"
        assert minion.call("cp.get_file_str", "one.txt?x=y&saltenv=dev") == "dev"

    def test_a_cached_file_is_fetched_again_only_when_it_has_changed(
        self, minion: Caller, master: MasterFiles
    ) -> None:
        place = minion.directory / "cache/files/base/one.txt"
        assert minion.call("cp.is_cached", "salt://one.txt") == ""
        for _ in range(3):
            assert minion.call("cp.cache_file", "salt://one.txt") == str(place)
        assert master.count("_serve_file") == 2  # the file, and its end
        (master.root / "base/one.txt").write_text("two")
        minion.call("cp.cache_file", "salt://one.txt")
        assert place.read_text() == "two"
        assert minion.call("cp.is_cached", "salt://one.txt") == str(place)
        both = minion.call("cp.cache_files", "salt://one.txt,salt://gone")
        assert both == [str(place), ""]

    def test_a_file_of_the_minion_itself_is_taken_where_it_is(
        self, minion: Caller, tmp_path: Path
    ) -> None:
        (tmp_path / "own").touch()
        assert minion.call("cp.cache_file", str(tmp_path / "own")) == str(tmp_path / "own")
        assert minion.call("cp.cache_file", f"file://{tmp_path}/own") == str(tmp_path / "own")
        assert minion.call("cp.cache_file", "/no/such/file") == ""
        assert "can't fetch http://x/y" in minion.job("cp.cache_file", "http://x/y").ret

    @pytest.mark.parametrize(
        ("name", "env"),
        [("../../x", "base"), ("/etc/x", "base"), ("x", "../.."), ("x", "/etc"), ("", "base")],
    )
    def test_nothing_is_kept_outside_the_cache(
        self, minion: Caller, monkeypatch: pytest.MonkeyPatch, name: str, env: str
    ) -> None:
        """Whatever the master would serve."""
        hsum = {"hsum": hashlib.sha256(b"").hexdigest(), "hash_type": "sha256"}
        answers = {"_file_hash": hsum, "_serve_file": {"data": "", "dest": "x"}}
        monkeypatch.setattr(minion.ear, "request", lambda load: answers[load["cmd"]])
        outcome = minion.job("cp.cache_file", f"salt://{name}", saltenv=env)
        assert not outcome.success
        assert "there can't be such a file" in outcome.ret
        assert not (minion.directory / "cache").exists()

    def test_a_directory_is_copied_with_its_empty_ones(
        self, minion: Caller, tmp_path: Path
    ) -> None:
        dest = tmp_path / "copy"
        made = minion.call("cp.get_dir", "salt://web", str(dest))
        assert made == [str(dest / f"web/{name}") for name in ("a", "deep/b", "hollow")]
        assert (dest / "web/deep/b").read_text() == "b"
        deep = minion.call("cp.get_dir", "salt://web/deep/", str(dest))
        assert deep == [str(dest / "deep/b")]

    def test_the_master_is_asked_what_it_has(self, minion: Caller, master: MasterFiles) -> None:
        (master.root / "base/link").symlink_to("one.txt")
        assert minion.call("cp.envs") == ["base", "dev"]
        assert minion.call("cp.list_master", saltenv="dev") == ["one.txt"]
        assert (
            minion.call("cp.list_master", prefix="web/") == ["web/a", "web/deep/b", "website"][:3]
        )
        assert minion.call("cp.list_master_dirs", prefix="web") == ["web", "web/deep", "web/hollow"]
        assert minion.call("cp.list_master_symlinks") == {"link": "one.txt"}
        wanted = {"hsum": hashlib.sha256(b"one").hexdigest(), "hash_type": "sha256"}
        assert minion.call("cp.hash_file", "salt://one.txt") == wanted

    def test_a_file_that_changes_meanwhile_is_fetched_anew(
        self, minion: Caller, master: MasterFiles, tmp_path: Path
    ) -> None:
        changes = iter([b"x" * 3000])

        def change(load: dict[str, Any]) -> None:
            if load.get("loc") == 1000 and (content := next(changes, None)):
                (master.root / "base/large.bin").write_bytes(content)

        master.change = change
        minion.call("cp.get_file", "salt://large.bin", str(tmp_path / "x"))
        assert (tmp_path / "x").read_bytes() == b"x" * 3000

    def test_a_file_that_never_stands_still_is_an_error(
        self, minion: Caller, master: MasterFiles, tmp_path: Path
    ) -> None:
        def change(load: dict[str, Any]) -> None:
            if load["cmd"] == "_serve_file":
                (master.root / "base/one.txt").write_text(str(len(master.requests)))

        master.change = change
        dest = tmp_path / "made/x"
        dest.parent.mkdir()
        outcome = minion.job("cp.get_file", "salt://one.txt", str(dest))
        assert "changes while it is fetched" in outcome.ret
        assert list(dest.parent.iterdir()) == []

    def test_a_file_that_goes_meanwhile_is_not_there(
        self, minion: Caller, master: MasterFiles, tmp_path: Path
    ) -> None:
        def remove(load: dict[str, Any]) -> None:
            if load["cmd"] == "_serve_file":
                (master.root / "base/one.txt").unlink(missing_ok=True)

        master.change = remove
        assert minion.call("cp.get_file", "salt://one.txt", str(tmp_path / "x")) == ""
        assert not (tmp_path / "x").exists()

    def test_the_next_chunk_of_a_large_file_is_asked_for_before_one_has_come(
        self, master: MasterFiles, tmp_path: Path
    ) -> None:
        asked: defaultdict[int, Event] = defaultdict(Event)
        early: list[bool] = []

        def change(load: dict[str, Any]) -> None:
            if load["cmd"] == "_serve_file":
                asked[load["loc"]].set()
                if load["loc"] in (1000, 3000):
                    early.append(asked[load["loc"] + 1000].wait(20))

        master.change = change
        other = Caller(tmp_path / "other", file_buffer_size=1000)
        other.ear.request = master.request  # type: ignore[method-assign]
        other.call("cp.get_file", "salt://large.bin", str(tmp_path / "x"))
        assert (tmp_path / "x").read_bytes() == LARGE
        assert early == [True, True]
        assert master.count("_serve_file") == 8  # with the end, and one that was asked in vain

    def test_what_is_no_file_any_more_in_the_middle_is_not_kept(
        self, master: MasterFiles, tmp_path: Path
    ) -> None:
        def fail(load: dict[str, Any]) -> None:
            if load.get("loc") == 2000:
                raise RequestRefused("no more")

        master.change = fail
        other = Caller(tmp_path / "other", file_buffer_size=1000)
        other.ear.request = master.request  # type: ignore[method-assign]
        dest = tmp_path / "made/x"
        dest.parent.mkdir()
        outcome = other.job("cp.get_file", "salt://large.bin", str(dest))
        assert (outcome.success, "no more" in outcome.ret) == (False, True)
        assert list(dest.parent.iterdir()) == []

    def test_files_are_pushed(self, minion: Caller, master: MasterFiles, tmp_path: Path) -> None:
        source = tmp_path / "up"
        kept = master.root / "cache/minions/mouse/files"
        for content in (LARGE * 60, b"", b"x"):
            source.write_bytes(content)
            assert minion.call("cp.push", str(source)) is True
            assert (kept / str(source)[1:]).read_bytes() == content
        assert minion.call("cp.push", str(source), upload_path="/a/b", remove_source=True) is True
        assert (kept / "a/b").read_bytes() == b"x"
        assert not source.exists()

    def test_what_can_not_be_pushed_is_not(self, minion: Caller, tmp_path: Path) -> None:
        large = tmp_path / "large"
        large.write_bytes(bytes((1 << 20) + 1))
        assert minion.call("cp.push", str(large)) is False
        for path in ("relative", "/no/such/file", f"{tmp_path}/../x", str(tmp_path)):
            assert minion.call("cp.push", path) is False
        assert minion.call("cp.push", str(large), upload_path="../../x") is False

    def test_a_script_of_the_master_runs(self, minion: Caller) -> None:
        result = minion.call("cmd.script", "salt://run.sh", "well")
        assert (result["stdout"], result["retcode"]) == ("ran well", 0)


def test_names_of_files_are_read_as_the_master_reads_them() -> None:
    assert parse_url("salt://a/b", "base") == ("a/b", "base")
    assert parse_url("a?saltenv=dev&x", "base") == ("a", "dev")
    assert parse_url("salt://|a?saltenv=dev", "base") == ("a?saltenv=dev", "base")
    assert parse_url("|a", "base").load == {"path": "a", "saltenv": "base"}
    assert parse_url("||a", "base").load == {"path": "||a", "saltenv": "base"}


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"_serve_file": "bad"}, "can't serve"),
        ({"_serve_file": {"data": 7}}, "content of a file is a int"),
        ({"_file_hash": {"hsum": "0", "hash_type": "rot13"}}, "hash type"),
    ],
)
def test_answers_that_make_no_sense_are_errors(
    minion: Caller, monkeypatch: pytest.MonkeyPatch, answers: Any, words: str, tmp_path: Path
) -> None:
    sent = gzip.compress(b"x")
    usual = {
        "_file_hash": {"hsum": "0", "hash_type": "sha256"},
        "_serve_file": {"data": "", "dest": "x", "gzip": sent},
    }
    monkeypatch.setattr(minion.ear, "request", lambda load: {**usual, **answers}[load["cmd"]])
    outcome = minion.job("cp.get_file", "salt://x", str(tmp_path / "x"))
    assert words in outcome.ret
    assert [name for name in os.listdir(tmp_path) if "x" in name] == []  # noqa: PTH208


def test_text_and_bytes_are_the_same_content() -> None:
    assert as_bytes("ü") == "ü".encode()
    with pytest.raises(MalformedMessage):
        as_bytes(None)
