from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from greensalt.wire.arguments import split_keyword, yaml_value


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("a=b", ("a", "b")),
        ("a=", ("a", "")),
        ("a=b=c", ("a", "b=c")),
        ("dotted.name-1=x", ("dotted.name-1", "x")),
        ("ä=x", ("ä", "x")),
        ("a==b", None),
        ("1a=b", None),
        ("=b", None),
        ("a b=c", None),
        ("plain", None),
        ("", None),
        ("a=first\nsecond", None),
    ],
)
def test_only_a_name_and_an_equals_sign_make_a_keyword(
    text: str, pair: tuple[str, str] | None
) -> None:
    assert split_keyword(text) == pair


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("word", "word"),
        ("/etc/passwd", "/etc/passwd"),
        ("1", 1),
        ("-3", -3),
        ("1.5", 1.5),
        ("True", True),
        ("off", False),
        ("null", None),
        ("None", None),
        ("none", "none"),
        ("~", None),
        ("[1, two]", [1, "two"]),
        ("{a: {b: [1]}}", {"a": {"b": [1]}}),
        ("{<<: {a: 1, c: 3}, a: 2}", {"a": 2, "c": 3}),
        ("'quoted'", "quoted"),
    ],
)
def test_text_stands_for_the_yaml_value_it_spells(text: str, value: Any) -> None:
    assert yaml_value(text) == value
    assert type(yaml_value(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "---",
        "...",
        "a: b",
        "- a",
        "[a",
        "a\tb",
        "1\n",
        "1_000",
        "2020-01-01",
        "2020-01-01T00:00:00Z",
        "#channel",
        "colour #5",
        "#",
        "!",
        "|",
        "=",
        "@home",
        "*",
        "%x",
        "!!python/object:os.system x",
        "!!binary aGk=",
        "{a: 1, a: 2}",
        "{[1]: 2}",
    ],
)
def test_what_only_looks_like_yaml_stays_text(text: str) -> None:
    assert yaml_value(text) == text


@pytest.mark.parametrize(
    ("text", "value"), [("010", 10), ("00", 0), ("0", 0), ("0x1f", 31), ("0b11", 3), ("-010", -8)]
)
def test_a_leading_zero_does_not_mean_octal(text: str, value: int) -> None:
    assert yaml_value(text) == value


def test_a_number_may_have_a_comment_behind_it() -> None:
    assert yaml_value("5 # five") == 5


@given(st.text(max_size=40))
def test_every_text_has_a_value(text: str) -> None:
    yaml_value(text)
    split_keyword(text)
