"""Accepting, rejecting and deleting keys, as one batch with one rotation at its end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from greensalt.config import MasterConfig
from greensalt.errors import StoreError
from greensalt.store.keys import KeyStore, State
from greensalt.store.secretfiles import SessionKeys


class Change(NamedTuple):
    """What is done to keys: the word for it, from which states, and whether Return means yes."""

    done: str
    sources: tuple[State, ...]
    by_default: bool


ACCEPT: Final = Change("accepted", (State.PENDING,), by_default=True)
REJECT: Final = Change("rejected", (State.PENDING,), by_default=True)
DELETE: Final = Change("deleted", tuple(State), by_default=False)


def apply_change(
    change: Change,
    found: Mapping[State, list[str]],
    store: KeyStore,
    config: MasterConfig,
    report: Callable[[str], None],
    *,
    rotate: bool,
) -> int:
    """Change all keys found; the exit code. A key that can't be changed does not stop the others.

    An id whose key is no longer the accepted one loses its session key at once. All minions share
    the publish key, so it is rotated when somebody is shut out who may have it: once, at the end.
    """
    sessions = SessionKeys(config.cachedir)
    members = set(store.ids(State.ACCEPTED))
    done = replaced = failures = 0
    for state, minion_ids in found.items():
        for minion_id in minion_ids:
            try:
                _change_one(change, store, state, minion_id)
                if minion_id in members and (change is not DELETE or state is State.ACCEPTED):
                    sessions.forget(minion_id)
                    replaced += 1
            except StoreError as error:
                print(f"greensalt key: error: {error}", file=sys.stderr)
                failures += 1
            else:
                done += 1
                report(f"Key for minion {minion_id} {change.done}.")
    if rotate and (replaced if change is ACCEPT else done):
        store.request_rotation(config.cachedir, config.id)
    return 1 if failures else 0


def _change_one(change: Change, store: KeyStore, state: State, minion_id: str) -> None:
    if change is ACCEPT:
        store.accept(minion_id, state)
    elif change is REJECT:
        store.reject(minion_id, state)
    elif not store.delete(minion_id, state):
        raise StoreError(f"{minion_id} has no {state.value} key")
