"""Files. That results are Salt's is compared in tests/interop; here is what they do to the disk."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from tests._calls import Caller

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text("one\ntwo\nthree\n")
    path.chmod(0o640)
    return path


def test_a_home_directory_is_understood(
    minion: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert minion.call("file.file_exists", "~/text") is True
    assert minion.call("file.read", "~/text") == "one\ntwo\nthree\n"
    assert minion.call("file.file_exists", "~no-such-user/text") is False


@pytest.mark.parametrize(
    ("fun", "arguments"),
    [
        ("file.replace", ["two", "2", {"__kwarg__": True, "preserve_inode": False}]),
        ("file.replace", ["two", "2"]),
        ("file.comment", ["two"]),
        ("file.blockreplace", ["#<", "#>", "x", True]),
        ("file.line", ["zero", {"__kwarg__": True, "mode": "insert", "location": "start"}]),
    ],
)
def test_an_edit_keeps_owner_and_mode_and_leaves_nothing_else(
    minion: Caller, text: Path, fun: str, arguments: list[object]
) -> None:
    if os.geteuid() == 0:
        os.chown(text, 1, 2)
    before = text.stat()
    present = set(text.parent.iterdir())
    minion.call(fun, str(text), *arguments)
    after = text.stat()
    assert text.read_text() != "one\ntwo\nthree\n"
    assert (after.st_uid, after.st_gid, after.st_mode) == (
        before.st_uid,
        before.st_gid,
        before.st_mode,
    )
    new = {path.name for path in set(text.parent.iterdir()) - present}
    assert new <= {"text.bak"}
    if new:
        backup = text.with_name("text.bak")
        assert backup.read_text() == "one\ntwo\nthree\n"
        assert backup.stat().st_mode == before.st_mode


def test_other_names_of_an_edited_file_stay_its_names(minion: Caller, text: Path) -> None:
    other = text.with_name("other")
    other.hardlink_to(text)
    minion.call("file.replace", str(text), "one", "1")
    assert other.read_text().startswith("1\n")
    minion.call("file.replace", str(text), "two", "2", preserve_inode=False)
    assert "two" in other.read_text()


def test_bytes_that_are_no_text_survive_an_edit(minion: Caller, tmp_path: Path) -> None:
    path = tmp_path / "latin"
    path.write_bytes(b"caf\xe9\r\ntwo\r\nthree three three three\r\n")
    minion.call("file.replace", str(path), "two", "2")
    assert path.read_bytes() == b"caf\xe9\r\n2\r\nthree three three three\r\n"
    minion.call("file.line", str(path), "new", mode="insert", after="^2")
    assert path.read_bytes().startswith(b"caf\xe9\r\n2\r\nnew\r\n")


def test_a_file_can_be_edited_in_its_own_encoding(minion: Caller, tmp_path: Path) -> None:
    path = tmp_path / "wide"
    path.write_text("grüße\n", encoding="utf-16")
    minion.call("file.replace", str(path), "ü", "ue", encoding="utf-16")
    assert path.read_text(encoding="utf-16") == "grueße\n"


def test_wrong_patterns_are_named(minion: Caller, text: Path) -> None:
    assert "invalid regular expression '('" in minion.job("file.replace", str(text), "(", "x").ret
    assert "invalid replacement" in minion.job("file.replace", str(text), "one", "\\9").ret
    assert "Invalid re flag given: NOSUCH" in (
        minion.job("file.search", str(text), "x", flags="NOSUCH").ret
    )
    assert "must be given either" in minion.job("file.search", str(text), "x", flags={"a": 1}).ret
    assert text.read_text() == "one\ntwo\nthree\n"


def test_a_text_is_found_across_the_blocks_of_a_large_file(minion: Caller, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * ((1 << 18) - 3) + b"needle" + b"y" * 100)
    assert minion.call("file.contains", str(path), "needle") is True
    assert minion.call("file.contains", str(path), "noodle") is False
    assert minion.call("file.contains", str(path), "") is True


def test_a_line_is_put_where_it_belongs(minion: Caller, tmp_path: Path) -> None:
    path = tmp_path / "conf"

    def edited(content: str | None, **where: object) -> str:
        path.write_text("[a]\n  x = 1\n[b]\n")
        minion.call("file.line", str(path), content, **where)
        return path.read_text()

    assert edited("end", mode="insert", location="end") == "[a]\n  x = 1\n[b]\nend\n"
    assert edited("y = 2", mode="insert", after="x = 1") == "[a]\n  x = 1\n  y = 2\n[b]\n"
    assert edited("y = 2", mode="insert", after="x = 1", indent=False) == (
        "[a]\n  x = 1\ny = 2\n[b]\n"
    )
    assert edited("x = 2", mode="replace", match="x = ") == "[a]\n  x = 2\n[b]\n"
    assert edited(None, mode="delete", match="x = ") == "[a]\n[b]\n"
    assert edited("x = 1", mode="ensure", after=r"\[a", before=r"\[b") == "[a]\n  x = 1\n[b]\n"
    assert edited("z", mode="ensure", after=r"\[a", before=r"\[b") == "[a]\nz\n[b]\n"


def test_a_line_edit_can_keep_a_dated_copy(minion: Caller, text: Path) -> None:
    minion.call("file.line", str(text), "x", mode="insert", location="end", backup=True)
    copies = [path for path in text.parent.iterdir() if path.name.startswith("text.2")]
    assert [copy.read_text() for copy in copies] == ["one\ntwo\nthree\n"]


def test_lines_are_added_to_a_file_that_ends_in_the_middle_of_one(
    minion: Caller, tmp_path: Path
) -> None:
    path = tmp_path / "half"
    path.write_text("half")
    minion.call("file.append", str(path), "new", "newer")
    assert path.read_text() == "half\nnew\nnewer\n"
    minion.call("file.prepend", str(path), "first")
    assert path.read_text() == "first\nhalf\nnew\nnewer\n"


def test_positions_in_a_file_can_be_read_and_written(minion: Caller, text: Path) -> None:
    assert minion.call("file.seek_write", str(text), "TWO", 4) == 3
    assert minion.call("file.seek_read", str(text), 5, 3) == b"\nTWO\n"
    minion.call("file.truncate", str(text), 3)
    assert text.read_text() == "one"


def test_directories_are_made_with_the_mode_that_is_wanted(minion: Caller, tmp_path: Path) -> None:
    minion.call("file.mkdir", str(tmp_path / "a" / "b"), mode="0750")
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o750
    ret = minion.job("file.mkdir", str(tmp_path / "c"), mode="rwx").ret
    assert "Invalid Mode rwx" in ret


@AS_ROOT
def test_files_are_given_to_users_and_groups(minion: Caller, text: Path) -> None:
    assert minion.call("file.chown", str(text), "daemon", "bin") is None
    assert minion.call("file.get_user", str(text)) == "daemon"
    assert minion.call("file.get_group", str(text)) == "bin"
    link = text.with_name("link")
    link.symlink_to(text)
    assert minion.call("file.lchown", str(link), "bin", "bin") is None
    assert minion.call("file.get_user", str(link), follow_symlinks=False) == "bin"
    assert minion.call("file.get_user", str(link)) == "daemon"
    assert minion.call("file.chgrp", str(text), "daemon") is None
    assert minion.call("file.get_group", str(text)) == "daemon"
    assert "User does not exist" in minion.call("file.lchown", str(text), "nobody-at-all", "bin")


def test_a_link_to_nowhere_is_a_link_still(minion: Caller, tmp_path: Path) -> None:
    link = tmp_path / "dangling"
    link.symlink_to(tmp_path / "nowhere")
    assert minion.call("file.is_link", str(link)) is True
    assert minion.call("file.file_exists", str(link)) is False
    assert minion.call("file.stats", str(link))["type"] == "link"
    assert minion.call("file.remove", str(link)) is True
    assert not link.is_symlink()


def test_links_are_found_by_their_type(minion: Caller, text: Path) -> None:
    (text.parent / "link").symlink_to(text)
    found = minion.call("file.find", str(text.parent), type="l", print="name")
    assert found == ["link"]


def test_removing_a_link_to_a_directory_spares_the_directory(
    minion: Caller, tmp_path: Path
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    assert minion.call("file.remove", str(tmp_path / "tree")) is True
    assert (tmp_path / "kept" / "file").exists()


def test_a_failed_atomic_link_leaves_nothing_behind(minion: Caller, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    ret = minion.job("file.symlink", "/etc", str(tmp_path / "full"), atomic=True).ret
    assert "Could not create" in ret
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_empty_directories_are_removed_by_age(minion: Caller, tmp_path: Path) -> None:
    for name, days in (("old", 10), ("new", 0)):
        path = tmp_path / "d" / name
        path.mkdir(parents=True)
        os.utime(path, (time.time() - days * 86400,) * 2)
    ret = minion.call("file.rmdir", str(tmp_path / "d"), recurse=True, verbose=True, older_than=5)
    assert ret["deleted"] == [str(tmp_path / "d" / "old")]
    assert "a number of days" in minion.job("file.rmdir", str(tmp_path), older_than="soon").ret


def test_usage_counts_a_file_with_two_names_once(minion: Caller, tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    (directory / "a").write_bytes(b"x" * 1000)
    (directory / "b").hardlink_to(directory / "a")
    (directory / "c").symlink_to("nowhere")
    assert minion.call("file.diskusage", str(directory)) == 1000


def test_open_files_are_seen_from_both_sides(minion: Caller, text: Path) -> None:
    with text.open():
        assert os.getpid() in minion.call("file.open_files")[str(text)]
        assert str(text) in minion.call("file.open_files", by_pid=True)[os.getpid()]


def test_the_file_system_below_a_path_is_described(minion: Caller, tmp_path: Path) -> None:
    assert minion.call("file.statvfs", str(tmp_path))["f_blocks"] > 0
    assert minion.call("file.lstat", str(tmp_path))["st_nlink"] >= 2


def test_found_files_can_be_deleted_or_given_to_a_command(minion: Caller, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    for name in ("a b.log", "c.log", "sub/d.log", "keep.txt"):
        (tree / name).write_text("x")
    ran = minion.call("file.find", str(tree), name="a b.log", exec="echo found {}")
    assert ran == [f"echo found {tree}/a b.log:\nfound {tree}/a b.log\n\n"]
    assert minion.call("file.find", str(tree), name="c.log", exec="no-such-program {}") == [
        f"{tree}/c.log: Failed"
    ]
    assert len(minion.call("file.find", str(tree), "delete", name="*.log")) == 3
    assert minion.call("file.find", str(tree), delete="d", mindepth=1) == [str(tree / "sub")]
    assert [path.name for path in tree.iterdir()] == ["keep.txt"]
