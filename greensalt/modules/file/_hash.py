"""Hashes of file contents."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from greensalt.errors import SaltInvocationError
from greensalt.modules.file._common import expand

# By the number of their hexadecimal digits.
HASH_TYPES: Final = {
    32: "md5",
    40: "sha1",
    56: "sha224",
    64: "sha256",
    96: "sha384",
    128: "sha512",
}


def get_hash(path: str, form: str = "sha256", chunk_size: int = 65536) -> str:
    """Return the hash of a file.

    CLI Example:

        greensalt-cli '*' file.get_hash /etc/shadow
    """
    try:
        digest = hashlib.new(str(form))
    except ValueError:
        raise ValueError(f"Invalid hash type: {form}") from None
    with Path(expand(path)).open("rb") as file:
        while chunk := file.read(int(chunk_size)):
            digest.update(chunk)
    return digest.hexdigest()


def get_sum(path: str, form: str = "sha256") -> str:
    """Return the hash of a file, or that there is none.

    CLI Example:

        greensalt-cli '*' file.get_sum /etc/passwd sha512
    """
    if not Path(expand(path)).is_file():
        return "File not found"
    return get_hash(path, form)


def check_hash(path: str, file_hash: Any) -> bool:
    """Tell whether a file has a hash: its digits, or the type, a colon or ``=`` and the digits.

    CLI Example:

        greensalt-cli '*' file.check_hash /etc/fstab md5:d41d8cd98f00b204e9800998ecf8427e
    """
    if not isinstance(file_hash, str):
        raise SaltInvocationError("hash must be a string")
    for separator in (":", "="):
        if separator in file_hash:
            form, _, digits = file_hash.partition(separator)
            return get_hash(path, form) == digits
    if len(file_hash) not in HASH_TYPES:
        supported = ", ".join(f"{name} ({size})" for size, name in HASH_TYPES.items())
        raise SaltInvocationError(
            f"Hash {file_hash} (length: {len(file_hash)}) could not be matched to a supported hash"
            f" type. The supported hash types and lengths are: {supported}"
        )
    return get_hash(path, HASH_TYPES[len(file_hash)]) == file_hash
