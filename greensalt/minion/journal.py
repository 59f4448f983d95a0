"""The jobs that this minion has taken, so that none runs twice, however often it is delivered.

A jid is remembered when the job is taken in and written to `<cachedir>/jobs` before it begins: a
minion that was killed knows after its restart what it must not begin again. A job that waited for
its turn then is not in the file, and may be delivered once more.

Source: Spec 12.5.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path

from greensalt.store.files import write_private
from greensalt.wire.jid import is_jid

log = logging.getLogger(__name__)


class Journal:
    """Remembers the last `most` jids. `is_new` until a job has begun with this file.

    Once it had to forget some, it takes everything up to the newest of these as known: better a
    job that is not delivered again than one that runs twice.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._lines = 0
        self._forgotten = ""  # the newest jid that is not remembered any more
        self.is_new = True

    def open(self) -> None:
        """Read what earlier runs have begun."""
        try:
            text = self._path.read_text(errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("%s can't be read, old jobs are not asked for: %s", self._path, error)
            return
        self.is_new = False
        lines = text.split()
        whole = text.endswith("\n")  # a cut line must not become part of the next one
        self._lines = len(lines) if whole else 2 * self._most
        for jid in filter(is_jid, lines):
            self.take(jid)

    def knows(self, jid: str) -> bool:
        """Whether a job was taken already."""
        return jid in self._taken

    def may_begin(self, jid: str) -> bool:
        """Whether a job that is delivered late is certainly none that has begun before."""
        return jid not in self._taken and jid > self._forgotten

    def newest(self, most: int) -> list[str]:
        """The jids that were taken last."""
        return list(self._taken)[-most:]

    def take(self, jid: str) -> None:
        """Remember a job, as long as this process lives."""
        self._taken[jid] = None
        while len(self._taken) > self._most:
            self._forgotten = max(self._forgotten, self._taken.popitem(last=False)[0])

    def begin(self, jid: str) -> None:
        """Write down that a job begins. A disk that is full is logged; the job runs still."""
        self.take(jid)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._lines >= 2 * self._most:
                self._shorten()
                return
            with self._path.open("a") as file:
                file.write(f"{jid}\n")
            self._lines += 1
        except OSError as error:
            log.error("the job %s can't be written to %s: %s", jid, self._path, error)

    def _shorten(self) -> None:
        """Keep what is remembered, jobs that only wait included: they will begin soon."""
        write_private(self._path, "".join(f"{jid}\n" for jid in self._taken).encode())
        self._lines = len(self._taken)
