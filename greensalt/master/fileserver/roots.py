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

    def envs(self) -> Sequence[str]:
        return sorted(self._roots)

    def listing(self, env: str) -> Listing:
        index = self._indexes.get(env)
        return index.current() if index else Listing()

    def find(self, env: str, path: str) -> Found | None:
        rel = os.fspath(safe_join("", path))
        roots = self._roots.get(env, ())
        real_roots = [os.path.realpath(root) for root in roots]
        for root, real_root in zip(roots, real_roots, strict=True):
            try:
                real = os.path.realpath(Path(real_root, rel), strict=True)
                status = Path(real).stat()
            except (OSError, ValueError):  # ValueError: a name that no file can have
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            shown = os.fspath(Path(root, rel))
            if not any(is_below(real, each) for each in real_roots):
                log.warning("%s: a symlink leads out of the roots of %s", rel, env)
            elif not self._ignored(rel) and not self._ignored(shown):
                return Found(shown, real, rel, status)
        return None


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
