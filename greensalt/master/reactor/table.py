"""Which SLS files react to a tag: the option `reactor`, and what is changed while the master runs.

In a pattern `*` crosses slashes, as it does in Salt.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from typing import Any, Final

from greensalt.errors import ConfigError

_NEVER: Final = re.compile(r"(?!)")


class Table:
    """Patterns of tags in the order of the file, each with its SLS files; one may come twice.

    Raises ConfigError for an entry that can't be one.
    """

    def __init__(self, entries: Sequence[tuple[str, Any]]) -> None:
        self._entries = [(pattern, check_files(pattern, given)) for pattern, given in entries]
        self._prepare()

    def wanted(self, tag: str) -> bool:
        """Whether any file reacts to a tag."""
        return self._any.match(tag) is not None

    def files(self, tag: str) -> list[str]:
        """The files that react to a tag, as they are written in the configuration."""
        found: list[str] = []
        for pattern, files in self._entries:
            if fnmatch.fnmatchcase(tag, pattern):
                found += files
        return found

    def shown(self) -> list[dict[str, list[str]]]:
        """The whole table in the form of the option."""
        return [{pattern: list(files)} for pattern, files in self._entries]

    def add(self, pattern: str, given: Any) -> bool:
        """Add a pattern at the end; False if it is there already."""
        files = check_files(pattern, given)
        if any(known == pattern for known, _ in self._entries):
            return False
        self._entries.append((pattern, files))
        self._prepare()
        return True

    def delete(self, pattern: str) -> bool:
        """Take the first entry of a pattern away; False if there is none."""
        for entry in self._entries:
            if entry[0] == pattern:
                self._entries.remove(entry)
                self._prepare()
                return True
        return False

    def _prepare(self) -> None:
        """One expression for all patterns: it is asked for each event on the bus."""
        patterns = [fnmatch.translate(pattern) for pattern, _ in self._entries]
        self._any = re.compile("|".join(patterns)) if patterns else _NEVER


def check_files(pattern: Any, given: Any) -> list[str]:
    """The SLS files of an entry: a path or a list of paths. Raises ConfigError."""
    files = [given] if isinstance(given, str) else given
    if not isinstance(pattern, str) or not pattern:
        raise ConfigError(f"reactor: {pattern!r} is no pattern of tags")
    if not isinstance(files, list | tuple) or not all(
        isinstance(file, str) and file for file in files
    ):
        raise ConfigError(f"reactor: {pattern}: there must be a list of SLS files")
    return list(files)
