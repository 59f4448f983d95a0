"""`master_tops`: docs/tops.md, docs/protocol.md 6.2."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from greensalt.errors import ConfigError
from tests._bench import Bench

Make = Callable[..., Bench]
TEXT = (Path(__file__).parents[2] / "docs/tops.md").read_text()
CONFIG, OUTPUT, INVENTORY = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
(PLUGIN,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def ask(made: Bench, minion_id: str = "web1", **opts: Any) -> Any:
    return made.peer(minion_id).request("_master_tops", opts=opts)


def command(short_dir: Path, script: str) -> str:
    path = short_dir / "classify"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def plug_in(bench: Make, code: str, given: Any = None, **options: Any) -> Bench:
    """A master with the plug-in `inventory`."""
    made = bench(auto_accept=True)
    tops = Path(made.config.extension_modules) / "tops"
    tops.mkdir(parents=True)
    (tops / "inventory.py").write_text(code)
    made.options.update(master_tops={"inventory": given, **options})
    made.restart()
    return made


def test_without_sources_there_are_no_tops(bench: Make) -> None:
    assert ask(bench(auto_accept=True)) == {}


def test_a_command_says_which_states_a_minion_gets(bench: Make, short_dir: Path) -> None:
    """The command and its output are those of the page."""
    (given,) = yaml.safe_load(CONFIG)["master_tops"].values()
    script = command(short_dir, f"echo \"$@\" > {short_dir}/asked\ncat <<'END'\n{OUTPUT}END")
    made = bench(auto_accept=True, master_tops={"ext_nodes": f"{script} {given.split()[1]}"})
    assert ask(made) == {"base": ["users", "web.server"]}
    assert (short_dir / "asked").read_text() == "--all web1\n"


@pytest.mark.parametrize(
    ("output", "tops"),
    [
        ("classes: [a, b]", {"base": ["a", "b"]}),
        ("classes: {a: , b: {x: 1}}", {"base": ["a", "b"]}),
        ("{environment: dev, classes: [a]}", {"dev": ["a"]}),
        ("{environment: dev}", {"dev": []}),
        ("", {}),
    ],
)
def test_classes_are_a_list_or_a_map(
    bench: Make, short_dir: Path, output: str, tops: dict[str, list[str]]
) -> None:
    script = command(short_dir, f"echo '{output}'")
    assert ask(bench(auto_accept=True, master_tops={"ext_nodes": script})) == tops


def test_a_command_sees_no_shell(bench: Make, short_dir: Path) -> None:
    """CVE-2020-16846 and its like."""
    script = command(short_dir, "echo \"classes: ['$1']\"")
    made = bench(auto_accept=True, master_tops={"ext_nodes": f"{script} '$(id);`id`'"})
    assert ask(made) == {"base": ["$(id);`id`"]}


@pytest.mark.parametrize(
    "script",
    ["exit 3", "echo '[1, 2]'", "echo 'classes: 7'", "echo '{'", "head -c 2000000 /dev/zero"],
)
def test_a_source_that_fails_is_left_out_and_said(
    bench: Make, short_dir: Path, script: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = plug_in(
        bench, "def top(**_): return {'base': ['a']}", ext_nodes=command(short_dir, script)
    )
    assert ask(made) == {"base": ["a"]}
    assert made.master.tops.failures == 1
    assert "master_tops: ext_nodes failed for web1" in caplog.text


def test_a_plug_in_says_which_states_a_minion_gets(bench: Make) -> None:
    """The plug-in of the page."""
    made = plug_in(bench, PLUGIN, yaml.safe_load(INVENTORY)["master_tops"]["inventory"])
    assert ask(made) == {"base": ["web.server", "users"]}
    assert ask(made, "db1") == {"base": []}


def test_whom_it_is_about_says_the_session(bench: Make) -> None:
    code = "def top(opts, grains): return {opts['id']: [grains['id'], grains['os']]}"
    made = plug_in(bench, code)
    forged: dict[str, Any] = {"id": "db1", "grains": {"id": "db1", "os": "x"}}
    assert ask(made, **forged) == {"web1": ["web1", "x"]}
    assert made.peer("web1").request("_master_tops", opts=7) == {}  # no grain: the plug-in fails


def test_sources_are_merged_and_a_state_counts_once(bench: Make, short_dir: Path) -> None:
    script = command(short_dir, "echo 'classes: [b, c]'")
    made = plug_in(
        bench, "def top(**_): return {'base': ['a', 'b'], 'dev': ['d']}", ext_nodes=script
    )
    assert ask(made) == {"base": ["a", "b", "c"], "dev": ["d"]}


@pytest.mark.parametrize("given", [{"nowhere": 1}, {"ext_nodes": ""}, {"ext_nodes": "a 'b"}])
def test_a_source_that_is_none_keeps_the_master_from_starting(bench: Make, given: Any) -> None:
    with pytest.raises(ConfigError, match="master_tops"):
        bench(auto_accept=True, master_tops=given)


@pytest.mark.parametrize("wanted", [True, False])
def test_events_of_the_data_cache_can_be_switched_off(bench: Make, wanted: bool) -> None:
    made = bench(auto_accept=True, minion_data_cache_events=wanted)
    listener = made.listen("minion/refresh/")
    made.peer("m1").request("_pillar", grains={"os": "x"})
    assert made.master.cache.grains("m1") == {"os": "x", "id": "m1"}
    assert (listener.next(60 if wanted else 0.2) is not None) is wanted
