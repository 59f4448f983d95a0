"""Fixtures: a master with minions that answer, and a client beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from greensalt.client.local import LocalClient
from tests._bench import Bench
from tests.client._fleet import Fleet, client_of

THREE = ("db1", "web1", "web2")


@pytest.fixture
def made(bench: Callable[..., Bench]) -> Bench:
    return bench(auto_accept=True, nodegroups={"webs": "web*", "all": "N@webs or db1"})


@pytest.fixture
def fleet(made: Bench) -> Iterator[Fleet]:
    """db1, web1 and web2, which answer everything with True."""
    with Fleet(made, THREE) as fleet:
        yield fleet


@pytest.fixture
def client(made: Bench) -> Iterator[LocalClient]:
    with client_of(made) as client:
        yield client
