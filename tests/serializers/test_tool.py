"""tools/serializers: every codec measured on every payload."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from greensalt.serializers import MSGPACK, names
from tests._daemons import ROOT
from tools.serializers.payloads import payloads


def test_payloads_are_the_same_at_every_run_and_of_the_sizes_they_claim() -> None:
    sizes = {name: len(MSGPACK.dumps(load)) for name, load in payloads().items()}
    assert payloads() == payloads()
    limits = {
        "test.ping": (400, 600),  # 200 bytes and its tok
        "grains": (6_500, 9_500),
        "cmd.run, 64 KiB": (65_536, 66_500),
        "highstate": (52_000, 70_000),
        "binary, 256 KiB": (262_144, 263_000),
    }
    assert {
        name for name, (least, most) in limits.items() if not least < sizes[name] < most
    } == set()


def test_it_prints_a_table_of_every_payload_with_every_codec(tmp_path: Path) -> None:
    figures, text = tmp_path / "figures.json", tmp_path / "tables.md"
    options = ["--seconds", "0", "--json", str(figures), "--out", str(text)]
    done = subprocess.run(
        [sys.executable, "-m", "tools.serializers", *options],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert text.read_text() == done.stdout
    measured = json.loads(figures.read_text())
    assert list(measured) == list(payloads())
    for by_codec in measured.values():
        assert set(by_codec) == set(names())
        for row in by_codec.values():
            assert min(row["bytes"], row["encode_us"], row["decode_us"]) > 0
    for name in names():
        assert done.stdout.count(f"| {name} |") == len(measured) + 1
