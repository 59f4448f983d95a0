from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from greensalt.errors import InvalidMinionId, UnsafePath, UnsupportedAlgorithm
from greensalt.wire.ids import (
    check_minion_id,
    hex_digest,
    minion_bus_hash,
    publish_topic,
    safe_join,
)


@pytest.mark.parametrize("good", ["m1", "web-01.example.org", "Büro", "a b", "a" * 253, "x..y"])
def test_spec_9_1_a_literal_name_is_a_minion_id(good: str) -> None:
    assert check_minion_id(good) == good


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (None, "not text"),
        (5, "not text"),
        (b"m1", "not text"),
        ("", "empty"),
        (".", "dot"),
        ("..", "dot"),
        (".hidden", "dot"),
        ("a/b", "characters"),
        ("../../etc/passwd", "dot"),
        ("a\\b", "characters"),
        ("a*", "characters"),
        ("a?", "characters"),
        ("[a]", "characters"),
        ("a\0b", "unprintable"),
        ("a\nb", "unprintable"),
        ("a\x1b[31m", "unprintable"),
        ("a\ud800", "unprintable"),
        ("a" * 254, "longer"),
        ("ü" * 127, "longer"),
    ],
)
def test_spec_9_1_other_minion_ids_are_refused_with_the_reason(bad: object, reason: str) -> None:
    with pytest.raises(InvalidMinionId, match=reason):
        check_minion_id(bad)


@given(st.text() | st.binary() | st.none() | st.integers())
def test_a_checked_id_is_a_direct_child_of_its_directory(value: object) -> None:
    try:
        minion_id = check_minion_id(value)
    except InvalidMinionId:
        return
    path = safe_join("/pki/minions", minion_id)
    assert path.parent == Path("/pki/minions")
    assert path.name == minion_id


def test_safe_join_joins_relative_paths() -> None:
    assert safe_join("/srv", "a/b", "c") == Path("/srv/a/b/c")
    assert safe_join(Path("/srv"), "./a//b/") == Path("/srv/a/b")
    assert safe_join("/srv", "a\\b", "..c") == Path("/srv/a\\b/..c")


@pytest.mark.parametrize(
    "parts",
    [
        ("..",),
        ("a", "..", "..", "b"),
        ("a/../../b",),
        ("/etc/passwd",),
        ("a", "/etc"),
        ("a\0b",),
        ("",),
        (),
        (".",),
        ("./",),
        (5,),
        (None,),
    ],
)
def test_spec_9_1_paths_that_could_leave_their_root_are_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(UnsafePath):
        safe_join("/srv", *parts)


@given(st.lists(st.text(alphabet="ab./\\\0~") | st.text()))
def test_a_joined_path_stays_below_its_root(parts: list[str]) -> None:
    try:
        path = safe_join("/srv/root", *parts)
    except UnsafePath:
        return
    assert path.is_relative_to("/srv/root")
    assert path != Path("/srv/root")
    assert ".." not in path.parts


def test_the_bus_of_a_minion_is_named_by_its_hash() -> None:
    assert minion_bus_hash("m1") == "ca0df2c95a"
    assert minion_bus_hash("m1", "md5") != minion_bus_hash("m1")


def test_a_filtered_publish_has_the_minions_sha1_as_topic() -> None:
    assert publish_topic("m1") == "ae23b94ccaf714337e4ce5ba99ef3dc257e300df"


@pytest.mark.parametrize("hash_type", ["", "crc32", "shake_128", "SHA256"])
def test_an_unknown_hash_type_is_refused(hash_type: str) -> None:
    with pytest.raises(UnsupportedAlgorithm, match="sha256"):
        hex_digest(b"", hash_type)
