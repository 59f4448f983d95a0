"""Where served files come from: the interface of a backend.

A backend says which environments it has, which files are in one, and where on this machine a file
is. The rest (hashes, chunks, the shapes of the wire) is the same for all of them. Its functions may
block and are called in native threads; those of one environment's listing one at a time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Listing(NamedTuple):
    """What one environment holds: sorted paths relative to its roots; links as path -> text."""

    files: Sequence[str] = ()
    dirs: Sequence[str] = ()
    empty_dirs: Sequence[str] = ()
    links: Mapping[str, str] = {}


class Found(NamedTuple):
    """A file that may be served.

    `path` is what minions are told, `real` the same file without symlinks, `rel` the path below the
    root.
    """

    path: str
    real: str
    rel: str
    stat: os.stat_result


class Backend(Protocol):
    """One source of files."""

    name: str

    def envs(self) -> Sequence[str]:
        """The environments, sorted."""

    def listing(self, env: str) -> Listing:
        """What is in an environment; empty for one that does not exist."""

    def find(self, env: str, path: str) -> Found | None:
        """The regular file at a path, if it may be served.

        Raises UnsafePath for a path that would leave the roots by its words alone.
        """
