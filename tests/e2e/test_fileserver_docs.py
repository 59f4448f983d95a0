"""The example of docs/fileserver.md, run as it stands there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import yaml

from tests._daemons import GreensaltMaster, GreensaltMinion, short_dir

TEXT = (Path(__file__).parents[2] / "docs/fileserver.md").read_text()


def commands(text: str) -> list[tuple[list[str], str]]:
    """The words of each command of the page, and what it says."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in block.split("$ ")[1:]:
            line, _, output = part.partition("\n")
            found.append((shlex.split(line), output))
    return found


def test_the_example_is_true() -> None:
    with short_dir() as where:
        text = TEXT.replace("/srv/", f"{where}/srv/")
        found = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
        assert found is not None
        config = yaml.safe_load(found[1])
        ran = 0
        for words, output in commands(text):
            if words[0] == "cat":
                place = Path(words[1])
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(output)
        (where / "srv/secret").write_text("nobody's business")
        with (
            GreensaltMaster(where, auto_accept=True, **config) as master,
            GreensaltMinion(where, "web1", master.ret_port),
        ):
            for words, output in commands(text):
                if words[0] == "greensalt-cli":
                    done = master.run_cli(*words[1:])
                    assert json.loads(done.stdout) == json.loads(output), words
                    ran += 1
            kept = master.cache_dir / "minions/web1/files/copies/motd"
            assert kept.read_text() == "Welcome.\n"
        assert ran == 6
