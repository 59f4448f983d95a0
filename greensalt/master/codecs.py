"""The codecs of this master's links: which it serves, and on which it has to publish.

A job is published once per codec in use: msgpack always, another from the first minion on that was
granted it at a sign-in. `<cachedir>/.serializers` remembers those, because a minion does not sign
in anew when the master was restarted.

Source: docs/protocol.md 12.4.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from greensalt.serializers import MSGPACK, Codec, Codecs, served
from greensalt.store.files import write_private

log = logging.getLogger(__name__)


class ServedCodecs:
    """`ports` has the publish port of each codec besides msgpack; `asked_too` is one more that
    requests may be in. `all` has those that requests may be in, by prefix.

    Raises SerializerUnusable when one of them can't be served.
    """

    def __init__(self, ports: Mapping[str, int], asked_too: str, path: Path) -> None:
        self.all: Codecs = served([*ports, asked_too])
        self.ports = ports
        self._path = path
        self._by_name = {codec.name: codec for codec in self.all.values()}
        self._in_use = self._remembered()

    def find(self, name: str) -> Codec | None:
        """A codec that requests may be in."""
        return self._by_name.get(name)

    def publishing(self) -> list[Codec]:
        """The codecs that jobs are published in."""
        return [MSGPACK, *(self._by_name[name] for name in self.ports if name in self._in_use)]

    def use(self, name: str) -> None:
        """From now on jobs are published in this codec, too. Writes a file the first time."""
        if name in self._in_use or name not in self.ports:
            return
        self._in_use.add(name)
        log.info("jobs are published in %s, too", name)
        try:
            write_private(self._path, json.dumps(sorted(self._in_use)).encode())
        except OSError as error:
            log.error("%s can't be written: %s", self._path, error)

    def _remembered(self) -> set[str]:
        try:
            stored = json.loads(self._path.read_text())
            return set(self.ports).intersection(stored)
        except FileNotFoundError:
            return set()
        except (OSError, ValueError, TypeError) as error:
            # Too many publishes cost time, too few cost jobs.
            log.warning("%s can't be read (%s): all serializers are in use", self._path, error)
            return set(self.ports)
