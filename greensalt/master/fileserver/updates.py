"""Tells the bus what has changed in the file server: the option `fileserver_events`.

One event per backend and interval, also when nothing has changed, as on a stock master.

Source: docs/protocol.md 7.2.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gevent

from greensalt.green import offload
from greensalt.master.fileserver.backend import Backend
from greensalt.master.fileserver.content import Identity, identity
from greensalt.transport.bus import EventPublisher
from greensalt.wire import tags

log = logging.getLogger(__name__)

Seen = Mapping[str, Identity]


class Changes(NamedTuple):
    """What differs between two looks: sorted paths on this machine."""

    changed: Sequence[str] = ()
    removed: Sequence[str] = ()
    added: Sequence[str] = ()


class Updates:
    """Looks at the files of all backends each `interval_s`, in a native thread.

    `looks` counts that; what is there at the first one is no change.
    """

    def __init__(self, backends: Sequence[Backend], bus: EventPublisher, interval_s: float) -> None:
        self._backends = tuple(backends)
        self._bus = bus
        self._interval_s = interval_s
        self._seen: dict[str, Seen] = {}
        self.looks = 0

    def run(self) -> None:
        """Until killed."""
        while True:
            for backend in self._backends:
                self._look_at(backend)
            gevent.sleep(self._interval_s)

    def _look_at(self, backend: Backend) -> None:
        try:
            now = offload(files_of, backend)
        except OSError as error:
            log.error("the files of %s can't be looked at: %s", backend.name, error)
            return
        found = compare(self._seen.get(backend.name, now), now)
        self._seen[backend.name] = now
        self.looks += 1
        self._bus.fire(tags.fileserver_update(backend.name), update(backend.name, found))


def files_of(backend: Backend) -> dict[str, Identity]:
    """Each file that a backend serves, and what tells its content from another. Blocks."""
    seen: dict[str, Identity] = {}
    for env in backend.envs():
        for path in backend.listing(env).files:
            found = backend.find(env, path)
            if found is not None:
                seen[found.path] = identity(found.stat)
    return seen


def compare(before: Seen, now: Seen) -> Changes:
    """What has happened between two looks."""
    return Changes(
        changed=sorted(path for path in before.keys() & now.keys() if before[path] != now[path]),
        removed=sorted(before.keys() - now.keys()),
        added=sorted(now.keys() - before.keys()),
    )


def update(backend: str, found: Changes) -> dict[str, Any]:
    """The data of the event."""
    files = {name: list(paths) for name, paths in found._asdict().items()}
    return {"changed": any(files.values()), "files": files, "backend": backend}
