"""tools/serializers: what it measures, and the page that it makes of a recorded run."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from greensalt.serializers import MSGPACK, names
from tests._daemons import ROOT
from tools.serializers.advice import ACCEPTED, advice
from tools.serializers.micro import loads
from tools.serializers.page import files

DOCS = ROOT / "docs"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(name="run")
def _run() -> Any:
    return json.loads((DOCS / "serializers" / "run.json").read_text())


def tool(*options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "tools.serializers", *options]
    return subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True, timeout=110)


def test_payloads_are_the_same_at_every_run_and_of_the_sizes_they_claim() -> None:
    sizes = {name: len(MSGPACK.dumps(load)) for name, load in loads().items()}
    assert loads() == loads()
    limits = {
        "ping": (400, 600),  # 200 bytes and its tok
        "grains": (6_500, 9_500),
        "text": (60_000, 72_000),
        "highstate": (52_000, 70_000),
        "binary": (262_144, 263_000),
    }
    assert {
        name for name, (least, most) in limits.items() if not least < sizes[name] < most
    } == set()


def test_it_measures_every_payload_with_every_codec() -> None:
    done = tool("--micro", "--micro-s", "0")
    assert (done.returncode, done.stderr) == (0, "")
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(row["codec"], row["payload"]) for row in measured} == {
        (codec, payload) for codec in names() for payload in loads()
    }
    for row in measured:
        assert min(row["bytes"], row["encode_us"], row["decode_us"], row["peak_kib"]) > 0


def test_the_page_and_its_plots_are_those_of_the_recorded_run(run: Any) -> None:
    """Who has changed one of them by hand, or how they are made: `tools.serializers --page`."""
    for name, text in files(run).items():
        assert (DOCS / name).read_text() == text, name
    assert {path.name for path in (DOCS / "serializers").iterdir()} == {
        *(Path(name).name for name in files(run) if name.endswith(".svg")),
        "run.json",
    }


def test_the_record_has_every_codec_and_payload_and_no_failure(run: Any) -> None:
    rows = {(row["lane"], row["name"]): row for row in run["together"]["rows"]}
    for codec in names():
        for payload in loads():
            for what in ("publish acknowledged", ACCEPTED):
                assert rows[codec, f"{payload}: {what}"]["requests"] > 0
    assert {row["failures"] for row in rows.values()} == {0}
    assert [each["codec"] for each in run["alone"]] == list(run["libraries"])
    assert set(run["libraries"]) == set(names())
    assert str(ROOT) not in json.dumps(run)


def test_a_figure_of_the_record_stands_in_the_page(run: Any) -> None:
    changed = copy.deepcopy(run)
    row = next(r for r in changed["together"]["rows"] if r["name"] == f"grains: {ACCEPTED}")
    row["p95_ms"] = row["p99_ms"] = 98_765.0
    assert "98,765 / 98,765" in files(changed)["serializers.md"]
    assert files(changed)["serializers/return.svg"] != files(run)["serializers/return.svg"]


@pytest.mark.parametrize(("factor", "verb"), [(0.1, "less"), (10.0, "more")])
def test_the_advice_follows_the_figures(run: Any, factor: float, verb: str) -> None:
    """All alike but one, which is distinctly quicker or slower."""
    for row in run["together"]["rows"]:
        row["p50_ms"] = 5.0
        if (row["lane"], row["name"]) == ("orjson", f"text: {ACCEPTED}"):
            row["p50_ms"] *= factor
    said = advice(run)
    assert f"distinctly {verb}" in said
    assert f"**orjson** for text ({factor:.2f})" in said
    assert said.count(" for text (") == 1


def test_codecs_that_differ_by_less_than_the_noise_are_called_alike(run: Any) -> None:
    for number, row in enumerate(run["together"]["rows"]):
        row["p50_ms"] = 5.0 + number % 2
        if row["name"].endswith(ACCEPTED):
            row["p50_ms"] = 5.0 if row["lane"] == MSGPACK.name else 5.5
        elif row["name"] == "ping: publish acknowledged":
            row["p50_ms"] = 10.0
    said = advice(run)
    assert "No other codec got any payload accepted distinctly sooner." in said
    assert "None got a payload accepted distinctly later." in said


def test_plots_are_svg_with_a_title_axes_and_a_row_for_every_codec(run: Any) -> None:
    for name, text in files(run).items():
        if not name.endswith(".svg"):
            continue
        root = ET.fromstring(text)
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        words = [each.text for each in root.iter(f"{SVG}text")]
        assert all(codec in words for codec in names()), name
        assert root.find(f"{SVG}title") is not None
        assert "prefers-color-scheme: dark" in text
        for mark in [*root.iter(f"{SVG}rect"), *root.iter(f"{SVG}text")]:
            assert 0 <= float(mark.attrib["x"]) <= width
            assert 0 <= float(mark.attrib["y"]) <= height


@pytest.mark.e2e
def test_a_small_fresh_record_makes_a_page(tmp_path: Path) -> None:
    options = ["--micro-s", "0", "--together-s", "14", "--alone-s", "3", "--users", "3"]
    done = tool("--docs", str(tmp_path), "--codec", "orjson", "--pause-s", "0.05", *options)
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "serializers" / "run.json").read_text())
    assert [each["codec"] for each in measured["alone"]] == ["msgpack", "orjson"]
    for each in measured["alone"]:
        assert each["cpu_ms"] > 0
        assert each["memory_mib"] > 10
    page = (tmp_path / "serializers.md").read_text()
    assert page == files(measured)["serializers.md"]
    assert page.count("| orjson |") == 2 * len(loads()) + 2
