"""Access lists decide as those of stock Salt do, but where docs/access.md says otherwise.

Each row is asked of stock Salt's own code, in its own interpreter, and of greensalt's.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import pytest

from greensalt.config import MasterConfig
from greensalt.errors import AuthorizationError, SaltInvocationError
from greensalt.master.access import Access, Caller
from greensalt.master.access.eauth import rules_of
from greensalt.target import expected
from tests._daemons import NEWEST, stock_bin

IDS: Final = ("db1", "db2", "web1", "web2")
KWARG: Final = {"__kwarg__": True}
ARGS: Final = {
    "cmd.run": [{"args": ["uptime$"]}, {"args": ["ls", None], "kwargs": {"cwd": "/tmp"}}]
}
BY_WEB: Final = {"web*": ["test.ping", "pkg.*"]}
TAKES_A: Final = {"*": [{"t.x": {"kwargs": {"a": None}}}]}
TAKES_1: Final = {"*": [{"t.x": {"kwargs": {"a": "1"}}}]}
LIST_2020: Final = {"@runner": [{"jobs.list_job": {"args": ["2020"]}}]}
LIST_2: Final = {"@jobs": [{"list_job": {"kwargs": {"jid": "2"}}}]}

# rules, functions, arguments, target, target type
JOBS: Final[list[tuple[Any, Any, Any, Any, str]]] = [
    ([], "test.ping", [], "*", "glob"),
    ([".*"], "test.ping", [], "*", "glob"),
    (["test.*"], "test.ping", [], "*", "glob"),
    (["test.*"], "cmd.run", ["id"], "*", "glob"),
    (["test"], "test.ping", [], "*", "glob"),
    (["ping"], "test.ping", [], "*", "glob"),
    (["test.ping$"], "test.pings", [], "*", "glob"),
    (["test.ping"], "test.pings", [], "*", "glob"),
    (["*"], "test.ping", [], "*", "glob"),
    (["(", "test.*"], "test.ping", [], "*", "glob"),
    (["@runner"], "test.ping", [], "*", "glob"),
    (["@test"], "test.ping", [], "*", "glob"),
    ([{"@runner": [".*"]}], "test.ping", [], "*", "glob"),
    ([BY_WEB], "test.ping", [], "web*", "glob"),
    ([BY_WEB], "test.ping", [], "web1", "glob"),
    ([BY_WEB], "test.ping", [], "*", "glob"),
    ([BY_WEB], "test.ping", [], ["web1", "web2"], "list"),
    ([BY_WEB], "test.ping", [], ["web1", "db1"], "list"),
    ([BY_WEB], "test.ping", [], "web.", "pcre"),
    ([BY_WEB], "test.ping", [], "web* and not web2", "compound"),
    ([BY_WEB], "test.ping", [], "web* or db1", "compound"),
    ([BY_WEB], "pkg.install", ["vim"], "web1", "glob"),
    ([BY_WEB], "cmd.run", ["id"], "web1", "glob"),
    ([{"*": ["test.*"]}], "test.ping", [], "*", "glob"),
    ([{"L@db1,web1 or db2": ["test.*"]}], "test.ping", [], "db*", "glob"),
    ([{"not web*": ["test.*"]}], "test.ping", [], "db*", "glob"),
    ([{"E@db[12]": ["test.*"]}], "test.ping", [], "db*", "glob"),
    ([{"web*": "test.*"}], "test.ping", [], "web1", "glob"),
    ([BY_WEB, "cmd.run"], "cmd.run", ["id"], "*", "glob"),
    ([{"*": [ARGS]}], "cmd.run", ["uptime"], "*", "glob"),
    ([{"*": [ARGS]}], "cmd.run", ["uptime; reboot"], "*", "glob"),
    ([{"*": [ARGS]}], "cmd.run", [], "*", "glob"),
    ([{"*": [ARGS]}], "cmd.run", ["uptime", "more"], "*", "glob"),
    ([{"*": [ARGS]}], "cmd.run", ["ls", 5, {**KWARG, "cwd": "/tmp/x"}], "*", "glob"),
    ([{"*": [ARGS]}], "cmd.run", ["ls", 5, {**KWARG, "cwd": "/"}], "*", "glob"),
    ([{"*": [ARGS]}], "cmd.run", ["ls", 5], "*", "glob"),
    ([{"*": [ARGS]}], "cmd.run", ["ls", {**KWARG, "cwd": "/tmp"}], "*", "glob"),
    ([{"*": [ARGS]}], "test.ping", [], "*", "glob"),
    ([TAKES_A], "t.x", [{**KWARG, "a": 1}], "*", "glob"),
    ([TAKES_A], "t.x", [{**KWARG, "b": 1}], "*", "glob"),
    ([TAKES_1], "t.x", [{**KWARG, "a": 12}], "*", "glob"),
    ([TAKES_1], "t.x", [{**KWARG, "a": 2}], "*", "glob"),
    ([{"*": [{"test.arg": {"args": ["1"]}}]}], "test.arg", [12], "*", "glob"),
    ([{"*": [{"test.arg": "x"}]}], "test.arg", ["x"], "*", "glob"),
    ([{"*": [{"test.arg": {}}]}], "test.arg", ["x"], "*", "glob"),
    ([{"*": [{"test.*": {"args": ["a"]}}]}], "test.arg", ["abc"], "*", "glob"),
    (["test.*"], ["test.ping", "test.arg"], [[], []], "*", "glob"),
    (["cmd.*"], ["test.ping", "test.arg"], [[], []], "*", "glob"),
    ([BY_WEB], ["test.ping", "pkg.install"], [[], []], "web1", "glob"),
    ([], "saltutil.find_job", ["20200101000000000000"], "*", "glob"),
    ([7, None, ["test.*"]], "test.ping", [], "*", "glob"),
]  # fmt: skip

# The same, and why greensalt decides otherwise: (stock's verdict, greensalt's)
MEANT: Final[list[tuple[tuple[Any, Any, Any, Any, str], tuple[bool, bool]]]] = [
    # Each function of a job needs the permission.
    ((["test.*"], ["test.ping", "cmd.run"], [[], ["id"]], "*", "glob"), (True, False)),
    (([BY_WEB], ["test.ping", "cmd.run"], [[], ["id"]], "web1", "glob"), (True, False)),
    (([], ["saltutil.find_job", "cmd.run"], [["1"], ["id"]], "*", "glob"), (True, False)),
    # Nobody is no permission.
    (([BY_WEB], "test.ping", [], "gone", "glob"), (True, False)),
    # A target that can't be parsed means nobody.
    (([{"( web*": ["test.*"]}], "test.ping", [], "web1", "glob"), (True, False)),
    # Minions take a text for a keyword argument.
    (([{"*": [{"t.x": {"args": ["a=1"]}}]}], "t.x", ["a=1"], "*", "glob"), (True, False)),
    (([TAKES_1], "t.x", ["a=2", {**KWARG, "a": 1}], "*", "glob"),
     (True, False)),
    (([TAKES_1], "t.x", ["a=1"], "*", "glob"), (False, True)),
    # Several entries cover a target together.
    (([{"web*": ["test.ping"]}, {"db*": ["test.ping"]}], "test.ping", [], "*", "glob"),
     (False, True)),
]  # fmt: skip

# rules, kind, function, arguments, keyword arguments
RUNS: Final[list[tuple[Any, str, str, list[Any], dict[str, Any]]]] = [
    ([], "runner", "manage.up", [], {}),
    ([".*"], "runner", "manage.up", [], {}),
    (["manage.*"], "runner", "manage.up", [], {}),
    (["@runner"], "runner", "manage.up", [], {}),
    (["@runners"], "runner", "manage.up", [], {}),
    (["@runner"], "wheel", "key.list_all", [], {}),
    (["@wheel"], "wheel", "key.list_all", [], {}),
    (["@wheels"], "wheel", "key.list_all", [], {}),
    (["@wheel"], "runner", "manage.up", [], {}),
    (["@jobs"], "runner", "jobs.list_jobs", [], {}),
    (["@jobs"], "runner", "manage.up", [], {}),
    (["@key"], "wheel", "key.list_all", [], {}),
    (["@manage.up"], "runner", "manage.up", [], {}),
    ([{"@runner": ["manage.*"]}], "runner", "manage.up", [], {}),
    ([{"@runner": ["manage.*"]}], "runner", "jobs.list_jobs", [], {}),
    ([{"@runners": ["manage.*"]}], "runner", "manage.up", [], {}),
    ([{"@runner": "manage.up"}], "runner", "manage.up", [], {}),
    ([{"@manage": ["up"]}], "runner", "manage.up", [], {}),
    ([{"@manage": ["up"]}], "runner", "manage.down", [], {}),
    ([{"@manage": ["manage.up"]}], "runner", "manage.up", [], {}),
    ([{"@wheel": ["key.list.*"]}], "wheel", "key.list_all", [], {}),
    ([{"@wheel": ["key.list.*"]}], "wheel", "key.delete", [], {}),
    ([LIST_2020], "runner", "jobs.list_job", ["2020"], {}),
    ([LIST_2020], "runner", "jobs.list_job", ["19"], {}),
    ([LIST_2], "runner", "jobs.list_job", [], {"jid": 2}),
    ([LIST_2], "runner", "jobs.list_job", [], {"jid": 1}),
    ([{"manage": ["up"]}], "runner", "manage.up", [], {}),
    (["@runner"], "runner", "manage", [], {}),
    (["@runner"], "runner", "a.b.c", [], {}),
]  # fmt: skip

SECTION: Final = {"fred": ["a"], "ops%": ["b"], "*": ["c"]}
USERS: Final = [
    (SECTION, name, groups, permissive)
    for name in ("fred", "ann")
    for groups in ([], ["ops"], ["others"])
    for permissive in (False, True)
]


class Roster:
    """The minions of the table."""

    def ids(self) -> Collection[str]:
        return IDS

    def grains(self, minion_id: str, /) -> dict[str, Any]:
        return {"id": minion_id}

    def pillar(self, minion_id: str, /) -> dict[str, Any]:
        return {}


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    table = {
        "dir": str(tmp_path_factory.mktemp("stock")),
        "ids": IDS,
        "jobs": [*JOBS, *(row for row, _ in MEANT)],
        "runs": RUNS,
        "users": USERS,
    }
    done = subprocess.run(
        [stock_bin(NEWEST) / "python", Path(__file__).with_name("_stock_access.py")],
        input=repr(table),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.fixture(scope="module")
def access() -> Access:
    return Access(MasterConfig(), Roster())


def may_publish(access: Access, row: tuple[Any, Any, Any, Any, str]) -> bool:
    rules, fun, arg, tgt, tgt_type = row
    minions = expected(tgt, tgt_type, Roster()).minions
    try:
        access.authorize(Caller("fred", "pam", tuple(rules)), {"fun": fun, "arg": arg}, minions)
    except AuthorizationError:
        return False
    return True


@pytest.mark.parametrize("number", range(len(JOBS)), ids=lambda number: repr(JOBS[number])[:80])
def test_a_job_is_allowed_as_by_stock(stock: dict[str, Any], access: Access, number: int) -> None:
    assert may_publish(access, JOBS[number]) is stock["jobs"][number]


@pytest.mark.parametrize("number", range(len(MEANT)), ids=lambda number: repr(MEANT[number])[:80])
def test_where_the_verdicts_differ_it_is_meant(
    stock: dict[str, Any], access: Access, number: int
) -> None:
    row, (of_stock, of_greensalt) = MEANT[number]
    assert stock["jobs"][len(JOBS) + number] is of_stock
    assert may_publish(access, row) is of_greensalt


@pytest.mark.parametrize("number", range(len(RUNS)), ids=lambda number: repr(RUNS[number])[:80])
def test_a_run_is_allowed_as_by_stock(stock: dict[str, Any], access: Access, number: int) -> None:
    rules, kind, fun, arg, kwarg = RUNS[number]
    try:
        access.authorize_run(Caller("fred", "pam", tuple(rules)), kind, fun, arg, kwarg)  # type: ignore[arg-type]  # a row's text
        allowed = True
    except (AuthorizationError, SaltInvocationError):
        allowed = False
    assert allowed is stock["runs"][number]


@pytest.mark.parametrize("number", range(len(USERS)))
def test_a_user_has_the_rules_as_by_stock(stock: dict[str, Any], number: int) -> None:
    section, name, groups, permissive = USERS[number]
    found = rules_of(section, name, groups, permissive)
    if permissive:  # stock looks for `*` among the names then, where nobody has it
        assert found == (*stock["users"][number], "c")
    else:
        assert sorted(found) == sorted(stock["users"][number])


def test_the_table_has_verdicts_of_both_kinds(stock: dict[str, Any]) -> None:
    assert len(JOBS) + len(RUNS) > 40
    assert {*stock["jobs"][: len(JOBS)]} == {*stock["runs"]} == {True, False}
