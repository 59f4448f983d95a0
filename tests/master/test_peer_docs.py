"""The examples of docs/peer.md are true."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests._bench import Bench

TEXT = (Path(__file__).parents[2] / "docs/peer.md").read_text()
OPTIONS = {
    name: value
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    for name, value in yaml.safe_load(block).items()
}
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in TEXT.splitlines()
    if line.startswith("|") and "---" not in line and "who asks" not in line
]


@pytest.mark.parametrize(("who", "tgt", "fun", "is_run"), ROWS)
def test_the_table_of_peer_is_true(
    bench: Callable[..., Bench], who: str, tgt: str, fun: str, is_run: str
) -> None:
    made = bench(auto_accept=True, **OPTIONS)
    peers = {minion_id: made.peer(minion_id) for minion_id in ("web1", "db1", "monitor")}
    arg = [""] * len(fun.split(",")) if "," in fun else []
    answer = peers[who].request("minion_pub", tgt=tgt, fun=fun, arg=arg, ret="", tgt_type="glob")
    assert bool(answer) is (is_run == "yes")


def test_the_page_has_rows_of_both_kinds() -> None:
    assert {row[-1] for row in ROWS} == {"yes", "no"}
    assert set(OPTIONS) == {"peer", "peer_run", "mine_get"}
