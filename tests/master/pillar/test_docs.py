"""The example of docs/pillar.md is true."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.master.pillar._compiling import compiled

TEXT = (Path(__file__).parents[3] / "docs/pillar.md").read_text()
BLOCKS = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", TEXT, re.DOTALL))
GRAINS = re.findall(r"whose grains are `(\{.*?\})`", TEXT)


def test_the_minion_of_the_page_gets_the_pillar_of_the_page(tmp_path: Path) -> None:
    pillar = BLOCKS.pop("web1")
    assert len(BLOCKS) == 5
    (grains,) = map(yaml.safe_load, GRAINS)
    assert compiled(tmp_path, BLOCKS, "web1", grains=grains) == yaml.safe_load(pillar)
