"""What the parts of the file module share: paths, text or not, differences, safe writing."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from greensalt.errors import SaltInvocationError

# Bytes of text: everything printable, and the control characters that texts have.
_TEXT_BYTES = bytes([*range(32, 127), *b"\n\r\t\f\b"])


def expand(path: Any) -> str:
    """A path as text, its ``~`` replaced."""
    text = str(path)
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:  # no such user
        return text


def absolute(path: Any, complaint: str = "File path must be absolute.") -> str:
    """An expanded path; raises SaltInvocationError if it is not absolute."""
    text = expand(path)
    if not text.startswith("/"):
        raise SaltInvocationError(complaint)
    return text


def is_binary(data: bytes) -> bool:
    """Guess whether the beginning of a file is no text: a NUL, or too much that is not UTF-8."""
    if not data:
        return False
    if b"\0" in data:
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return len(data.translate(None, _TEXT_BYTES)) / len(data) > 0.3
    return False


def text_file(path: Any) -> Path:
    """The real path of an existing text file; raises SaltInvocationError if it is none."""
    real = Path(expand(path)).resolve()
    if not real.is_file():
        raise SaltInvocationError(f"File not found: {real}")
    with real.open("rb") as file:
        if is_binary(file.read(512)):
            raise SaltInvocationError(
                f"Cannot perform string replacements on a binary file: {real}"
            )
    return real


def difference(before: Iterable[bytes], after: Iterable[bytes]) -> str:
    """The unified difference of two lists of lines; empty if there is none."""
    return "".join(difflib.unified_diff(list(map(_text, before)), list(map(_text, after))))


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def write_anew(path: Path, data: bytes) -> None:
    """Replace a file as a whole, with its owner and mode: never half of it can be seen."""
    status = path.stat()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    new = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chown(new, status.st_uid, status.st_gid)
        # After chown, which takes set-user-id bits away.
        new.chmod(status.st_mode & 0o7777)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def back_up(path: Path, suffix: Any) -> None:
    """Copy a file, its mode and owner to `<path><suffix>`; nothing without a suffix."""
    if not suffix:
        return
    import shutil

    copy = Path(f"{path}{suffix}")
    shutil.copy2(path, copy)
    status = path.stat()
    os.chown(copy, status.st_uid, status.st_gid)


def octal(mode: Any) -> str:
    """A file mode as four octal digits, from a number that looks like them or a text."""
    text = str(mode).replace("0o", "0").strip("\"'")
    return text.lstrip("0").zfill(4)


def octal_value(mode: Any) -> int:
    """The number of an octal mode; raises SaltInvocationError if it is none."""
    try:
        return int(octal(mode), 8)
    except ValueError:
        raise SaltInvocationError(f"Invalid Mode {mode}") from None
