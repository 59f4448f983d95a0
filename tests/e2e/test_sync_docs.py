"""What docs/modules.md says of modules that come from the master, run as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests._daemons import BIN, GreensaltMaster, GreensaltMinion, run, short_dir
from tests.e2e.test_fileserver_docs import commands

TEXT = (Path(__file__).parents[2] / "docs/modules.md").read_text()


def answer(master: GreensaltMaster, words: list[str]) -> str:
    """What a command of the page prints."""
    if words[:2] == ["greensalt", "run"]:
        return run(BIN / "greensalt", "run", "-c", master.dir, *words[2:]).stdout
    return master.run_cli(*words[1:]).stdout


def test_the_example_is_true() -> None:
    garden = re.search(r"`garden\.py`:\n\n```python\n(.*?)```", TEXT, re.DOTALL)
    site = re.search(r"`/srv/salt/_grains/site\.py`.*?```python\n(.*?)```", TEXT, re.DOTALL)
    assert garden is not None
    assert site is not None
    modules, others = commands(TEXT[: site.start()]), commands(TEXT[site.end() :])
    assert (len(modules), len(others)) == (3, 4)
    with short_dir() as where:
        srv = where / "srv"
        (srv / "_modules").mkdir(parents=True)
        (srv / "_grains").mkdir()
        (srv / "_modules/garden.py").write_text(garden[1])
        roots = {"base": [str(srv)]}
        with (
            GreensaltMaster(where, auto_accept=True, file_roots=roots) as master,
            GreensaltMinion(where, "web1", master.ret_port),
        ):
            for words, output in modules:
                assert json.loads(answer(master, words)) == json.loads(output), words
            (srv / "_grains/site.py").write_text(site[1])
            (srv / "_runners").mkdir()
            # A runner knows the master, no minion.
            text = garden[1].partition("def report")[0].replace("minion.context", "master.context")
            (srv / "_runners/shed.py").write_text(text.replace("Context", "MasterContext"))
            for words, output in others:
                assert json.loads(answer(master, words)) == json.loads(output), words
