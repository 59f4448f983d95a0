"""Targets, compared term by term with the matchers of stock Salt.

Every target is asked of a small fleet: which minions take the job, and whom the master expects.
The answers must be stock Salt's, but for the differences listed here with their reasons.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from greensalt.errors import TargetError
from greensalt.target import expected, matches
from tests._daemons import NEWEST, stock_bin

SCRIPT = Path(__file__).with_name("_stock_matchers.py")

FLEET: dict[str, dict[str, Any]] = {
    "web1": {
        "grains": {
            "os": "Debian", "osrelease": "12", "num_cpus": 4, "ratio": 1.5, "flag": True,
            "none": None, "roles": ["Web", "front", {"tier": "one", "deep": {"k": "v"}}],
            "ipv4": ["127.0.0.1", "10.0.0.1"], "ipv6": ["::1", "fe80::1"],
            "a": {"b": {"c": "d", "e": ["f", "g"]}, "B": 1}, "path": "x:y:z", "x:y": "colon",
            "empty": {}, "nothing": [], "blank": "", "nested": [["in", "list"], [{"q": "r"}]],
            "systemd": {"version": "252", "features": "+PAM -SELINUX"}, "bar|baz": {"k": "v"},
        },
        "pillar": {
            "secret": "abc", "ports": {80: "http", 443: "https", 1.5: "half", True: "yes"},
            "users": {"ann": {"uid": 1000}, "bob": {"uid": 1001}}, "list": [1, "two", {3: "three"}],
            "motd": "two\nlines", "Key": "Value", "uni": "Größe",
        },
    },
    "web2": {
        "grains": {
            "os": "RedHat", "osfullname": "Red Hat Enterprise", "num_cpus": 16, "roles": ["web"],
            "ipv4": ["10.0.1.1", "192.168.7.7"], "ipv6": ["2001:db8::2"], "a": "b:c:d",
            "path": {"x": "y", "*": "star"},
        },
        "pillar": {"secret": "abd", "users": {"ann": {"uid": 7}}, "list": [], "ports": "80"},
    },
    "db1.example.com": {
        "grains": {"os": "Debian", "ipv4": [], "roles": "db", "a": {"b": ["c", {"c": "e"}]}},
        "pillar": {"secret": "xyz", "a": {"b": {"c": {"d": {"e": "f"}}}}},
    },
    "DB2": {"grains": {"os": "debian", "num_cpus": "4", "ipv4": "172.16.0.12"}, "pillar": {}},
    "x-1_a": {"grains": {}, "pillar": {"users": ["ann", "bob"]}},
    "silent": {"grains": {}, "pillar": {}},
}  # fmt: skip
# A minion that the master has no data of.
SILENT = ["silent"]
NODEGROUPS: dict[str, Any] = {
    "web": "web*",
    "names": ["web1", "web2", "gone"],
    "text": "web1,x-1_a",
    "expr": "(web|x)",
    "both": "web1 or G@os:RedHat",
    "nested": "( N@names or G@os:RedHat ) and not L@web1",
    "words": ["G@os:Debian", "and", "not", "web1"],
    "loop": "web1 or N@loop",
    "lost": "N@nowhere",
}


class Asked(NamedTuple):
    """One target."""

    tgt: Any
    tgt_type: str
    delimiter: str = ":"


def _of(tgt_type: str, *targets: Any) -> list[Asked]:
    return [Asked(tgt, tgt_type) for tgt in targets]


NETWORKS = _of(
    "ipcidr",
    "10.0.0.1", "10.0.0.0/24", "10.0.0.0/16", "10.0.0.0/255.255.255.0", "192.168.0.0/16", "::1",
    "fe80::/10", "2001:db8::/32", "2001:0db8:0::2", "10.0.0.1/32", "0.0.0.0/0", "::/0",
)  # fmt: skip

ALIKE: list[Asked] = [
    *NETWORKS,
    *_of("ipcidr", "10.0.0", "10.0.0.1/8", "", "everywhere", "10.0.0.0/33", None, ["10.0.0.1"]),
    *_of(
        "glob",
        "*", "web*", "web1", "web?", "web[12]", "web[!1]", "[wx]*", "WEB1", "*.example.com", "db?",
        "DB2", "nobody", "web[", "[", "w*b*1", "***", "?", "web1\n", "web1,db*", "DB2,,nobody",
        "x-1_a", "\\*", "[]]", "*[0-9]",
    ),
    *_of(
        "pcre",
        "web", "web1$", "eb", ".*1", "^web[12]$", "(?i)WEB", "web1|db", "(?!web).*", "x.1_a",
        r"\w+\.", r"(\w)b2", ".*(e).*\\1", "(web|x)+", "([a-z]+[0-9]*)+$", "(?=.*1)web", "^$",
        r"\Aweb1\Z", "(?x) w e b 1 # c",
    ),
    *_of(
        "list",
        "web1", "web1,web2", "web1,nobody", "eb1", ",web1,", "web1,,x-1_a", "web", "web1 ,x-1_a",
        ["web1", "DB2"], ["nobody"], ["web1,web2"], ["web1", "web1"], "db1.example.com",
    ),
    *_of(
        "grain",
        "os:Debian", "os:debian", "os:DEB*", "os:*", "os:[dr]*", "os:Deb", "os:?ebian", "os", "os:",
        ":", "::", ":Debian", "num_cpus:4", "num_cpus:*6", "ratio:1.5", "flag:true", "flag:True",
        "none:None", "none:*", "none:x:y", "roles:web", "roles:WEB", "roles:fr*", "roles:tier",
        "roles:tier:one", "roles:tier:*", "roles:deep:k:v", "roles:deep:k", "roles:0",
        "roles:0:web",
        "roles:1:front", "roles:2:tier:one", "roles:-1:tier:one", "roles:9:x", "roles:db",
        "roles:*",
        "roles:{*", "a:b", "a:b:c", "a:b:c:d", "a:b:c:e", "a:b:c:*", "a:*", "a:*:c", "a:b:e:f",
        "a:b:e:1:g", "a:B:1", "a:b:*:d", "a:b:c:d:e", "path:x:y:z", "path:x:y", "path:*", "path:x",
        "path:*:y", "x:y:colon", "x:*", "empty:*", "empty:x", "nothing:*", "nothing:0:x", "blank:*",
        "blank:", "nested:0:in", "nested:in", "nested:1:q:r", "nested:*in*", "*:debian", "*:os",
        "*:os:debian", "*:b:c:d", "*:c:d", "*:*", "*:*:*", "*:b", "*:front", "*:252",
        "*:version:252", "*:*:252", "systemd:version:252", "systemd:*pam*", "systemd:v*",
        "missing:*", "osfullname:Red Hat*", "osfullname:red?hat*", "bar|baz:k:v",
        "ipv4:10.0.0.1", "ipv4:10.*", "ipv6:fe80::1", "ipv6:::1", "ipv6:2001:db8::2", "*:*star*",
        "path:[*]:star", "path:*:star",
    ),
    *_of(
        "grain_pcre",
        "os:Debian", "os:^deb", "os:.*hat", "os:ebian", "os:(debian|redhat)$", "os", "roles:w.b",
        "roles:(web|db)", "a:b:c:.", "a:b:(c:d|x)", "a:b", "num_cpus:[0-9]+$", "os:", "path:x:.*z",
        "path:(x:y|q):z", "a:B|b:c", "systemd:ver.*", "systemd:version:\\d+", "ipv4:10\\.0\\..*",
        "*:os:deb.*", "os:(deb", "os:(a+)+b", "osfullname:RED\\sHAT", "os:\\D+", "none:.*",
        "os:*", "a:b:*", "*:*",
    ),
    *_of(
        "pillar",
        "secret:abc", "secret:ab*", "secret:*", "users:ann", "users:ann:*", "users:ann:uid:1000",
        "users:*:uid:1001", "users:b*", "ports:80", "ports:80:http", "ports:443:*",
        "ports:1.5:half",
        "ports:true:yes", "ports:yes:yes", "ports:8_0:http", "ports:'80':http", "list:1",
        "list:two",
        "list:0:1", "list:3", "list:3:three", "list:2:3:three", "motd:two*", "key:value",
        "Key:value", "uni:GRÖSSE", "uni:größe", "uni:GRÖß*", "a:b:c:d:e:f", "a:b:c:d:e", "a:*:d",
        "a:b:*:d", "secret", "*:b:c:d:e:f", "*:*:*:*:*:f", "list:*",
    ),
    *_of("pillar_pcre", "secret:ab[cd]", "secret:.*", "users:a.n", "users:ann:uid:10+", "secret:b"),
    *_of(
        "pillar_exact",
        "secret:abc", "secret:ab*", "secret:*", "secret:ABC", "users:ann", "users:ann:uid:1000",
        "users:a*", "users:ann:*", "list:two", "ports:80:http", "secret",
    ),
    *_of(
        "compound",
        "web1", "web*", "web* and G@os:Debian", "web* or DB2", "not web*", "* not web*",
        "* and not web*", "not web* and not DB2", "web1 or web2 and nobody",
        "web1 or web2 not web2",
        "( web1 or web2 ) and nobody", "( web1 or web2 ) and G@os:RedHat", "not ( web1 or web2 )",
        "web1 and ( G@os:RedHat or ( DB2 or I@secret:abc ) )", "( ( web1 ) )", "( not web1 )",
        "web* not ( G@os:Debian )", "L@web1,DB2", "not L@web1,DB2", "E@web.*", "E@(web|DB)",
        "not E@web.*", "not S@10.0.0.0/16 and web*", "P@os:(deb|red).*",
        "I@secret:ab*", "J@secret:ab[c]", "G|@os|Debian", "G@@os@Debian", "GG@osGDebian",
        "I/@users/ann/uid/1000", "P!@os!deb", "not web1 or not web2", "web1 or not web1",
        "not web1 and web1", "* and G@num_cpus:4 or x-1_a", "  web1\tand\n*  ", "web[12] and web?",
        "N@web and G@os:Debian", "N@names", "not N@names", "N@text", "N@expr", "N@nested",
        "N@nested or DB2", "not N@nested", "N@words", "N@words or web2", "N@both", "DB2 or N@both",
        "AND", "web1 AND web2", "", "and", "or", "not", "(", ")", "( )", "web1 web2", "web1 and",
        "and web1", "web1 or or web2", "web1 ( web2 )", "web1 )", ") web1", "( and web1 )",
        "not not web1", "web1 and and web2", "web1 and not", "R@%x", "G@os", "L@", "G@", "E@(",
        "web1 and E@(", "S@10.0.0.1/8", "x@y", "G@os:Debian:", "web1 or ( not web2 )",
        ["web1"], ["web1", "or", "web2"], ["G@osfullname:Red Hat*", "and", "web2"], ["not", "web1"],
        [],
    ),
    *_of(
        "compound_pillar_exact",
        "I@secret:ab*", "I@secret:abc", "J@secret:ab.", "J@secret:abc", "G@os:deb*",
        "not I@secret:a*", "web* and I@users:ann:uid:7",
    ),
    *_of("nonsense", "*"),
    Asked("os|Debian", "grain", "|"),
    Asked("a|b|c", "grain", "|"),
    Asked("a|b|c:d", "grain", "|"),
    Asked("a|b:c:d", "grain", "|"),
    Asked("a|b:c", "grain", "|"),
    Asked("*|os", "grain", "|"),
    Asked("*|b|c", "grain", "|"),
    Asked("os->Debian", "grain", "->"),
    Asked("os:Debian", "grain", "|"),
    Asked("bar\\|baz|k|v", "grain", "|"),
    Asked("os|^deb", "grain_pcre", "|"),
    Asked("path|x:y:.", "grain_pcre", "|"),
    Asked("secret|ab*", "pillar", "|"),
    Asked("users|ann|uid|7", "pillar", "|"),
    Asked("users|ann:uid:7", "pillar", "|"),
    Asked("web1,web2", "list", "|"),
    Asked("G@os:Debian", "compound", "|"),
]  # fmt: skip

# Where a minion of ours decides otherwise than a stock one.
MINION_DIFFERS: dict[str, list[Asked]] = {
    "an empty target is a slip, not everybody": _of("pcre", ""),
    "a text that only looks like a term is a slip; its `not` would be everybody": _of(
        "compound", "not g@os:Debian", "not Q@x", "not G@", "not G|@", "not L|@web1|web2", "not ( )"
    ),
    "a term that can't be understood is a slip; its `not` would be everybody": _of(
        "compound",
        "P@os:(deb or web1",
        "not P@os:(deb",
        "G@os or web1",
        "not G@os",
        "S@10.0.0.1/8 or web1",
        "not S@10.0.0.1/8",
    ),
    "resources are not there, so that these engines are unknown": _of(
        "compound", "not T@x", "M@web1", "web1 or M@web2"
    ),
    "a nodegroup is one operand, whatever operators it is made of": _of(
        "compound", "N@both and nobody", "nobody and N@both", "not N@both", "web1 N@nowhere"
    ),
    "a minion that has nodegroups of its own can use them": _of("nodegroup", "web", "nested"),
    "the delimiter counts for every kind of pillar, as it does on a master": [
        Asked("secret|ab.", "pillar_pcre", "|"),
        Asked("secret|abc", "pillar_exact", "|"),
    ],
    "an address is not a part of a text": _of("ipcidr", "172.16.0.1"),
    "an address is a text": _of("ipcidr", 0x0A000001),
}
# Where our master expects others than a stock one.
MASTER_DIFFERS: dict[str, list[Asked]] = {
    "an empty target is a slip, not everybody": _of("pcre", ""),
    "a text that only looks like a term is a slip; its `not` would be everybody": _of(
        "compound", "not g@os:Debian", "not Q@x", "not G@", "not G|@", "not L|@web1|web2"
    ),
    "a term that can't be understood is a slip; its `not` would be everybody": _of(
        "compound",
        "P@os:(deb or web1",
        "not P@os:(deb",
        "G@os or web1",
        "not G@os",
        "S@10.0.0.1/8 or web1",
        "not S@10.0.0.1/8",
    ),
    "resources are not there, so that these engines are unknown": _of(
        "compound", "not T@x", "M@web1", "web1 or M@web2"
    ),
    "a nodegroup is one operand, whatever operators it is made of": _of(
        "compound", "N@both and nobody", "nobody and N@both", "not N@both", "web1 N@nowhere"
    ),
    "a minion without known addresses is not in a network": [
        *NETWORKS,
        *_of("ipcidr", "172.16.0.1"),
        *_of("compound", "S@10.0.0.0/16"),
    ],
    "minions know no commas in the globs of a compound target": _of(
        "compound", "web1,web2", "not web1,web2", "web1,DB2 or web2"
    ),
    "minions take no expression with an open parenthesis": _of(
        "compound", "( web1", "web1 and ( *"
    ),
    "an address is a text": _of("ipcidr", 0x0A000001),
}

DIFFERENT = [
    asked
    for differs in (MINION_DIFFERS, MASTER_DIFFERS)
    for targets in differs.values()
    for asked in targets
]
TABLE = [*ALIKE, *(asked for asked in DIFFERENT if asked not in ALIKE)]


@dataclass
class Ours:
    """One minion, as our matchers want to see it."""

    id: str
    grains: Mapping[str, Any]
    pillar: Mapping[str, Any]


class OurRoster:
    """The fleet, as our master knows it."""

    def ids(self) -> Collection[str]:
        return FLEET.keys()

    def grains(self, minion_id: str) -> Mapping[str, Any] | None:
        return None if minion_id in SILENT else FLEET[minion_id]["grains"]

    def pillar(self, minion_id: str) -> Mapping[str, Any] | None:
        return None if minion_id in SILENT else FLEET[minion_id]["pillar"]


def our_minions(asked: Asked) -> list[str]:
    return sorted(
        minion_id
        for minion_id, facts in FLEET.items()
        if matches(
            asked.tgt,
            asked.tgt_type,
            Ours(minion_id, facts["grains"], facts["pillar"]),
            delimiter=asked.delimiter,
            nodegroups=NODEGROUPS,
        )
    )


def our_master(asked: Asked) -> list[str]:
    exact = asked.tgt_type == "compound_pillar_exact"
    try:
        return expected(
            asked.tgt,
            "compound" if exact else asked.tgt_type,
            OurRoster(),
            delimiter=asked.delimiter,
            nodegroups=NODEGROUPS,
            exact_pillar=exact,
        ).minions
    except TargetError:
        return []


class Stock(NamedTuple):
    """What stock Salt says to each target."""

    minion: dict[str, list[str]]
    master: dict[str, list[str]]


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    table = {
        "dir": str(tmp_path_factory.mktemp("stock")),
        "fleet": FLEET,
        "silent": SILENT,
        "nodegroups": NODEGROUPS,
        "targets": [tuple(asked) for asked in TABLE],
    }
    done = subprocess.run(
        [stock_bin(NEWEST) / "python", SCRIPT],
        input=repr(table),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    return Stock(
        *(
            {repr(asked): ids for asked, ids in zip(TABLE, answers[side], strict=True)}
            for side in ("minion", "master")
        )
    )


def _reason(differs: dict[str, list[Asked]], asked: Asked) -> str | None:
    return next((reason for reason, targets in differs.items() if asked in targets), None)


@pytest.mark.parametrize("asked", TABLE, ids=repr)
def test_a_minion_takes_the_jobs_that_a_stock_one_takes(asked: Asked, stock: Stock) -> None:
    if _reason(MINION_DIFFERS, asked):
        assert our_minions(asked) != stock.minion[repr(asked)], "no longer a difference"
    else:
        assert our_minions(asked) == stock.minion[repr(asked)]


@pytest.mark.parametrize("asked", TABLE, ids=repr)
def test_the_master_expects_whom_a_stock_one_expects(asked: Asked, stock: Stock) -> None:
    if _reason(MASTER_DIFFERS, asked):
        assert our_master(asked) != stock.master[repr(asked)], "no longer a difference"
    else:
        assert our_master(asked) == stock.master[repr(asked)]
