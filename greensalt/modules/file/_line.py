"""One line of a text file: inserted, ensured, replaced or deleted."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

from greensalt.errors import CommandExecutionError
from greensalt.modules.file._common import difference, expand, write_anew

MODES = ("insert", "ensure", "delete", "replace")


def line(
    path: str,
    content: str | None = None,
    match: str | None = None,
    mode: str | None = None,
    location: str | None = None,
    before: str | None = None,
    after: str | None = None,
    show_changes: bool = True,
    backup: bool = False,
    quiet: bool = False,
    indent: bool = True,
) -> Any:
    """Edit one line of a file; return the difference, or whether there is one.

    ``mode`` is ``insert`` (at the ``location`` ``start`` or ``end``, or next to what ``before`` or
    ``after`` match), ``ensure`` (the same, unless it is there), ``replace`` or ``delete`` (what
    ``match`` matches).

    CLI Example:

        greensalt-cli '*' file.line /etc/nsswitch.conf "networks: files dns" \\
        after="hosts:.*?" mode=ensure
    """
    real = Path(expand(path)).resolve()
    if not real.is_file():
        if quiet:
            return False
        raise CommandExecutionError(f'File "{real}" does not exists or is not a file.')
    if mode is None:
        raise CommandExecutionError("Mode was not defined. How to process the file?")
    mode = mode.lower()
    if mode not in MODES:
        raise CommandExecutionError(f'Unknown mode: "{mode}"')
    if mode != "delete" and content is None:
        raise CommandExecutionError('Content can only be empty if mode is "delete"')
    old = real.read_bytes().decode(errors="surrogateescape").splitlines(True)
    editor = _Editor(old, str(content or ""), indent)
    if mode in ("delete", "replace"):
        wanted = match or (content if before is None and after is None else None)
        new = editor.delete(wanted) if mode == "delete" else editor.replace(wanted)
    elif mode == "insert":
        new = editor.insert(location, before, after)
    else:
        new = editor.ensure(before, after)
    diff = difference(map(_encoded, old), map(_encoded, new))
    if diff:
        if backup:
            shutil.copy2(real, f"{real}.{time.strftime('%Y-%m-%d-%H-%M-%S')}")
        write_anew(real, b"".join(map(_encoded, new)))
    return (show_changes and diff) or bool(diff)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


class _Editor:
    """The lines of a file and the line that is to be put among them."""

    def __init__(self, lines: list[str], content: str, indent: bool) -> None:
        self._lines = lines
        self._content = content
        self._indent = indent
        self._eol = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"

    def _find(self, pattern: str | None) -> list[int]:
        """The numbers of the lines that a pattern matches, or that contain it as it is."""
        if not pattern:
            return []
        try:
            compiled = re.compile(pattern, re.DOTALL)
        except re.error as error:
            raise CommandExecutionError(f"{error}: '{pattern}'") from None
        return [i for i, text in enumerate(self._lines) if compiled.search(text) or pattern in text]

    def _only(self, pattern: str | None, name: str) -> int:
        found = self._find(pattern)
        if len(found) == 1:
            return found[0]
        amount = "more than" if found else "less than"
        raise CommandExecutionError(f'Found {amount} expected occurrences in "{name}" expression')

    def _like(self, index: int) -> str:
        """The content as a line of its own, indented like another line."""
        text = self._content
        if self._indent and 0 <= index < len(self._lines):
            model = self._lines[index]
            text = model[: len(model) - len(model.lstrip(" \t"))] + text.lstrip()
        return text.rstrip("\r\n") + self._eol

    def _put(self, index: int, model: int) -> list[str]:
        """The lines with the content before the line `index`."""
        above = self._lines[:index]
        if above and not above[-1].endswith("\n"):
            above[-1] += self._eol
        return [*above, self._like(model), *self._lines[index:]]

    def _says_so(self, index: int) -> bool:
        if not 0 <= index < len(self._lines):
            return False
        return self._lines[index].rstrip("\r\n") == self._content.rstrip("\r\n")

    def delete(self, pattern: str | None) -> list[str]:
        found = self._find(pattern)
        if not found:
            return self._lines
        gone = self._lines[found[0]]
        return [text for text in self._lines if text != gone]

    def replace(self, pattern: str | None) -> list[str]:
        found = self._find(pattern)
        if not found:
            return self._lines
        index = found[0]
        return [*self._lines[:index], self._like(index), *self._lines[index + 1 :]]

    def insert(self, location: str | None, before: str | None, after: str | None) -> list[str]:
        if location == "start":
            return self._put(0, -1)
        if location == "end":
            return self._put(len(self._lines), len(self._lines) - 1)
        if before is None and after is None:
            raise CommandExecutionError(
                'On insert either "location" or "before/after" conditions are required.'
            )
        if self._find(before) and self._find(after):
            self._only(after, "after")
            index = self._only(before, "before")
            return self._put(index, index)
        return self._beside(before, after, "Neither before or after was found in file")

    def ensure(self, before: str | None, after: str | None) -> list[str]:
        if not self._find(before) or not self._find(after):
            return self._beside(
                before,
                after,
                "Wrong conditions? Unable to ensure line without knowing where to put it before"
                " and/or after.",
            )
        first, last = self._only(after, "after"), self._only(before, "before")
        if any(text.strip() == self._content.strip() for text in self._lines):
            return self._lines
        if first + 1 == last:
            return self._put(last, first)
        if first + 2 == last:
            return [*self._lines[: first + 1], self._like(first), *self._lines[last:]]
        raise CommandExecutionError(
            'Found more than one line between boundaries "before" and "after".'
        )

    def _beside(self, before: str | None, after: str | None, complaint: str) -> list[str]:
        """The lines with the content next to one of them, unless it is there."""
        if self._find(before):
            index = self._only(before, "before")
            return self._lines if self._says_so(index - 1) else self._put(index, index)
        if self._find(after):
            index = self._only(after, "after")
            return self._lines if self._says_so(index + 1) else self._put(index + 1, index)
        raise CommandExecutionError(complaint)
