"""docs/runners.md is true: its tables are whole, its examples give what it says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from greensalt.functions.loader import Loader
from tests._daemons import BIN, GreensaltMaster, run, short_dir
from tests._peer import key

TEXT = (Path(__file__).parents[2] / "docs/runners.md").read_text()
COMMANDS = [
    (line, output)
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    for line, _, output in (part.partition("\n") for part in block.split("$ ")[1:])
]


def table(heading: str) -> set[str]:
    """The functions that the table below a heading names."""
    text = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
    return {f"{module}.{name}" for module, names in rows for name in re.findall(r"`(\w+)`", names)}


@pytest.mark.parametrize(
    ("heading", "package"),
    [("Runners", "greensalt.runners"), ("Wheel functions", "greensalt.wheels")],
)
def test_the_tables_name_every_function(heading: str, package: str) -> None:
    assert table(heading) == set(Loader(package=package).names())


@pytest.fixture(scope="module", name="house")
def _house() -> Iterator[Path]:
    """The configuration directory of a master that knows web1 and the SLS of the page."""
    sls = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert sls is not None
    with short_dir() as where:
        (where / "files").mkdir()
        (where / "files/deploy.sls").write_text(sls[1])
        options: dict[str, Any] = {
            "keysize": 2048,
            "nodegroups": {"web": "L@web1"},
            "file_roots": {"base": [str(where / "files")]},
        }
        with GreensaltMaster(where, **options) as master:
            accepted = master.pki_dir / "minions/web1"
            accepted.write_text(key(0).public.pem)
            minion = {"root_dir": str(where / "r"), "id": "web1"}
            (master.dir / "minion").write_text(yaml.safe_dump(minion))
            yield master.dir


@pytest.mark.parametrize(("line", "output"), COMMANDS)
def test_the_examples_say_what_the_page_says(house: Path, line: str, output: str) -> None:
    program, command, *words = shlex.split(line)
    done = run(BIN / program, command, "-c", house, *words)
    assert done.returncode == 0, done.stderr + done.stdout
    if output.strip():
        assert done.stdout == output
    else:
        assert "Succeeded: 2 (changed=2)" in done.stdout


def test_the_runner_of_the_page_can_be_loaded(tmp_path: Path) -> None:
    source = re.search(r"```python\n(# /srv/runners/fleet.py\n.*?)```", TEXT, re.DOTALL)
    assert source is not None
    (tmp_path / "fleet.py").write_text(source[1])
    assert Loader([tmp_path], package="greensalt.runners").function("fleet.restart") is not None
