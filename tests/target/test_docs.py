"""The examples of docs/targeting.md are true."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from greensalt.errors import TargetError
from greensalt.target import expand_compound, expected

TEXT = (Path(__file__).parents[2] / "docs/targeting.md").read_text()
FLEET, GROUPS = (
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
)


def rows(columns: int) -> list[list[str]]:
    """The rows of all tables with so many columns, without their heads and rules."""
    lines = (
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in TEXT.splitlines()
        if line.startswith("|")
    )
    return [
        [cell.replace("\\|", "|") for cell in cells]
        for cells in lines
        if len(cells) == columns and "---" not in cells and "target" not in cells
    ]


class Roster:
    """The minions of the page."""

    def ids(self) -> Collection[str]:
        names: Collection[str] = FLEET.keys()
        return names

    def grains(self, minion_id: str) -> Mapping[str, Any] | None:
        grains: Mapping[str, Any] = FLEET[minion_id]["grains"]
        return grains

    def pillar(self, minion_id: str) -> Mapping[str, Any] | None:
        pillar: Mapping[str, Any] = FLEET[minion_id]["pillar"]
        return pillar


@pytest.mark.parametrize(("_flag", "kind", "target", "minions"), rows(4))
def test_a_target_means_the_minions_of_its_row(
    _flag: str, kind: str, target: str, minions: str
) -> None:
    found = expected(target.strip("`"), kind.strip("`"), Roster(), nodegroups=GROUPS).minions
    short = sorted(minion_id.removesuffix(".example.com") for minion_id in found)
    assert short == sorted(minions.replace("none", "").split())


@pytest.mark.parametrize(("target", "wrong"), rows(2))
def test_a_slip_is_told_as_in_its_row(target: str, wrong: str) -> None:
    kind = "pcre" if target.endswith("`-E`") else "compound"
    with pytest.raises(TargetError, match=re.escape(wrong)):
        expected(target.split("`")[1], kind, Roster(), nodegroups=GROUPS)


def test_a_nodegroup_goes_out_as_the_page_says() -> None:
    assert f"`{expand_compound('not N@web', GROUPS)}`" in TEXT


def test_the_tables_are_found() -> None:
    assert len(rows(4)) == 30
    assert len(rows(2)) == 8
