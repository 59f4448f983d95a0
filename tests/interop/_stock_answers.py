"""Asks a stock Salt's own code for texts and arguments: one process for many questions."""

from __future__ import annotations

import json
import pickle
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests._daemons import NEWEST, stock_bin

SCRIPT = Path(__file__).with_name("_stock_outputters.py")

Case = tuple[Any, str, dict[str, Any]]


def stock_texts(cases: Sequence[Case], version: str = NEWEST) -> list[str | None]:
    """What stock Salt prints for (data, outputter, options)."""
    texts: list[str | None] = _ask(version, texts=list(cases))["texts"]
    return texts


def stock_args(words: Sequence[Sequence[str]]) -> list[str]:
    """What stock Salt reads in the words of command lines, as Python writes it."""
    args: list[str] = _ask(NEWEST, words=list(words))["args"]
    return args


@cache
def _process(version: str) -> subprocess.Popen[bytes]:
    """A stock Salt that answers until the test session ends, and its stdin with it."""
    return subprocess.Popen(
        [stock_bin(version) / "python", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _ask(version: str, **asked: Any) -> dict[str, Any]:
    process = _process(version)
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump(asked, process.stdin)
    process.stdin.flush()
    line = process.stdout.readline()
    assert line, f"the stock Salt {version} that answers has died"
    answers: dict[str, Any] = json.loads(line)
    return answers
