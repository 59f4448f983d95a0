"""Targets, term by term and in compounds: greensalt decides as stock Salt's own matchers do."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from greensalt.target import matches
from tests._daemons import STOCK_VERSIONS, stock_bin

Target = tuple[Any, str]


@dataclass(frozen=True)
class Facts:
    id: str
    grains: dict[str, Any]
    pillar: dict[str, Any]


WEB = Facts(
    "web-1.example.com",
    {
        "id": "web-1.example.com",
        "os": "Debian",
        "kernel": "Linux",
        "num_cpus": 4,
        "virtual": None,
        "selinux": {"enabled": False, "enforced": "Disabled"},
        "roles": ["web", "cache", {"db": "replica", "ports": [80, 443]}],
        "ip": {"eth0": ["10.1.2.3"], "lo": ["127.0.0.1"]},
        "ipv4": ["10.1.2.3", "127.0.0.1"],
        "ipv6": ["::1", "fe80::1"],
        "path": "a:b:c",
        "empty": {},
        "list": [],
        "colon:key": "value",
    },
    {"app": {"name": "Shop", "stage": "prod", "nodes": ["n1", "n2"]}, "debug": True, "level": 3},
)
DB = Facts(
    "db2",
    {"id": "db2", "os": "CentOS", "kernel": "Linux", "num_cpus": 16, "ipv4": ["192.168.7.7"]},
    {"app": {"name": "store", "stage": "dev"}, "debug": False},
)
BARE = Facts("[odd]", {}, {})
EVERYONE = (WEB, DB, BARE)

NODEGROUPS = {
    "text": "web* or db*",
    "list": ["db2", "web-1.example.com"],
    "grains": "G@os:Debian and not db*",
    "nested": ["N@grains", "or", "N@list"],
    "loop": "N@loop or web*",
}

GLOBS = [
    *("*", "web*", "WEB*", "web-?.example.com", "db[0-9]", "db[!0-9]", "[[]odd]", "", "nobody"),
    *("web*,db*", "db2", "*.com", "w*e*m", "[", "db2 ", "web-1.example.com"),
]
REGEXES = [
    *(
        ".*",
        "web",
        "eb",
        "web-\\d",
        "db\\d$",
        "DB2",
        "^db",
        "(web|db)",
        "",
        "nobody",
        "[",
        "(?i)DB",
    ),
    *("db2|x", "x|db2", "web-1.example.comx"),
]
LISTS: list[Any] = [
    *("db2", "db2,web-1.example.com", "web*", "", "x,db2", "db2, x", "x, db2", "b2", "db22"),
    *(["db2"], ["x", "web-1.example.com"], [], ["db*"], ["DB2"]),
]
ADDRESSES = [
    *("10.1.2.3", "10.1.2.4", "10.0.0.0/8", "10.1.2.0/24", "10.1.2.3/24", "::1", "fe80::/10"),
    *("0.0.0.0/0", "::/0", "300.1.1.1", "", "web", "192.168.0.0/16", "127.0.0.1/32"),
]
PATHS = [
    *("os:Debian", "os:debian", "os:Deb*", "os:*", "os", "os:", ":os", "nosuch:*", "kernel:linux"),
    *("num_cpus:4", "num_cpus:[0-9]", "virtual:None", "virtual:*", "selinux:enabled:False"),
    *("selinux:enforced:dis*", "selinux:*", "selinux:enabled", "roles:web", "roles:w*", "roles:db"),
    *("roles:db:replica", "roles:db:*", "roles:*", "roles:ports:80", "roles:x", "ip:eth0:10.*"),
    *("ip:*:10.1.2.3", "ip:eth0:*", "*:eth0:10.1.2.3", "path:a:b:c", "path:a:*", "path:*c"),
    *("empty:*", "empty:", "list:*", "list:x", "colon:key:value", "ipv4:127.0.0.1", "ipv6:::1"),
    *("app:name:shop", "app:name:Shop", "app:stage:prod", "app:stage:p*", "app:nodes:n1", "app:*"),
    *("app:nodes:*", "debug:True", "debug:true", "debug:1", "level:3", "level:?", "*:name:shop"),
    *(
        "os:(Debian|CentOS)",
        "os:.*ian$",
        "os:deb.+",
        "num_cpus:1?6",
        "app:stage:(prod|dev)",
        "os:[",
    ),
]
WORDS = [
    *("*", "web*", "db2", "nobody", "G@os:Debian", "G@os:debian", "P@os:(Debian|CentOS)"),
    *("G@num_cpus:4", "I@app:stage:prod", "J@app:stage:(prod|dev)", "L@db2,x", "S@10.0.0.0/8"),
    *("E@web-\\d.*", "E@b", "G|@os|Debian", "G|@roles|w*", "S@192.168.7.7", "I@debug:True"),
    "L@web*",
]
FIXED = [
    *("N@text", "N@list", "N@grains", "N@nested", "N@nosuch", "N@loop", "X@y", "G@", "@", "J@x:["),
    *("( N@text ) and G@os:Debian", "( N@grains )", "not ( N@grains )", "db2 or ( N@list )"),
    *("", " ", "and", "not", "( )", "(", ")", "* and", "or *", "not not *", "* *", "* db2"),
    *(
        "not db2",
        "* not db2",
        "not ( web* or db* )",
        "( * )",
        "( ( web* ) )",
        "(web*)",
        "* AND db2",
    ),
    *("* and not db2", "web* or db2 and nobody", "( web* or db2 ) and nobody", "not web* or db2"),
    *("web* and not not db2", "* and ( not db2 )", "* or and db2", "not", "* not"),
    *("not ( not web* )", "not web* and not db2", "( web* or db2", "web* ) or ( db2", "* and ()"),
]


def compounds(count: int) -> list[str]:
    """Random but always the same well-formed expressions."""
    chance = random.Random(20)

    def expression(depth: int) -> str:
        shape = chance.random()
        if depth == 0 or shape < 0.3:
            return chance.choice(WORDS)
        if shape < 0.45:
            return f"not {expression(depth - 1)}"
        if shape < 0.6:
            return f"( {expression(depth - 1)} )"
        operator = chance.choice(["and", "or", "and not", "or not", "not"])
        return f"{expression(depth - 1)} {operator} {expression(depth - 1)}"

    return [expression(3) for _ in range(count)]


# Where greensalt differs on purpose: what makes no sense matches nobody. Stock Salt lets some of it
# match everybody.
REFUSED: list[Target] = [
    ("", "pcre"),
    ("selinux:*", "grain_pcre"),  # `*` alone is no regular expression
    ("roles:*", "grain_pcre"),
    ("app:*", "pillar_pcre"),
    ("not X@y", "compound"),
    ("* and not G@", "compound"),
    ("not ( N@nosuch )", "compound"),
]
# A nodegroup is one term here; stock Salt's minions negate only its first word.
AS_ONE_TERM = "not N@grains"

TARGETS: list[Target] = [
    *((target, "glob") for target in GLOBS),
    *((target, "pcre") for target in REGEXES),
    *((target, "list") for target in LISTS),
    *((target, "ipcidr") for target in ADDRESSES),
    *itertools.product(
        PATHS, ("grain", "grain_pcre", "pillar", "pillar_pcre", "pillar_exact", "compound")
    ),
    *((word, "compound") for word in [*WORDS, *FIXED, *compounds(400)]),
]


@pytest.fixture(params=STOCK_VERSIONS, scope="module")
def stock(request: pytest.FixtureRequest) -> list[list[bool]]:
    """What the matchers of one stock Salt say, by facts and target."""
    return stock_verdicts(str(request.param))


def test_every_target_means_the_same_as_to_stock_salt(stock: list[list[bool]]) -> None:
    different = [
        f"{target!r} as {kind} for {facts.id!r}: stock says {said}"
        for facts, answers in zip(EVERYONE, stock, strict=True)
        for (target, kind), said in zip(TARGETS, answers, strict=True)
        if (target, kind) not in REFUSED
        if matches(target, kind, facts, nodegroups=NODEGROUPS) is not said
    ]
    assert different == []


@pytest.mark.parametrize(("target", "kind"), REFUSED)
def test_what_makes_no_sense_matches_nobody(target: str, kind: str) -> None:
    assert not any(matches(target, kind, facts, nodegroups=NODEGROUPS) for facts in EVERYONE)


def test_a_negated_nodegroup_is_negated_as_a_whole() -> None:
    assert [
        matches(AS_ONE_TERM, "compound", facts, nodegroups=NODEGROUPS) for facts in EVERYONE
    ] == [
        False,
        True,
        True,
    ]


def stock_verdicts(version: str) -> list[list[bool]]:
    asked = {
        "facts": [vars(facts) for facts in EVERYONE],
        "targets": TARGETS,
        "nodegroups": NODEGROUPS,
    }
    script = Path(__file__).parent / "stock_matchers.py"
    done = subprocess.run(
        [stock_bin(version) / "python", script],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    answers: list[list[bool]] = json.loads(done.stdout)
    return answers
