"""The same reactor files on a stock master and on ours: the same jobs for the same event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests._daemons import (
    BIN,
    NEWEST,
    READY_S,
    GreensaltMaster,
    Master,
    StockMaster,
    run,
    short_dir,
    stock_bin,
)
from tests._peer import key

FILES = {
    "new": """
by args {{ data['number'] }}:
  local.test.arg:
    - tgt: 'n*'
    - args:
      - tag: {{ tag }}
      - number: {{ data['number'] }}
      - list: [1, two]
""",
    "old": """
low data:
  cmd.test.arg_type:
    - tgt: n1 or n2
    - tgt_type: compound
    - arg:
      - {{ data['number'] }}
      - 20260101000000000000
    - kwarg:
        colour: green
""",
    "lists": """
short:
  local:
    - test.ping
    - tgt: 'n2'
    - args: {a: 1}
""",
}
COMPARED = ("Function", "Arguments", "Target", "Target-type", "User")


def _run(master: Master, *words: str) -> Any:
    """The result of a runner."""
    ours = isinstance(master, GreensaltMaster)
    command = (BIN / "greensalt", "run") if ours else (stock_bin(NEWEST) / "salt-run",)
    return json.loads(run(*command, "-c", master.dir, "--out=json", *words).stdout)


def _jobs(master: Master) -> list[dict[str, Any]]:
    """What is published for one event, in the order of the functions."""

    def listed() -> list[dict[str, Any]] | None:
        found = _run(master, "jobs.list_jobs", "search_target=n*").values()
        return list(found) if len(found) >= len(FILES) else None

    assert _run(master, "event.send", "my/deep/event", "{number: 7}") is True
    found = master.child.wait_until(listed, "its reactions", READY_S)
    assert len(found) == len(FILES)
    compared = [{name: job[name] for name in COMPARED} for job in found]
    return sorted(compared, key=lambda job: str(job["Function"]))


def _give_minions(master: Master, pem: str) -> None:
    accepted = master.pki_dir / "minions"
    accepted.mkdir(parents=True, exist_ok=True)
    for minion_id in ("n1", "n2"):
        (accepted / minion_id).write_text(pem)


def _options(where: Path) -> dict[str, Any]:
    for name, text in FILES.items():
        (where / f"{name}.sls").write_text(text)
    paths = [str(where / "new.sls"), str(where / "[lo]*.sls")]
    return {"id": "boss", "keysize": 2048, "reactor": [{"my/*/event": paths}]}


def test_the_same_event_publishes_the_same_jobs() -> None:
    pem = key().public.pem
    with short_dir() as where:
        options = _options(where)
        ours = GreensaltMaster(where, "ours", **options)
        theirs = StockMaster(where, "theirs", **options)
        _give_minions(ours, pem)
        _give_minions(theirs, pem)
        with ours:
            our_jobs = _jobs(ours)
        with theirs:
            their_jobs = _jobs(theirs)
    assert our_jobs == their_jobs
    assert [job["Function"] for job in our_jobs] == ["test.arg", "test.arg_type", "test.ping"]
