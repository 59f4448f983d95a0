"""The id of a minion that has none in its configuration: remembered, or guessed from the host."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

LOCAL_NAMES = ("localhost", "ip6-localhost", "ip6-loopback")


def find_minion_id(
    cache_file: Path,
    *,
    caching: bool,
    lowercase: bool,
    remove_domain: bool | str,
    warn: Callable[[str], object],
) -> str:
    """The id in `cache_file`, else the host's full name, which is then written there.

    Written by one rename, so that a crash leaves no half name. A file that can't be written is a
    warning: the minion works, but would change its id with the host's name.
    """
    if caching:
        remembered = _first_line(cache_file)
        if remembered and remembered not in LOCAL_NAMES:
            return remembered
    name = next(host_names(), "localhost")
    if lowercase:
        name = name.lower()
    name = _without_domain(name, remove_domain)
    if caching:
        try:
            _write(cache_file, name)
        except OSError as error:
            warn(f"the minion id {name} could not be kept in {cache_file}: {error.strerror}")
    return name


def host_names() -> Iterator[str]:
    """What this host could be called, the best name first; localhost is no name."""
    candidates = [socket.getfqdn(), socket.gethostname(), _first_line(Path("/etc/hostname"))]
    names = [name.strip(".") for name in candidates if name and "\0" not in name]
    usable = [name for name in names if _is_name(name)]
    yield from (name for name in usable if "." in name)
    yield from (name for name in usable if "." not in name)


def _is_name(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] not in ("", *LOCAL_NAMES) and not name.endswith(".arpa")


def _without_domain(name: str, remove_domain: bool | str) -> str:
    if remove_domain is True:
        return name.split(".", maxsplit=1)[0]
    if remove_domain and name.lower().endswith(f".{remove_domain}".lower()):
        return name[: -len(str(remove_domain)) - 1]
    return name


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.readline().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _write(path: Path, name: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(name, encoding="utf-8")
    temporary.replace(path)
