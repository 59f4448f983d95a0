"""What minions push to the master: `_file_recv` (docs/protocol.md 6.2, 9.2)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from greensalt.errors import UnsafePath
from greensalt.master.fileserver.receive import _names, write_below
from tests._bench import Bench
from tests._peer import Peer

Make = Callable[..., Bench]


@pytest.fixture(name="pair")
def _pair(bench: Make) -> tuple[Peer, Path]:
    """A minion that may push up to a MiB, and where its files are to come."""
    made = bench(auto_accept=True, file_recv=True, file_recv_max_size=1)
    return made.peer("m1"), Path(made.config.cachedir) / "minions/m1/files"


def push(minion: Peer, path: Any, data: Any = b"x", loc: Any = 0, **fields: Any) -> Any:
    size = fields.pop("size", len(data) if hasattr(data, "__len__") else 0)
    return minion.request("_file_recv", path=path, loc=loc, size=size, data=data, **fields)


def tree(directory: Path) -> list[str]:
    return sorted(os.fspath(path.relative_to(directory)) for path in directory.rglob("*"))


def test_pushing_is_off_unless_the_master_allows_it(bench: Make) -> None:
    made = bench(auto_accept=True)
    assert push(made.peer("m1"), ["etc", "fstab"]) is False
    assert not (Path(made.config.cachedir) / "minions").exists()


def test_a_file_comes_in_pieces(pair: tuple[Peer, Path]) -> None:
    minion, place = pair
    whole = bytes(range(256)) * 10
    for loc in range(0, len(whole), 1000):
        assert push(minion, ["var", "log", "x"], whole[loc : loc + 1000], loc, size=len(whole))
    assert push(minion, ["var", "log", "x"], b"", len(whole), size=len(whole)) is True
    assert (place / "var/log/x").read_bytes() == whole


def test_only_the_master_can_read_what_was_pushed(pair: tuple[Peer, Path]) -> None:
    minion, place = pair
    push(minion, ["a", "b"])
    assert stat.S_IMODE((place / "a/b").stat().st_mode) == 0o600
    assert stat.S_IMODE((place / "a").stat().st_mode) == 0o700


def test_a_piece_that_comes_twice_changes_nothing(pair: tuple[Peer, Path]) -> None:
    minion, place = pair
    for loc, data in ((0, b"one"), (3, b"two"), (3, b"two"), (6, b"")):
        assert push(minion, ["f"], data, loc) is True
    assert (place / "f").read_bytes() == b"onetwo"


def test_a_push_from_the_start_replaces_the_old_file(pair: tuple[Peer, Path]) -> None:
    minion, place = pair
    push(minion, ["f"], b"long and old")
    assert push(minion, ["f"], b"new") is True
    assert (place / "f").read_bytes() == b"new"
    assert push(minion, ["f"], b"") is True
    assert (place / "f").read_bytes() == b""


def test_text_arrives_as_the_bytes_it_was(pair: tuple[Peer, Path]) -> None:
    minion, place = pair
    assert push(minion, ["f"], "grün ☃".encode()) is True
    assert (place / "f").read_bytes() == "grün ☃".encode()


def test_a_name_that_is_not_utf_8_is_kept(pair: tuple[Peer, Path]) -> None:
    minion, place = pair
    assert push(minion, [b"caf\xe9"]) is True
    assert os.listdir(os.fsencode(place)) == [b"caf\xe9"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("data", "loc", "size"),
    [
        (b"x" * 1000, (1 << 20) - 999, 0),
        (b"x", 0, (1 << 20) + 1),
        (b"x", -1, 0),
        (b"x", "0", 0),
        (b"x", None, 0),
        (b"x", True, 0),
        (b"x", 2**63, 0),
        (b"x", 5, 0),  # nothing is in front of it
        (7, 0, 0),
        (["x"], 0, 0),
    ],
)
def test_what_is_too_large_or_out_of_place_is_refused(
    pair: tuple[Peer, Path], data: Any, loc: Any, size: int
) -> None:
    minion, place = pair
    assert push(minion, ["f"], data, loc, size=size) is False
    assert not (place / "f").exists() or not (place / "f").read_bytes()


UNSAFE: list[Any] = [
    "etc/passwd",
    None,
    [],
    {},
    [7],
    [["a"]],
    [""],
    ["."],
    [".."],
    ["..", "..", "x"],
    ["a", "..", "..", "x"],
    ["a/../../x"],
    ["../x"],
    ["/etc/passwd"],
    ["a", "/etc/passwd"],
    ["a\0b"],
    ["a" * 256],
    ["a"] * 3000,
    [b"..", b"\xff"],
]


@pytest.mark.parametrize("path", UNSAFE, ids=lambda path: repr(path)[:30])
def test_no_path_leaves_the_minions_own_directory(pair: tuple[Peer, Path], path: Any) -> None:
    minion, place = pair
    assert push(minion, path) is False
    assert not place.exists() or tree(place) == []


def test_a_file_is_no_directory_and_a_directory_no_file(pair: tuple[Peer, Path]) -> None:
    minion, place = pair
    push(minion, ["d", "f"])
    assert push(minion, ["d", "f", "x"]) is False
    assert push(minion, ["d"]) is False
    assert tree(place) == ["d", "d/f"]


def test_no_symlink_is_followed(pair: tuple[Peer, Path], tmp_path: Path) -> None:
    minion, place = pair
    push(minion, ["f"])
    (tmp_path / "victim").write_text("whole")
    (place / "link").symlink_to(tmp_path / "victim")
    (place / "dir").symlink_to(tmp_path)
    assert push(minion, ["link"]) is False
    assert push(minion, ["dir", "victim"]) is False
    assert push(minion, ["dir", "new"]) is False
    assert tree(tmp_path) == ["victim"]
    assert (tmp_path / "victim").read_text() == "whole"


def test_two_minions_have_a_place_each(bench: Make) -> None:
    made = bench(auto_accept=True, file_recv=True)
    for minion_id in ("m1", "m2"):
        assert push(made.peer(minion_id), ["f"], minion_id.encode()) is True
    files = Path(made.config.cachedir) / "minions"
    assert [(files / name / "files/f").read_text() for name in ("m1", "m2")] == ["m1", "m2"]


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(UnsafePath, match="no file"):
        _names(["\ud800"])


parts = st.sampled_from(["..", ".", "", "a", "b", "/", "//", "a/..", "../..", "\0", "..\\", "~"])


@settings(max_examples=150)
@given(names=st.lists(parts | st.text(max_size=6), min_size=1, max_size=5))
def test_whatever_the_names_nothing_is_written_elsewhere(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    top = tmp_path_factory.mktemp("push")
    try:
        write_below(top / "in/files", _names(names), 0, b"x")
    except (UnsafePath, OSError):
        pass
    outside = [path for path in tree(top) if path != "in" and not path.startswith("in/files")]
    assert outside == []
