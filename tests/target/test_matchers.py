"""One term of a target: every type's own rule."""

from __future__ import annotations

from typing import Any

import pytest

from greensalt.errors import TargetError
from greensalt.target.matchers import MAX_TARGET, compile_check
from greensalt.target.regex import MAX_PATTERN


@pytest.mark.parametrize(
    ("tgt_type", "tgt", "minion_id", "meant"),
    [
        ("glob", "*", "web1", True),
        ("glob", "web?", "web1", True),
        ("glob", "web[!1]", "web1", False),
        ("glob", "WEB1", "web1", False),
        ("glob", "web1", "web1", True),
        ("glob", "web", "web1", False),
        ("glob", "web1,web2", "web1", False),
        ("glob", "[", "[", True),
        ("pcre", "web", "web1", True),
        ("pcre", "eb", "web1", False),
        ("pcre", "web$", "web1", False),
        ("list", "web1,web2", "web2", True),
        ("list", "web11,web2", "web1", False),
        ("list", ["web1", "web2"], "web1", True),
        ("list", ("web1", 2, None), "web1", True),
        ("list", ["web1,web2"], "web1", False),
        ("list", ",,web1,", "web1", True),
    ],
)
def test_ids(tgt_type: str, tgt: object, minion_id: str, meant: bool) -> None:
    check = compile_check(tgt_type, tgt)
    assert check.subject == "id"
    assert check.holds(minion_id) is meant


@pytest.mark.parametrize(
    ("tgt_type", "tgt", "subject"),
    [
        ("grain", "os:Deb*", "grains"),
        ("grain_pcre", "os:deb|red", "grains"),
        ("pillar", "os:Deb*", "pillar"),
        ("pillar_pcre", "os:deb", "pillar"),
        ("pillar_exact", "os:debian", "pillar"),
    ],
)
def test_grains_and_pillar(tgt_type: str, tgt: str, subject: str) -> None:
    check = compile_check(tgt_type, tgt)
    assert check.subject == subject
    assert check.holds({"os": "Debian"})
    assert not check.holds({"os": "Arch"})
    assert compile_check(tgt_type, tgt.replace(":", "|"), "|").holds({"os": "Debian"})


GRAINS: dict[str, Any] = {
    "ipv4": ["127.0.0.1", "10.1.2.3", "not an address", 7],
    "ipv6": ["::1", "fe80::1"],
}


@pytest.mark.parametrize(
    ("tgt", "grains", "meant"),
    [
        ("10.1.2.3", GRAINS, True),
        ("10.1.2", None, None),
        ("10.1.2.0/24", GRAINS, True),
        ("10.1.3.0/24", GRAINS, False),
        ("0.0.0.0/0", GRAINS, True),
        ("fe80::1", GRAINS, True),
        ("FE80:0::0001", GRAINS, True),
        ("fe80::/10", GRAINS, True),
        ("2001:db8::/32", GRAINS, False),
        ("10.1.2.3/24", None, None),
        ("everywhere", None, None),
        ("10.0.0.1", {"ipv4": "10.0.0.1"}, True),
        ("10.0.0.1", {"ipv4": "10.0.0.12"}, False),
        ("10.0.0.0/8", {"ipv4": "10.0.0.12"}, True),
        ("10.0.0.0/8", {"ipv4": None}, False),
        ("10.0.0.0/8", {}, False),
        ("10.0.0.1", {}, False),
    ],
)
def test_addresses(tgt: str, grains: dict[str, Any] | None, meant: bool | None) -> None:
    if grains is None:
        with pytest.raises(TargetError, match="neither an address nor a network"):
            compile_check("ipcidr", tgt)
    else:
        assert compile_check("ipcidr", tgt).holds(grains) is meant


@pytest.mark.parametrize(
    ("tgt_type", "tgt", "says"),
    [
        ("globe", "*", "unknown target type 'globe': none of glob, grain"),
        ("range", "%a", "unknown target type 'range'"),
        ("glob", None, "a glob target is a text, not NoneType"),
        ("glob", "", "target is empty"),
        ("glob", "x" * (MAX_TARGET + 1), "too long"),
        ("glob", "*" * (MAX_PATTERN + 1), "a shell pattern of 65537 characters is too long"),
        ("pcre", ["a"], "a pcre target is a text, not list"),
        ("pcre", "(", "bad regular expression"),
        ("grain", 7, "a grain target is a text, not int"),
        ("grain", "os", "not of the form key:value"),
        ("list", "", "target is empty"),
        ("list", ",", "list of minions is empty"),
        ("list", [], "list of minions is empty"),
        ("list", [1, ""], "list of minions is empty"),
        ("list", {"web1": 1}, "a list target is a text, not dict"),
        ("list", b"web1", "a list target is a text, not bytes"),
    ],
)
def test_what_can_not_be_understood_is_refused(tgt_type: str, tgt: object, says: str) -> None:
    with pytest.raises(TargetError, match=says):
        compile_check(tgt_type, tgt)
