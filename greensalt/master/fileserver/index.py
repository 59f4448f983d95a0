"""What is below the roots of one environment, remembered until a directory changes.

Names come and go only by changing their directory, so a stat of each directory tells whether the
last walk still holds. Symlinks are looked at again, too: what they lead to can change elsewhere.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from greensalt.master.fileserver.backend import Listing

log = logging.getLogger(__name__)

Ignored = Callable[[str], bool]

SETTLED_NS = 100_000_000
"""A time stamp that old will not be given to another change: clocks of file systems tick slowly."""

DirectoryMark = tuple[int, int, int, int] | None
LinkMark = tuple[str, int]


class Index:
    """The listing of one environment. Blocks; for one native thread at a time."""

    def __init__(
        self, roots: Sequence[str], follow_links: bool, ignore_links: bool, ignored: Ignored
    ) -> None:
        self._roots = tuple(roots)
        self._follow = follow_links
        self._ignore_links = ignore_links
        self._ignored = ignored
        self._walked: _Walk | None = None
        self.walks = 0

    def current(self) -> Listing:
        """The listing as it is now."""
        if self._walked is None or not self._walked.still_holds():
            self.walks += 1
            self._walked = _Walk(self._roots, self._follow, self._ignore_links, self._ignored)
        return self._walked.listing


class _Place(NamedTuple):
    """A directory on the way: its path, its name below the root, the directories it is in."""

    path: str
    rel: str
    above: frozenset[tuple[int, int]]


class _Walk:
    """One walk through all roots, with marks of all that its result depends on."""

    def __init__(
        self, roots: Sequence[str], follow_links: bool, ignore_links: bool, ignored: Ignored
    ) -> None:
        self._follow = follow_links
        self._ignore_links = ignore_links
        self._ignored = ignored
        self._started_ns = time.time_ns()
        self._directories: dict[str, DirectoryMark] = {}
        self._links: dict[str, LinkMark] = {root: _link_mark(root) for root in roots}
        self._real_roots = [self._links[root][0] for root in roots]
        self._files: set[str] = set()
        self._dirs: set[str] = set()
        self._empty: set[str] = set()
        self._texts: dict[str, str] = {}
        for root in self._real_roots:
            self._walk(root)
        self.listing = Listing(
            sorted(self._files), sorted(self._dirs), sorted(self._empty), self._texts
        )

    def still_holds(self) -> bool:
        """Whether a new walk would find the same."""
        if any(
            mark and max(mark[0], mark[1]) > self._started_ns - SETTLED_NS
            for mark in self._directories.values()
        ):
            return False
        return all(
            _directory_mark(path) == mark for path, mark in self._directories.items()
        ) and all(_link_mark(path) == mark for path, mark in self._links.items())

    def _walk(self, root: str) -> None:
        places = [_Place(root, "", frozenset())]
        while places:
            place = places.pop()
            mark = _directory_mark(place.path)
            self._directories[place.path] = mark
            if mark is None or mark[2:] in place.above:  # gone, or a symlink to where it is in
                continue
            above = place.above | {mark[2:]}
            try:
                with os.scandir(place.path) as scan:
                    entries = list(scan)
            except OSError as error:
                log.warning("the file server can't list %s: %s", place.path, error)
                continue
            if not entries and place.rel and not self._ignored(place.rel):
                self._empty.add(place.rel)
            for entry in entries:
                rel = f"{place.rel}/{entry.name}" if place.rel else entry.name
                if self._take(entry, rel):
                    places.append(_Place(entry.path, rel, above))

    def _take(self, entry: os.DirEntry[str], rel: str) -> bool:
        """Note one name; whether it is a directory to go into."""
        if entry.is_symlink():
            return self._take_link(entry.path, rel)
        if entry.is_dir(follow_symlinks=False):
            self._note(self._dirs, rel)
            return True
        if entry.is_file(follow_symlinks=False):
            self._note(self._files, rel)
        return False

    def _take_link(self, path: str, rel: str) -> bool:
        if self._ignore_links:
            return False
        self._links[path] = target, kind = _link_mark(path)
        is_inside = any(target == root or is_below(target, root) for root in self._real_roots)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or not (is_inside or not self._follow):
            return False  # never served, so not listed
        if not self._ignored(rel):
            try:
                # The text as it is: a Path would tidy it.
                self._texts.setdefault(rel, os.readlink(path))  # noqa: PTH115
            except OSError:
                return False  # gone meanwhile; its directory has changed, so a walk follows
        is_dir = kind == stat.S_IFDIR
        self._note(self._dirs if is_dir else self._files, rel)
        if is_dir and not self._follow:
            self._note_empty(path, rel)
        return is_dir and self._follow

    def _note(self, names: set[str], rel: str) -> None:
        if not self._ignored(rel):
            names.add(rel)

    def _note_empty(self, path: str, rel: str) -> None:
        """A symlink to an empty directory counts as one, without being followed."""
        self._directories[path] = _directory_mark(path)
        try:
            with os.scandir(path) as scan:
                if next(scan, None) is None:
                    self._note(self._empty, rel)
        except OSError as error:
            log.debug("the file server can't list %s: %s", path, error)


def is_below(path: str, root: str) -> bool:
    """Whether a real path is below a real directory."""
    return path.startswith(root.rstrip("/") + "/")


def _directory_mark(path: str) -> DirectoryMark:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino


def _link_mark(path: str) -> LinkMark:
    """Where a path really leads and what is there (0: nothing)."""
    try:
        return os.path.realpath(path), stat.S_IFMT(Path(path).stat().st_mode)
    except OSError:
        return os.path.realpath(path), 0
