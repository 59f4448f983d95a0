"""Who is let in, or kept out, without a person deciding (docs/protocol.md 2.4).

Rejecting comes first. Then a key is accepted for its id (`autosign_file`, or a stub that somebody
put into `minions_autosign/`), or for what the minion says of itself (`autosign_grains_dir`).
"""

from __future__ import annotations

import fnmatch
import logging
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from greensalt.config import MasterConfig
from greensalt.wire.ids import check_minion_id

log = logging.getLogger(__name__)

Verdict = Literal["accept", "reject"]

STUBS: Final = "minions_autosign"


class AutosignPolicy:
    """Decides about new keys. The files are read at each decision: a change needs no restart."""

    def __init__(self, config: MasterConfig) -> None:
        self._accept_file = config.autosign_file
        self._reject_file = config.autoreject_file
        self._grains_dir = config.autosign_grains_dir
        self._stubs = config.pki_dir / STUBS
        self._stub_age_s = config.autosign_timeout * 60
        self._group_may_write = config.permissive_pki_access

    def decide(
        self, minion_id: str, autosign_grains: Mapping[str, Any] | None = None
    ) -> Verdict | None:
        """What to do with the key of an id; None leaves it to a person.

        A stub that speaks for the id is used up by this.
        """
        check_minion_id(minion_id)
        if self._is_named(self._reject_file, minion_id):
            return "reject"
        if self._is_named(self._accept_file, minion_id) or self._take_stub(minion_id):
            return "accept"
        if autosign_grains and self._grains_match(autosign_grains):
            return "accept"
        return None

    def _is_named(self, path: Path | None, minion_id: str) -> bool:
        return path is not None and any(_matches(line, minion_id) for line in self._lines(path))

    def _grains_match(self, grains: Mapping[str, Any]) -> bool:
        """One grain of the minion whose value is a line of the file with the grain's name."""
        if self._grains_dir is None:
            return False
        for path in _files(self._grains_dir):
            if path.name in grains and str(grains[path.name]) in self._lines(path):
                return True
        return False

    def _take_stub(self, minion_id: str) -> bool:
        """Use up the stub of an id, and remove all that are too old."""
        oldest = time.time() - self._stub_age_s
        taken = False
        for path in _files(self._stubs):
            try:
                expired = path.stat().st_mtime < oldest
                if expired or path.name == minion_id:
                    path.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                # A stub that can't be used up must not let in a second one.
                log.error("%s: can't be removed and is ignored: %s", path, error.strerror)
                continue
            taken = taken or (path.name == minion_id and not expired)
        return taken

    def _lines(self, path: Path) -> Iterator[str]:
        """The lines of a file that nobody else may write to; none of any other file."""
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                if not self._is_trusted(path, os.fstat(file.fileno()).st_mode):
                    return
                lines = file.read().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("%s: can't be read and is ignored: %s", path, error.strerror)
            return
        for line in lines:
            line = line.strip()
            if line and not line.startswith("#"):
                yield line

    def _is_trusted(self, path: Path, mode: int) -> bool:
        others = stat.S_IWOTH if self._group_may_write else stat.S_IWOTH | stat.S_IWGRP
        if mode & others:
            log.warning("%s can be written by others and is ignored: chmod go-w", path)
            return False
        return True


def _matches(line: str, minion_id: str) -> bool:
    """An exact id, a glob, or a regular expression for the whole id."""
    if line == minion_id or fnmatch.fnmatchcase(minion_id, line):
        return True
    try:
        return re.fullmatch(line, minion_id) is not None
    except re.error:
        return False  # a glob, most likely


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.is_file())
    except FileNotFoundError:
        return []
    except OSError as error:
        log.error("%s: can't be listed and is ignored: %s", directory, error.strerror)
        return []
