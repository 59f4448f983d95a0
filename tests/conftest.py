"""Fixtures for every room: short directories, and the daemons' logs in the report of a failure."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests._bench import Bench
from tests._daemons import Daemon, short_dir


@pytest.fixture(name="short_dir")
def _short_dir() -> Iterator[Path]:
    """A temporary directory with a path short enough for unix sockets in it."""
    with short_dir() as path:
        yield path


@pytest.fixture(name="bench")
def _bench(short_dir: Path) -> Iterator[Callable[..., Bench]]:
    """Makes masters inside the test's process, with the given options; they end with the test."""
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        (short_dir / "conf").mkdir(exist_ok=True)
        made.append(Bench(short_dir, **options))
        return made[-1]

    with gevent.Timeout(100):
        yield make
        for each in made:
            each.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the ends of all daemons' logs to a failure: the reason is usually in one of them."""
    report = yield
    if report.failed:
        for daemon in Daemon.all:
            if daemon.log.exists():
                title = f"log of {daemon.name} (exit code {daemon.child.returncode})"
                report.sections.append((title, daemon.child.tail()))
    return report
