"""What docs/modules.md says is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from greensalt.functions.loader import Loader
from tests._calls import Caller

DOCUMENT = Path(__file__).parents[2] / "docs" / "modules.md"


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    """A minion with the example of the document as its only module."""
    found = re.search(r"`garden\.py`:\n\n```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    (tmp_path / "mods").mkdir()
    (tmp_path / "mods" / "garden.py").write_text(found[1])
    return Caller(tmp_path, tmp_path / "mods")


def test_the_example_works(caller: Caller) -> None:
    assert caller.call("garden.water", 10, "roses", "tulips") == {"roses": 5, "tulips": 5}
    assert caller.call("garden.list") == ["roses", "tulips"]
    assert re.fullmatch(r"mouse: \d+%", caller.call("garden.report"))
    ((bus, tag, data),) = caller.ear.fired
    assert (bus, tag, data["machine"]) == ("master", "garden/report", "mouse")


def test_the_example_fails_as_it_says(caller: Caller) -> None:
    assert caller.job("garden.water").ret == "ERROR: there are no beds"
    assert caller.job("garden.water", -1, "roses").ret == (
        "ERROR executing 'garden.water': can't water with -1 litres"
    )
    assert caller.job("garden.water", "colour=red").ret.endswith("not valid: colour=red")


def test_the_example_is_documented_like_a_built_in_module(caller: Caller) -> None:
    assert caller.call("sys.list_functions", "garden") == [
        "garden.list",
        "garden.report",
        "garden.water",
    ]
    assert "greensalt-cli '*' garden.list" in caller.call("sys.doc", "garden.list")["garden.list"]
    assert caller.call("sys.argspec", "garden.report")["garden.report"]["args"] is None


def test_every_built_in_module_is_listed() -> None:
    table = DOCUMENT.read_text().partition("## Writing one")[0]
    listed = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) | {"group"}
    assert set(Loader().modules()) | {"service", "pkg"} == listed
