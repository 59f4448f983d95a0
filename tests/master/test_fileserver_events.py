"""`fileserver_events`: the bus learns what has changed in the file server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from greensalt.transport.bus import BusClient
from tests._bench import Bench

Make = Callable[..., Bench]
TAG = "salt/fileserver/roots/update"
WAIT_S = 20


def served(bench: Make, srv: Path, **options: Any) -> BusClient:
    roots = {"base": [str(srv)]}
    return bench(file_roots=roots, roots_update_interval=0.1, **options).listen(TAG)


def put(place: Path, text: str) -> None:
    """In one step: the master may look at any moment."""
    aside = place.parents[1] / "aside"
    aside.write_text(text)
    aside.replace(place)


def next_change(bus: BusClient) -> dict[str, Any]:
    """The files of the next event that tells of a change; those before must tell of none."""
    while True:
        event = bus.next(WAIT_S)
        assert event is not None
        tag, data = event
        assert (tag, data["backend"]) == (TAG, "roots")
        if data["changed"]:
            files = data["files"]
            assert isinstance(files, dict)
            return files
        assert data["files"] == {"changed": [], "removed": [], "added": []}


def test_each_change_is_told_once(bench: Make, tmp_path: Path) -> None:
    srv = tmp_path / "srv"
    srv.mkdir()
    one, two, new = srv / "one", srv / "two", srv / "new"
    put(one, "1")
    put(two, "2")
    bus = served(bench, srv, fileserver_events=True)
    assert bus.next(WAIT_S) is not None
    put(new, "3")
    assert next_change(bus) == {"changed": [], "removed": [], "added": [str(new)]}
    put(one, "another")
    assert next_change(bus) == {"changed": [str(one)], "removed": [], "added": []}
    two.unlink()
    assert next_change(bus) == {"changed": [], "removed": [str(two)], "added": []}
    event = bus.next(WAIT_S)
    assert event is not None
    assert event[1]["changed"] is False


def test_nobody_looks_unless_asked_to(bench: Make, tmp_path: Path) -> None:
    bus = served(bench, tmp_path)
    assert bus.next(1) is None
