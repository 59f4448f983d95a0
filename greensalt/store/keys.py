"""The PKI of a master: one file per minion key, in a directory that says what was decided about it.

The layout is Salt's, so its tools may work beside ours:

    <pki_dir>/minions/<id>           accepted
    <pki_dir>/minions_pre/<id>       pending
    <pki_dir>/minions_rejected/<id>  rejected
    <pki_dir>/minions_denied/<id>    denied: another key than the one that is stored for the id

Source: docs/protocol.md 2.4, 2.6, 4.7.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greensalt.errors import InvalidMinionId, StoreError
from greensalt.store.files import write_private
from greensalt.store.keyfiles import (
    PRIVATE_MODE,
    PUBLIC_MODE,
    own_key,
    read_regular,
    write_key_file,
)
from greensalt.store.minionkeys import MinionKeys
from greensalt.store.secretfiles import SessionKeys, read_user_key, user_key
from greensalt.wire.ids import check_minion_id

if TYPE_CHECKING:
    from greensalt.crypto.keypair import PrivateKey

__all__ = ["KeyStore", "MinionKeys", "SessionKeys", "State", "read_user_key", "user_key"]

ROTATION_FILE: Final = ".dfn"
"""Salt's name, in the cache directory, for the wish of a new publish key."""

Ids = list[str]


class State(Enum):
    """What was decided about a key. The value is for people; `folder` is Salt's name for it."""

    PENDING = "pending"
    REJECTED = "rejected"
    ACCEPTED = "accepted"
    DENIED = "denied"

    @property
    def folder(self) -> str:
        """The name of the directory below pki_dir, and the key in Salt's JSON output."""
        return _FOLDERS[self]


_FOLDERS: Final = {
    State.PENDING: "minions_pre",
    State.REJECTED: "minions_rejected",
    State.ACCEPTED: "minions",
    State.DENIED: "minions_denied",
}

_DECIDED: Final = (State.REJECTED, State.ACCEPTED, State.PENDING)


class KeyStore:
    """The keys below one pki_dir. Every method blocks for a file operation or two.

    Ids are checked before they become file names (InvalidMinionId); trouble with the files is a
    StoreError. Symlinks among the minions' keys are ignored.
    """

    def __init__(self, pki_dir: Path) -> None:
        self.pki_dir = pki_dir
        self._folders = {state: f"{pki_dir / state.folder}/" for state in State}

    def prepare(self) -> None:
        """Create the directories that are missing, closed to others."""
        try:
            self.pki_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            for state in State:
                self.directory(state).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            where = error.filename or self.pki_dir
            raise StoreError(f"{where}: can't be created: {error.strerror}") from error

    def directory(self, state: State) -> Path:
        return self.pki_dir / state.folder

    def path(self, state: State, minion_id: str) -> Path:
        return self.directory(state) / check_minion_id(minion_id)

    def list(self) -> dict[State, Ids]:
        """All ids by state, each list sorted."""
        return {state: self.ids(state) for state in State}

    def ids(self, state: State) -> Ids:
        """The ids of a state, sorted; what could not be an id is not one."""
        try:
            with os.scandir(self.directory(state)) as entries:
                names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        except OSError as error:
            where = self.directory(state)
            raise StoreError(f"{where}: can't be listed: {error.strerror}") from error
        return sorted(filter(_is_id, names))

    def get(self, state: State, minion_id: str) -> str | None:
        """The cleaned PEM text of a key, None if there is none in this state."""
        text = read_regular(self._file(state, minion_id))
        return None if text is None else _clean(text)

    def state_of(self, minion_id: str) -> tuple[State, str] | None:
        """What was decided about an id, and the key. A denied key is no decision about the id."""
        for state in _DECIDED:
            pem = self.get(state, minion_id)
            if pem is not None:
                return state, pem
        return None

    def put(self, state: State, minion_id: str, pem: str) -> None:
        """Store a key in a state; it is then in none of the other states, denied left aside."""
        write_key_file(self.path(state, minion_id), _clean(pem), PUBLIC_MODE)
        if state is not State.DENIED:
            self._remove_from((other for other in _DECIDED if other is not state), minion_id)

    def accept(self, minion_id: str, source: State = State.PENDING) -> None:
        """Accept a key; StoreError if there is none in the state `source`."""
        self._move(minion_id, source, State.ACCEPTED)

    def reject(self, minion_id: str, source: State = State.PENDING) -> None:
        """Reject a key; StoreError if there is none in the state `source`."""
        self._move(minion_id, source, State.REJECTED)

    def delete(self, minion_id: str, state: State | None = None) -> tuple[State, ...]:
        """Delete the keys of an id, in one state or in all; the states it was deleted from.

        Whoever deletes an accepted key drops what else is known of the id (session key, grains,
        pillar, mine) and asks for a rotation of the publish key.
        """
        return self._remove_from((state,) if state is not None else State, minion_id)

    def fingerprint(self, state: State, minion_id: str, hash_type: str = "sha256") -> str | None:
        """The fingerprint of a key, None if there is none; BadKey for a file without a key."""
        from greensalt.crypto.keypair import fingerprint

        pem = self.get(state, minion_id)
        return None if pem is None else fingerprint(pem, hash_type)

    def own(self, name: str, bits: int = 2048, passphrase: str | None = None) -> PrivateKey:
        """The pair `<name>.pem`, `<name>.pub` of the master itself; see own_key."""
        return own_key(self.pki_dir, name, bits, passphrase)

    @staticmethod
    def request_rotation(cachedir: Path, master_id: str = "") -> None:
        """Ask the master, which looks every second, for one new publish key."""
        path = cachedir / ROTATION_FILE
        try:
            write_private(path, master_id.encode(), PRIVATE_MODE)
        except OSError as error:
            raise StoreError(f"{path}: can't be written: {error.strerror}") from error

    def _file(self, state: State, minion_id: str) -> str:
        """As `path`, in a tenth of its time: a sign-in looks at ten."""
        return self._folders[state] + check_minion_id(minion_id)

    def _move(self, minion_id: str, source: State, target: State) -> None:
        old, new = self.path(source, minion_id), self.path(target, minion_id)
        try:
            if not stat.S_ISREG(old.lstat().st_mode):
                raise FileNotFoundError
            new.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            old.replace(new)
        except FileNotFoundError:
            raise StoreError(f"{minion_id} has no {source.value} key") from None
        except OSError as error:
            raise StoreError(f"{old}: can't be moved to {new}: {error.strerror}") from error
        left = (state for state in _DECIDED if state not in (source, target))
        self._remove_from(left, minion_id)

    def _remove_from(self, states: Iterable[State], minion_id: str) -> tuple[State, ...]:
        removed = []
        for state in states:
            path = self._file(state, minion_id)
            try:
                os.unlink(path)  # noqa: PTH108  # it is text
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreError(f"{path}: can't be deleted: {error.strerror}") from error
            removed.append(state)
        return tuple(removed)


def _is_id(name: str) -> bool:
    try:
        check_minion_id(name)
    except InvalidMinionId:
        return False
    return True


def _clean(pem: str) -> str:
    from greensalt.crypto.keypair import clean_pem  # pycryptodome comes with it: not for listing

    return clean_pem(pem)
