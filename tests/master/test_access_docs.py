"""The examples of docs/access.md are true."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import yaml

from greensalt.config import MasterConfig
from greensalt.errors import AuthorizationError
from greensalt.master.access import Access, Caller
from greensalt.master.access.backends import Backend
from greensalt.master.access.eauth import rules_of

TEXT = (Path(__file__).parents[2] / "docs/access.md").read_text()
(SECTION,) = (
    yaml.safe_load(block)["external_auth"]["pam"]
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
)
GROUPS = {"olga": ("ops",)}
ROWS = [
    cells
    for line in TEXT.splitlines()
    if line.startswith("|")
    and len(cells := [cell.strip() for cell in line.split("|")[1:-1]]) == 5
    and cells[-1] in ("yes", "no")
]
MINIONS = ("db1", "web1", "web2")


class Roster:
    """Three minions."""

    def ids(self) -> Collection[str]:
        return MINIONS

    def grains(self, minion_id: str, /) -> dict[str, Any]:
        return {"id": minion_id}

    def pillar(self, minion_id: str, /) -> dict[str, Any]:
        return {"id": minion_id}


def is_allowed(access: Access, caller: Caller, tgt: str, fun: str, arg: list[str]) -> bool:
    try:
        if tgt in ("runner", "wheel"):
            access.authorize_run(caller, tgt, fun, arg)  # type: ignore[arg-type]  # just tested
        else:
            minions = [each for each in MINIONS if re.match(tgt.replace("*", ".*"), each)]
            access.authorize(caller, {"fun": fun, "arg": arg}, minions)
    except AuthorizationError:
        return False
    return True


@pytest.mark.parametrize(("user", "tgt", "fun", "arg", "allowed"), ROWS)
def test_the_table_of_external_auth_is_true(
    user: str, tgt: str, fun: str, arg: str, allowed: str
) -> None:
    access = Access(MasterConfig(), Roster())
    rules = rules_of(SECTION, user, GROUPS.get(user, ()), permissive=False)
    args = [arg] if ";" in arg else arg.split()
    assert is_allowed(access, Caller(user, "pam", rules), tgt, fun, args) is (allowed == "yes")


def test_the_page_has_rows_of_both_kinds() -> None:
    assert len(ROWS) == 20
    assert {row[-1] for row in ROWS} == {"yes", "no"}


def test_the_back_end_of_the_page_is_one() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # the page's own example
    make: Callable[..., Backend] = names["Colleagues"]
    made = make({"badge": "blue"}, MasterConfig())
    assert isinstance(made, Backend)
    assert made.verify("ann", "blue")
    assert not made.verify("ann", "red")
    assert made.groups("ann") == ["ops"]
