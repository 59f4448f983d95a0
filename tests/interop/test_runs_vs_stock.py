"""greensalt run and greensalt call beside salt-run and salt-call: the same words on stdout."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests._daemons import BIN, NEWEST, GreensaltMaster, StockMaster, run, short_dir, stock_bin

Done = subprocess.CompletedProcess[str]
PINGED_NOBODY = "No minions matched the target. No command was sent, no jid was assigned."
NOBODY = "20200101000000000000"  # a jid that no job has


@pytest.fixture(scope="module", name="masters")
def _masters() -> Iterator[tuple[GreensaltMaster, StockMaster]]:
    with short_dir() as where:
        (where / "files").mkdir()
        (where / "files/a").write_text("a")
        options: dict[str, Any] = {
            "id": "boss",
            "keysize": 2048,
            "file_roots": {"base": [str(where / "files")]},
            "timeout": 1,
            "gather_job_timeout": 1,
        }
        with (
            GreensaltMaster(where, "ours", **options) as ours,
            StockMaster(where, "theirs", **options) as theirs,
        ):
            yield ours, theirs


def run_both(masters: tuple[GreensaltMaster, StockMaster], *words: str) -> tuple[Done, Done]:
    ours, theirs = masters
    return (
        run(BIN / "greensalt", "run", "-c", ours.dir, "--no-color", *words),
        run(stock_bin(NEWEST) / "salt-run", "-c", theirs.dir, "--no-color", *words),
    )


@pytest.mark.parametrize(
    "words",
    [
        ("test.arg", "1", "a", "b=2"),
        ("test.arg", "x", "--out=json"),
        ("test.arg", "x", "--out=yaml"),
        ("jobs.list_job", NOBODY),
        ("jobs.print_job", NOBODY),
        ("manage.status",),
        ("manage.status", "--out=json"),
        ("manage.joined",),
        ("manage.up",),
        ("fileserver.envs",),
        ("fileserver.file_list",),
        ("fileserver.update",),
        ("event.send", "my/tag", "{a: 1}"),
        ("state.orchestrate", "nosuch"),
    ],
    ids=" ".join,
)
def test_runners_print_the_same(
    masters: tuple[GreensaltMaster, StockMaster], words: tuple[str, ...]
) -> None:
    ours, theirs = run_both(masters, *words)
    # salt-run says on stdout that it pinged nobody, which greensalt does not do.
    assert ours.stdout.rstrip() == theirs.stdout.replace(f"{PINGED_NOBODY}\n", "").rstrip()
    assert ours.returncode == theirs.returncode


def test_unknown_functions_are_told_in_the_same_words(
    masters: tuple[GreensaltMaster, StockMaster],
) -> None:
    ours, theirs = run_both(masters, "test.nosuch")
    assert ours.stdout == theirs.stdout
    assert (ours.returncode, theirs.returncode) == (1, 0)  # docs/runners.md says why


def test_jobs_of_runners_have_the_same_fields(
    masters: tuple[GreensaltMaster, StockMaster],
) -> None:
    run_both(masters, "test.arg", "7")
    words = ("jobs.list_jobs", "search_function=runner.test.arg", "--out=json")
    listings = [json.loads(done.stdout) for done in run_both(masters, *words)]
    jids = [max(listing) for listing in listings]
    entries = [listing[jid] for listing, jid in zip(listings, jids, strict=True)]
    fields = ("Function", "Target", "Target-type", "User")
    assert entries[0].keys() == entries[1].keys()
    assert [entries[0][name] for name in fields] == [entries[1][name] for name in fields]
    ours, theirs = masters
    look = ("jobs.lookup_jid", "--out=json")
    found = [
        json.loads(done.stdout)["boss"]
        for done in (
            run(BIN / "greensalt", "run", "-c", ours.dir, *look, jids[0]),
            run(stock_bin(NEWEST) / "salt-run", "-c", theirs.dir, *look, jids[1]),
        )
    ]
    for each in found:
        del each["jid"], each["_stamp"]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "words",
    [
        ("test.ping",),
        ("test.ping", "--out=txt"),
        ("test.echo", "a: b", "--out=json"),
        ("test.nosuch",),
        ("cmd.run", "exit 3"),
        ("--retcode-passthrough", "cmd.run", "exit 3"),
        ("--retcode-passthrough", "test.retcode", "7"),
        ("test.ping", "--out=raw"),
        ("test.exception", "boom"),
        ("nosuch.fun", "--out=json"),
        ("grains.item", "id", "kernel"),
        ("test.outputter", "{a: [1, {b: c}]}"),
        ("--nosuch",),
        ("test.arg", "1", "a=b"),
        ("test.arg", "1", "--out=json"),
        ("--metadata", "--out=json", "test.echo", "x"),
        ("--metadata", "cmd.run", "exit 3"),
        ("--id", "other", "-l", "quiet", "grains.get", "id"),
        ("-l", "nosuch", "test.ping"),
    ],
    ids=" ".join,
)
def test_local_calls_print_the_same(short_dir: Path, words: tuple[str, ...]) -> None:
    config = {"root_dir": str(short_dir / "r"), "id": "hermit"}
    (short_dir / "minion").write_text(yaml.safe_dump(config))
    ours = run(BIN / "greensalt", "call", "-c", short_dir, "--local", "--no-color", *words)
    theirs = run(stock_bin(NEWEST) / "salt-call", "-c", short_dir, "--local", "--no-color", *words)
    # Jids and pids are not the same.
    shown, expected = (re.sub(r"\d{3,}", "N", each.stdout.rstrip()) for each in (ours, theirs))
    assert shown == expected
    assert ours.returncode == theirs.returncode
