"""Changes inside text files by regular expressions."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.minion.context import Context
from greensalt.modules._commands import run_program
from greensalt.modules.file._common import back_up, difference, expand, text_file, write_anew


def regex_flags(flags: Any) -> re.RegexFlag:
    """The flags of a regular expression: a number, a name such as "MULTILINE", or several."""
    if isinstance(flags, int):
        return re.RegexFlag(flags)
    if isinstance(flags, str):
        flags = [flags]
    if not isinstance(flags, Iterable) or isinstance(flags, dict):
        raise CommandExecutionError(
            f'Invalid re flags: "{flags}", must be given either as a single flag string, a list of'
            " strings, as an integer, or as an re flag"
        )
    total = re.RegexFlag(0)
    for name in flags:
        flag = getattr(re.RegexFlag, str(name).upper(), None)
        if not isinstance(flag, re.RegexFlag):
            raise CommandExecutionError(f"Invalid re flag given: {name}")
        total |= flag
    return total


def _compiled(pattern: Any, flags: Any = 0) -> re.Pattern[bytes]:
    try:
        # Files are bytes; UNICODE has no meaning for those.
        return re.compile(str(pattern).encode(), regex_flags(flags) & ~re.UNICODE)
    except re.error as error:
        raise SaltInvocationError(f"invalid regular expression {pattern!r}: {error}") from None


def replace(
    path: str,
    pattern: str,
    repl: Any,
    count: int = 0,
    flags: Any = 8,
    bufsize: Any = 1,
    append_if_not_found: bool = False,
    prepend_if_not_found: bool = False,
    not_found_content: Any = None,
    backup: Any = ".bak",
    dry_run: bool = False,
    search_only: bool = False,
    show_changes: bool = True,
    ignore_if_missing: bool = False,
    preserve_inode: bool = True,
    backslash_literal: bool = False,
    encoding: str | None = None,
) -> Any:
    """Replace what matches a pattern in a file; return the difference, or whether there is one.

    ``append_if_not_found`` and ``prepend_if_not_found`` add ``not_found_content``, or ``repl``, if
    nothing matches. ``backup`` is the ending of the copy's name, ``dry_run`` changes nothing,
    ``search_only`` only tells whether the pattern occurs. ``preserve_inode`` writes into the same
    file, so that its other names stay; else it is replaced as a whole.

    CLI Example:

        greensalt-cli '*' file.replace /etc/httpd/httpd.conf 'LogLevel warn' 'LogLevel info'
    """
    if ignore_if_missing and not Path(expand(path)).exists():
        return False
    if append_if_not_found and prepend_if_not_found:
        raise SaltInvocationError("Only one of append and prepend_if_not_found is permitted")
    adds = append_if_not_found or prepend_if_not_found
    if search_only and adds:
        raise SaltInvocationError("search_only cannot be used with append/prepend_if_not_found")
    real = Path(expand(path)).resolve() if encoding else text_file(path)
    before = _decoded(real, encoding)
    wanted = _compiled(pattern, flags)
    if search_only:
        return wanted.search(before) is not None
    new = str(repl).encode()
    template = new.replace(b"\\", b"\\\\") if backslash_literal else new
    try:
        after, hits = wanted.subn(template, before, count=int(count))
    except (re.error, IndexError) as error:
        raise SaltInvocationError(f"invalid replacement {repl!r}: {error}") from None
    if adds and not hits:
        content = str(not_found_content).encode() if not_found_content else new
        after = _added(before, content, regex_flags(flags), first=prepend_if_not_found)
    diff = difference(before.splitlines(True), after.splitlines(True))
    if diff and not dry_run:
        back_up(real, backup)
        _store(real, after, encoding, in_place=preserve_inode)
    return diff if show_changes else bool(diff)


def _decoded(path: Path, encoding: str | None) -> bytes:
    """The content of a file, in UTF-8 if its encoding is told."""
    data = path.read_bytes()
    return data.decode(encoding).encode() if encoding else data


def _store(path: Path, data: bytes, encoding: str | None, *, in_place: bool) -> None:
    if encoding:
        data = data.decode().encode(encoding)
    if in_place:
        path.write_bytes(data)
    else:
        write_anew(path, data)


def _added(data: bytes, content: bytes, flags: re.RegexFlag, *, first: bool) -> bytes:
    """`data` with a line before or behind it, unless it has this line."""
    present = re.compile(b"^" + re.escape(content) + b"($|(?=\r\n))", flags & ~re.UNICODE)
    if present.search(data):
        return data
    if first:
        return content + b"\n" + data
    return data + (b"" if not data or data.endswith(b"\n") else b"\n") + content + b"\n"


def comment(path: str, regex: str, char: str = "#", backup: Any = ".bak") -> Any:
    """Put a comment character before the lines that match; return the difference.

    CLI Example:

        greensalt-cli '*' file.comment /etc/modules pcspkr
    """
    return comment_line(path, regex, char, cmnt=True, backup=backup)


def uncomment(path: str, regex: str, char: str = "#", backup: Any = ".bak") -> Any:
    """Take the comment character from the lines that match behind it; return the difference.

    CLI Example:

        greensalt-cli '*' file.uncomment /etc/hosts.deny 'ALL: PARANOID'
    """
    return comment_line(path, regex, char, cmnt=False, backup=backup)


def comment_line(
    path: str, regex: str, char: str = "#", cmnt: bool = True, backup: Any = ".bak"
) -> Any:
    """Comment or uncomment the lines that match; return the difference, ``False`` if none does.

    CLI Example:

        greensalt-cli '*' file.comment_line /etc/modules pcspkr
        greensalt-cli '*' file.comment_line /etc/modules pcspkr cmnt=False
    """
    core = regex.lstrip("^").rstrip("$")
    end = "$" if regex.endswith("$") else ""
    start = ("^" if regex.startswith("^") else "") if cmnt else f"^{char}\\s*"
    pattern = _compiled(f"{start}({core}){end}")
    real = text_file(path)
    lines = real.read_bytes().splitlines(True)
    mark = char.encode()
    matching = [bool(pattern.match(line)) for line in lines]
    if not any(matching):
        return False
    changed = [
        (mark + line if cmnt else line.lstrip(mark)) if hit else line
        for line, hit in zip(lines, matching, strict=True)
    ]
    back_up(real, backup)
    write_anew(real, b"".join(changed))
    hits = [index for index, hit in enumerate(matching) if hit]
    return difference([lines[index] for index in hits], [changed[index] for index in hits])


def _sed_escaped(text: Any, everything: bool) -> str:
    escaped = str(text).replace("'", "'\"'\"'").replace("/", "\\/")
    if everything:
        escaped = "".join(f"\\{char}" if char in "^.[$()|*+?{" else char for char in escaped)
    return escaped


def sed(
    path: str,
    before: Any,
    after: Any,
    limit: Any = "",
    backup: Any = ".bak",
    options: str = "-r -e",
    flags: str = "g",
    escape_all: bool = False,
    negate_match: bool = False,
    *,
    context: Context,
) -> Any:
    """Replace something in a file with the program sed; return its pid, retcode, stdout and stderr.

    CLI Example:

        greensalt-cli '*' file.sed /etc/httpd/httpd.conf 'LogLevel warn' 'LogLevel info'
    """
    target = expand(path)
    if not Path(target).exists():
        return False
    where = f"/{_sed_escaped(limit, escape_all)}/ " if limit else ""
    script = (
        f"{where}{'!' if negate_match else ''}s/{_sed_escaped(before, escape_all)}"
        f"/{_sed_escaped(after, escape_all)}/{flags}"
    )
    argv = ["sed", f"-i{backup or ''}", *shlex.split(options), script, target]
    return context.home.run(run_program, argv, context)


def sed_contains(
    path: str, text: Any, limit: Any = "", flags: str = "g", *, context: Context
) -> bool:
    """Tell whether the program sed would find something to replace in a file.

    CLI Example:

        greensalt-cli '*' file.sed_contains /etc/crontab 'mymaintenance.sh'
    """
    target = expand(path)
    if not Path(target).exists():
        return False
    where = f"/{_sed_escaped(limit, False)}/ " if limit else ""
    script = f"{where}s/{_sed_escaped(text, False)}/$/p{flags}"
    argv = ["sed", "-n", "-r", "-e", script, target]
    return bool(context.home.run(run_program, argv, context)["stdout"])
