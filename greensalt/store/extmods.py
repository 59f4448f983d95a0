"""Extension modules on this machine: copies of what `_modules`, `_grains`, ... hold elsewhere.

They lie below one directory (`extension_modules`), a directory for each kind, under the paths that
they have there. A path that would lie elsewhere is refused, and a file has its name once it is
whole. Blocks; for native threads.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from greensalt.errors import SaltInvocationError
from greensalt.wire.ids import safe_join

log = logging.getLogger(__name__)

SUFFIXES: Final = (".py", ".pyx", ".so", ".zip")

Fetch = Callable[[str], Path | None]
"""The file behind a path of a kind, as it is now on this machine; None if it has gone."""


class Choice(NamedTuple):
    """Which modules are wanted: names or patterns without the kind. No `allowed` means all."""

    allowed: Sequence[str] = ()
    refused: Sequence[str] = ()

    def has(self, name: str) -> bool:
        """Whether a module is to be there."""
        return (not self.allowed or _is_one_of(name, self.allowed)) and not _is_one_of(
            name, self.refused
        )


def choose(
    kind: str,
    allowed: Any,
    refused: Any,
    whitelist: Mapping[str, Any],
    blacklist: Mapping[str, Any],
) -> Choice:
    """What a caller wants of a kind: names, or maps from kinds to names.

    What the caller leaves out (None) is as the configuration says. Raises SaltInvocationError.
    """
    return Choice(_of_kind(kind, allowed, whitelist), _of_kind(kind, refused, blacklist))


def _of_kind(kind: str, given: Any, configured: Mapping[str, Any]) -> Sequence[str]:
    chosen = configured if given is None else given
    return names_in(chosen.get(kind) if isinstance(chosen, Mapping) else chosen)


def names_in(value: Any) -> list[str]:
    """The names in a list, or in a text with commas; raises SaltInvocationError."""
    if value is None:
        return []
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    if isinstance(value, list | tuple):
        return [str(name) for name in value]
    raise SaltInvocationError(f"a list of names is needed, not {value!r:.100}")


class ExtensionModules:
    """The copies of one machine, below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def sync(
        self,
        kind: str,
        offered: Iterable[str],
        fetch: Fetch,
        *,
        choice: Choice | None = None,
        clean: bool = True,
    ) -> list[str]:
        """Make the copies of a kind what is offered; the names of those that were written, sorted.

        `offered` are paths relative to the kind's directory. With `clean` what is not offered, or
        not chosen, is removed. Raises UnsafePath, OSError, and what `fetch` raises.
        """
        place = self._directory / kind
        chosen = choice or Choice()
        wanted = {
            path: safe_join(place, path)
            for path in offered
            if path.endswith(SUFFIXES) and chosen.has(_name(path))
        }
        written = []
        for path, copy in sorted(wanted.items()):
            source = fetch(path)
            if source is not None and _bring(source, copy):
                written.append(f"{kind}.{_name(path)}")
        if clean:
            _remove_others(place, set(wanted.values()))
        return sorted(written)


def _name(path: str) -> str:
    return path.rpartition(".")[0].strip("/").replace("/", ".")


def _is_one_of(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _bring(source: Path, copy: Path) -> bool:
    """Copy a file if its content is another; whether it was."""
    content = source.read_bytes()
    try:
        if not copy.is_symlink() and copy.read_bytes() == content:
            return False
    except FileNotFoundError:
        pass
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Several jobs may sync at once, so each has a name of its own; see _remove_others.
    part = copy.with_name(f".{copy.name[:200]}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        part.replace(copy)
    finally:
        part.unlink(missing_ok=True)
    return True


def _remove_others(place: Path, kept: set[Path]) -> None:
    for above, directories, files in os.walk(place, topdown=False):
        for name in files:
            path = Path(above, name)
            if path not in kept and not name.startswith("."):
                log.info("%s is offered no longer and was removed", path)
                path.unlink(missing_ok=True)
        for name in directories:
            path = Path(above, name)
            if path.is_symlink():
                path.unlink()
            elif not any(path.iterdir()):
                path.rmdir()
