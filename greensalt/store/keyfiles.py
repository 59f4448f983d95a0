"""Key files on disk: reading what may be trusted, and own key pairs made once and for all."""

from __future__ import annotations

import errno
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greensalt.errors import BadKey, StoreError
from greensalt.store.files import write_private

if TYPE_CHECKING:
    from greensalt.crypto.keypair import PrivateKey

log = logging.getLogger(__name__)

MAX_KEY_FILE_BYTES: Final = 16384
PUBLIC_MODE: Final = 0o644
PRIVATE_MODE: Final = 0o400


def read_regular(path: Path | str, *, follow_symlink: bool = False) -> str | None:
    """The text of a small regular file; None where there is none.

    Symlinks count as nothing unless followed, so that nobody can slip in a file of his choice; so
    do directories and FIFOs. Raises StoreError for what can't be read or is too large.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags if follow_symlink else flags | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return None
        raise StoreError(f"{path}: can't be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = os.read(descriptor, MAX_KEY_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_KEY_FILE_BYTES:
        raise StoreError(f"{path}: has more than {MAX_KEY_FILE_BYTES} bytes and is no key")
    return data.decode("utf-8", "replace")


def write_key_file(path: Path, text: str, mode: int) -> None:
    """Write a key file whole or not at all, of `mode` from its first moment; raises StoreError."""
    try:
        write_private(path, text.encode(), mode)
    except OSError as error:
        raise StoreError(f"{path}: can't be written: {error.strerror}") from error


def own_key(
    directory: Path, name: str, bits: int = 2048, passphrase: str | None = None
) -> PrivateKey:
    """The own key pair `<name>.pem`, `<name>.pub` in a directory, made now if there is none.

    `<name>.pem` may be a symlink, as Salt 3008 makes it. Takes up to seconds when a key is made.
    Raises BadKey, naming the file, for one that can't be used, and StoreError.
    """
    from greensalt.crypto.keypair import PrivateKey

    private, public = directory / f"{name}.pem", directory / f"{name}.pub"
    text = read_regular(private, follow_symlink=True)
    if text is None:
        _write_once(private, PrivateKey.generate(bits).to_pem(passphrase))
        # Read back: another process may have been first, and then its key is the one.
        text = read_regular(private, follow_symlink=True) or ""
        log.info("a key pair was made: %s", private)
    else:
        _warn_if_readable(private)
    try:
        key = PrivateKey.from_pem(text, passphrase or None)
    except BadKey as error:
        raise BadKey(f"{private}: {error}") from error
    if (read_regular(public, follow_symlink=True) or "").strip() != key.public.pem:
        write_key_file(public, key.public.pem + "\n", PUBLIC_MODE)
    return key


def _write_once(path: Path, text: str) -> None:
    """Create a private file with its whole content, unless it is there already."""
    complete = path.with_name(f".{path.name}.{os.getpid()}.made")
    write_key_file(complete, text, PRIVATE_MODE)
    try:
        os.link(complete, path)
    except FileExistsError:
        pass  # made by another process a moment ago
    except OSError as error:
        raise StoreError(f"{path}: can't be created: {error.strerror}") from error
    finally:
        complete.unlink(missing_ok=True)


def _warn_if_readable(private: Path) -> None:
    mode = stat.S_IMODE(private.stat().st_mode)
    if mode & 0o077:
        log.warning("%s can be read by others (mode %04o); make it 0400", private, mode)
