"""The backend `roots`: directories of this machine, several per environment (`file_roots`).

The first root that has a file wins. Nothing outside the roots of an environment is listed or
served: not by `..`, not by an absolute path, not through a symlink. That is stricter than Salt,
which follows symlinks anywhere unless `fileserver_followsymlinks` is off.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from greensalt.errors import ConfigError
from greensalt.master.fileserver.backend import Found, Listing
from greensalt.master.fileserver.index import Ignored, Index, is_below
from greensalt.wire.ids import safe_join

log = logging.getLogger(__name__)


class Roots:
    """The files below `file_roots`.

    `follow_links` lets a listing go into symlinks to directories, `ignore_links` leaves symlinks
    out of it.
    """

    name = "roots"

    def __init__(
        self,
        file_roots: Mapping[str, Sequence[str]],
        *,
        follow_links: bool = True,
        ignore_links: bool = False,
        ignored: Ignored | None = None,
    ) -> None:
        self._roots = {env: tuple(roots) for env, roots in file_roots.items()}
        self._ignored = ignored or ignore((), ())
        self._indexes = {
            env: Index(roots, follow_links, ignore_links, self._ignored)
            for env, roots in self._roots.items()
        }
        self._real_roots: dict[str, str] = {}

    def envs(self) -> Sequence[str]:
        return sorted(self._roots)

    def listing(self, env: str) -> Listing:
        index = self._indexes.get(env)
        return index.current() if index else Listing()

    def find(self, env: str, path: str) -> Found | None:
        rel = os.fspath(safe_join("", path))
        roots = self._roots.get(env, ())
        for root in roots:
            place = self._look_up(roots, root, rel)
            if place is None or not stat.S_ISREG(place.status.st_mode):
                continue
            shown = os.fspath(Path(root, rel))
            if not place.is_inside:
                log.warning("%s: a symlink leads out of the roots of %s", rel, env)
            elif not self._ignored(rel) and not self._ignored(shown):
                return Found(shown, place.real, rel, place.status)
        return None

    def _look_up(self, roots: Sequence[str], root: str, rel: str) -> _Place | None:
        real_root = self._real_root(root)
        if real_root is None:
            return None
        try:
            place = _plain_place(real_root, rel)
            if place is None:  # there is a symlink on the way
                real = os.path.realpath(Path(real_root, rel), strict=True)
                inside = any(is_below(real, os.path.realpath(each)) for each in roots)
                place = _Place(real, Path(real).stat(), inside)
        except (OSError, ValueError):  # ValueError: a name that no file can have
            return None
        return place

    def _real_root(self, root: str) -> str | None:
        """A root without symlinks; None if it is not there.

        What was found before holds as long as both are the same directory.
        """
        known = self._real_roots.get(root)
        try:
            if known is None or not Path(known).samefile(root):
                known = self._real_roots[root] = os.path.realpath(root, strict=True)
        except OSError:
            # The one that was known is gone, or the root itself.
            self._real_roots.pop(root, None)
            return self._real_root(root) if known is not None else None
        return known


class _Place(NamedTuple):
    """Where a path leads: without symlinks, and whether that is inside the roots."""

    real: str
    status: os.stat_result
    is_inside: bool


def _plain_place(real_root: str, rel: str) -> _Place | None:
    """What is at a path below a root, if no part of it is a symlink; raises OSError."""
    place = Path(real_root)
    status = None
    for name in rel.split("/"):
        place /= name
        status = place.lstat()
        if stat.S_ISLNK(status.st_mode):
            return None
    return _Place(os.fspath(place), status, is_inside=True) if status else None


def ignore(regexes: Sequence[str], globs: Sequence[str]) -> Ignored:
    """A test for what `file_ignore_regex` and `file_ignore_glob` hide.

    Paths are relative to the root. A leading `/` is tried as well, since Salt's own examples anchor
    names with it. Raises ConfigError for a regular expression that is none.
    """
    try:
        patterns = [re.compile(text) for text in regexes]
    except re.error as error:
        raise ConfigError(f"file_ignore_regex: {error.pattern!r} is wrong: {error}") from None

    def is_ignored(rel: str) -> bool:
        rooted = f"/{rel}"
        return any(pattern.search(rooted) or pattern.search(rel) for pattern in patterns) or any(
            fnmatch.fnmatch(rel, glob) or fnmatch.fnmatch(rooted, glob) for glob in globs
        )

    return is_ignored
