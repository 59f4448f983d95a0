"""A block of lines between two markers, kept by the minion inside a file of somebody else's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.modules.file._common import back_up, difference, expand, text_file, write_anew

NOT_FOUND = "Cannot edit marked block. Markers were not found in file."


def blockreplace(
    path: str,
    marker_start: str = "#-- start managed zone --",
    marker_end: str = "#-- end managed zone --",
    content: str = "",
    append_if_not_found: bool = False,
    prepend_if_not_found: bool = False,
    backup: Any = ".bak",
    dry_run: bool = False,
    show_changes: bool = True,
    append_newline: bool | None = False,
    insert_before_match: str | None = None,
    insert_after_match: str | None = None,
) -> Any:
    """Replace what is between two markers; return the difference, or whether there is one.

    If the markers are not there, they can be added with the content at the end, at the beginning,
    or before or after the first line that matches a regular expression.

    CLI Example:

        greensalt-cli '*' file.blockreplace /etc/hosts '# -- begin --' '# -- end --' \\
        $'10.0.1.1 foo.foobar\\n10.0.1.2 bar.foobar' True
    """
    ways = (append_if_not_found, prepend_if_not_found, insert_before_match, insert_after_match)
    if sum(map(bool, ways)) > 1:
        raise SaltInvocationError(
            "Only one of append_if_not_found, prepend_if_not_found, insert_before_match, and"
            " insert_after_match is permitted"
        )
    if not Path(expand(path)).exists():
        raise SaltInvocationError(f"File not found: {expand(path)}")
    real = text_file(path)
    lines = real.read_bytes().decode(errors="surrogateescape").splitlines(True)
    block = _Block(str(marker_start), str(marker_end), str(content), append_newline, lines)
    new = block.replaced()
    if new is None:
        place = _place(lines, *ways)
        new = [*lines[:place], *block.whole(), *lines[place:]]
        if place == len(lines) and lines and not lines[-1].endswith("\n"):
            new[place - 1] += block.linesep
    diff = difference(map(_encoded, lines), map(_encoded, new))
    if diff and not dry_run:
        back_up(real, backup)
        write_anew(real, b"".join(map(_encoded, new)))
    return diff if show_changes else bool(diff)


def _encoded(line: str) -> bytes:
    return line.encode(errors="surrogateescape")


def _place(lines: list[str], append: Any, prepend: Any, before: Any, after: Any) -> int:
    """Where a block goes that is not there yet: the index of the line behind it."""
    if prepend:
        return 0
    if append:
        return len(lines)
    pattern = before or after
    if pattern:
        if not isinstance(pattern, str):
            name = "insert_before_match" if before else "insert_after_match"
            raise CommandExecutionError(f"RegEx expected in {name} parameter.")
        for index, line in enumerate(lines):
            if re.search(pattern, line):
                return index if before else index + 1
    raise CommandExecutionError(NOT_FOUND)


class _Block:
    """The markers, what goes between them, and the lines of the file."""

    def __init__(
        self, start: str, end: str, content: str, append_newline: bool | None, lines: list[str]
    ) -> None:
        self._start = start
        self._end = end
        self._lines = lines
        self.linesep = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
        parts = content.replace("\r\n", "\n").split("\n")
        if append_newline is None:
            append_newline = parts[-1] != ""
        if append_newline:
            parts.append("")
        self._body = self.linesep.join(parts)

    def _inside(self, end_line: str) -> list[str]:
        """The content and, joined to it, the line with the end marker."""
        text = self._body + end_line.rstrip("\r\n") + self.linesep
        return text.splitlines(True)

    def whole(self) -> list[str]:
        """The block with both markers."""
        return [self._start + self.linesep, *self._inside(self._end)]

    def replaced(self) -> list[str] | None:
        """The lines of the file with new content between the markers; None if there are none."""
        new: list[str] = []
        inside = found = False
        for line in self._lines:
            if self._start in line:
                inside = True
                new.append(line)
            elif not inside:
                new.append(line)
            elif (position := line.find(self._end)) != -1:
                inside, found = False, True
                new += self._inside(line[position:])
        if inside:
            raise CommandExecutionError(
                "Unterminated marked block. End of file reached before marker_end."
            )
        return new if found else None
