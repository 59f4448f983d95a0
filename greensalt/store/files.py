"""Small files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace `path` by a file of `mode` with `data`; raises OSError and leaves the old one.

    The file has its mode from the first moment, whatever the umask.
    """
    target = str(path)  # a Path's own methods take as long as what they call
    directory, _, name = target.rpartition("/")
    temporary = f"{directory or '.'}/.{name}.{os.getpid()}.new"
    try:
        descriptor = os.open(temporary, _FLAGS, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, _FLAGS, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
        os.replace(temporary, target)  # noqa: PTH105
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
