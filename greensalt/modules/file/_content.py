"""What is in a file: reading, searching and writing it."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import shlex
from pathlib import Path
from typing import Any

from greensalt.errors import SaltInvocationError
from greensalt.minion.context import Context
from greensalt.modules._commands import run_program
from greensalt.modules.file._common import expand
from greensalt.modules.file._edit import regex_flags, replace


def read(path: str, binary: bool = False) -> str | bytes:
    """Return what is in a file.

    CLI Example:

        greensalt-cli '*' file.read /path/to/file
    """
    file = Path(expand(path))
    return file.read_bytes() if binary is True else file.read_text(encoding="utf-8")


def _lines(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """The lines to write: the arguments, or ``args`` as a keyword."""
    if "args" in kwargs:
        given = kwargs["args"]
        args = tuple(given) if isinstance(given, list) else (given,)
    return [f"{line}\n" for line in args]


def write(path: str, *args: Any, **kwargs: Any) -> str:
    """Write lines to a file in the place of what was in it.

    CLI Example:

        greensalt-cli '*' file.write /etc/motd "With all thine offerings thou shalt offer salt."
        greensalt-cli '*' file.write /etc/motd args='[cheese=spam, spam=cheese]'
    """
    target = expand(path)
    lines = _lines(args, kwargs)
    Path(target).write_text("".join(lines), encoding="utf-8")
    return f'Wrote {len(lines)} lines to "{target}"'


def append(path: str, *args: Any, **kwargs: Any) -> str:
    """Add lines to the end of a file.

    CLI Example:

        greensalt-cli '*' file.append /etc/motd "With all thine offerings thou shalt offer salt."
        greensalt-cli '*' file.append /etc/motd args='[cheese=spam, spam=cheese]'
    """
    target = expand(path)
    lines = _lines(args, kwargs)
    with Path(target).open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write("".join(lines).encode())
    return f'Wrote {len(lines)} lines to "{target}"'


def prepend(path: str, *args: Any, **kwargs: Any) -> str:
    """Add lines to the beginning of a file.

    CLI Example:

        greensalt-cli '*' file.prepend /etc/motd "With all thine offerings thou shalt offer salt."
    """
    target = Path(expand(path))
    lines = _lines(args, kwargs)
    present = target.read_bytes() if target.is_file() else b""
    target.write_bytes("".join(lines).encode() + present)
    return f'Prepended {len(lines)} lines to "{target}"'


def seek_read(path: str, size: int, offset: int) -> bytes:
    """Return some bytes of a file, from an offset on.

    CLI Example:

        greensalt-cli '*' file.seek_read /path/to/file 4096 0
    """
    with Path(expand(path)).open("rb") as file:
        file.seek(int(offset))
        return file.read(int(size))


def seek_write(path: str, data: Any, offset: int) -> int:
    """Write into a file at an offset; return the number of bytes.

    CLI Example:

        greensalt-cli '*' file.seek_write /path/to/file 'some data' 4096
    """
    with Path(expand(path)).open("rb+") as file:
        file.seek(int(offset))
        written = file.write(data if isinstance(data, bytes) else str(data).encode())
        file.flush()
        os.fsync(file.fileno())
        return written


def truncate(path: str, length: int) -> None:
    """Cut a file, or extend it, to a length.

    CLI Example:

        greensalt-cli '*' file.truncate /path/to/file 512
    """
    os.truncate(expand(path), int(length))


def contains(path: str, text: Any) -> bool:
    """Tell whether a text is in a file.

    CLI Example:

        greensalt-cli '*' file.contains /etc/crontab 'mymaintenance.sh'
    """
    wanted = str(text).strip().encode()
    return any(wanted in line for line in _blocks(path, len(wanted)))


def _blocks(path: str, overlap: int) -> Any:
    """Blocks of a file, each beginning with the end of the one before; none if it is missing."""
    try:
        with Path(expand(path)).open("rb") as file:
            tail = b""
            while block := file.read(1 << 18):
                yield tail + block
                tail = (tail + block)[-overlap:] if overlap else b""
            if not tail:
                yield b""
    except OSError:
        return


def contains_regex(path: str, regex: str, lchar: str = "") -> bool:
    """Tell whether a line of a file matches; ``lchar`` are taken from its beginning first.

    CLI Example:

        greensalt-cli '*' file.contains_regex /etc/crontab '^#.*daily'
    """
    pattern = re.compile(str(regex))
    target = Path(expand(path))
    try:
        with target.open(encoding="utf-8", errors="surrogateescape") as file:
            return any(pattern.search(line.lstrip(lchar) if lchar else line) for line in file)
    except OSError:
        return False


def contains_glob(path: str, glob_expr: str) -> bool:
    """Tell whether a file as a whole matches a shell pattern.

    CLI Example:

        greensalt-cli '*' file.contains_glob /etc/foobar '*cheese*'
    """
    target = Path(expand(path))
    try:
        return fnmatch.fnmatch(target.read_text(errors="surrogateescape"), glob_expr)
    except OSError:
        return False


def search(
    path: str,
    pattern: str,
    flags: Any = 8,
    bufsize: Any = 1,
    ignore_if_missing: bool = False,
    multiline: bool = False,
) -> Any:
    """Tell whether a pattern occurs in a file.

    CLI Example:

        greensalt-cli '*' file.search /etc/crontab 'mymaintenance.sh'
    """
    wanted = regex_flags(flags) | (re.MULTILINE if multiline else re.RegexFlag(0))
    return replace(
        path,
        pattern,
        "",
        flags=wanted,
        dry_run=True,
        search_only=True,
        show_changes=False,
        ignore_if_missing=ignore_if_missing,
    )


def grep(path: str, pattern: str, *opts: Any, context: Context) -> dict[str, Any]:
    """Look for a pattern with the program grep; return its pid, retcode, stdout and stderr.

    Options are given one by one, after ``--`` on a command line.

    CLI Example:

        greensalt-cli '*' file.grep /etc/passwd nobody
        greensalt-cli '*' file.grep "/etc/sysconfig/network-scripts/*" ipaddr -- -l
    """
    options = []
    for option in opts:
        words = shlex.split(str(option))
        if len(words) > 1:
            raise SaltInvocationError(
                "Passing multiple command line arguments in a single string is not supported,"
                f" please pass the following arguments separately: {option}"
            )
        options += words
    target = expand(path)
    argv = ["grep", *options, str(pattern), *(glob.glob(target) or [target])]  # noqa: PTH207  # Path.glob knows no absolute patterns
    return context.home.run(run_program, argv, context)
