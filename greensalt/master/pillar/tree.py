"""The files of `pillar_roots`: environments, names, containment, and what was looked at.

A minion's data may decide which file a template asks for, so every path stays below its roots.
Symlinks are followed: only who may write there can make them.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from greensalt.errors import PillarError, UnsafePath
from greensalt.wire.ids import safe_join

Stamp = tuple[int, int, int, int]  # mtime and ctime in ns, size, inode

# A file that changes twice within the clock's granularity keeps its stamp.
SETTLED_NS: Final = 50_000_000
ANY_ENVIRONMENT: Final = "__env__"
MOST_FILE_BYTES: Final = 16 << 20
_ENVIRONMENT: Final = re.compile(r"[\w.@+-]+")


class Source(NamedTuple):
    """A file of pillar: its path below the root, its whole path, its stamp."""

    rel: str
    path: str
    stamp: Stamp


def stamp_of(path: str | Path) -> Stamp | None:
    """What changes when a file or directory does; None if it can't be reached."""
    try:
        stat = os.stat(path)  # noqa: PTH116  # half the time of a Path, for each file of a hit
    except (OSError, ValueError):
        return None
    return (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)


class Stamps(dict[str, Stamp | None]):
    """Everything that a result depends on: {path: stamp, None where there was nothing}."""

    def are_settled(self, now_ns: int | None = None) -> bool:
        """Whether none of it has changed so lately that a further change might go unseen."""
        limit = (time.time_ns() if now_ns is None else now_ns) - SETTLED_NS
        return all(stamp is None or max(stamp[:2]) < limit for stamp in self.values())

    def still_hold(self) -> bool:
        """Whether nothing has changed."""
        return all(stamp_of(path) == stamp for path, stamp in self.items())


class Tree:
    """The files as one compilation sees them; `stamps` collects what it looked at."""

    def __init__(self, roots: Mapping[str, tuple[str, ...]], pillarenv: str | None) -> None:
        self.roots = _with_any(roots, pillarenv)
        self.stamps = Stamps()
        self._names: dict[str, list[str]] = {}

    def environments(self) -> list[str]:
        """The names of all environments, `base` first."""
        return ["base", *(name for name in self.roots if name != "base")]

    def find(self, environment: str, rel: str) -> Source | None:
        """A file by its path below the roots of an environment; the first root wins.

        Raises PillarError for a path that leaves the root.
        """
        for root in self.roots.get(environment, ()):
            try:
                path = str(safe_join(root, rel))
            except UnsafePath as error:
                raise PillarError(str(error)) from error
            stamp = self._look(path)
            if stamp is not None and Path(path).is_file():
                return Source(os.path.relpath(path, root), path, stamp)
        return None

    def sls(self, environment: str, name: str) -> Source | None:
        """The file of an SLS: `a.b` is a/b.sls or a/b/init.sls."""
        rel = name.replace(".", "/")
        return self.find(environment, f"{rel}.sls") or self.find(environment, f"{rel}/init.sls")

    def sls_names(self, environment: str) -> list[str]:
        """Every SLS of an environment, sorted; KeyError if there is no such environment."""
        if environment not in self._names:
            roots = self.roots[environment] if environment != "base" else self.roots.get("base", ())
            self._names[environment] = sorted({name for root in roots for name in self._walk(root)})
        return self._names[environment]

    def _walk(self, root: str) -> Iterator[str]:
        for directory, folders, files in os.walk(root, followlinks=False):
            self._look(directory)
            folders.sort()
            rel = os.path.relpath(directory, root)
            prefix = "" if rel == "." else f"{rel}/"
            for name in files:
                if name == "init.sls" and prefix:
                    yield prefix[:-1].replace("/", ".")
                elif name.endswith(".sls"):
                    yield f"{prefix}{name[:-4]}".replace("/", ".")

    def _look(self, path: str) -> Stamp | None:
        stamp = stamp_of(path)
        self.stamps[path] = stamp
        return stamp


def read_text(source: Source) -> str:
    """The text of a file; raises PillarError when it can't be read, or is no text."""
    try:
        if source.stamp[2] > MOST_FILE_BYTES:
            raise PillarError(f"{source.rel} is larger than {MOST_FILE_BYTES} bytes")
        return Path(source.path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PillarError(f"{source.rel} can't be read: {error}") from error


def _with_any(
    roots: Mapping[str, tuple[str, ...]], pillarenv: str | None
) -> dict[str, tuple[str, ...]]:
    """The roots with those of `__env__` under the name that was asked for."""
    named = {name: paths for name, paths in roots.items() if name != ANY_ENVIRONMENT}
    wanted = pillarenv or "base"
    if ANY_ENVIRONMENT not in roots or wanted in named:
        return named
    # The name becomes a part of a path.
    if not _ENVIRONMENT.fullmatch(wanted) or ".." in wanted or wanted.startswith("."):
        raise PillarError(f"{wanted[:80]!r} is no name of an environment")
    named[wanted] = tuple(path.replace(ANY_ENVIRONMENT, wanted) for path in roots[ANY_ENVIRONMENT])
    return named
