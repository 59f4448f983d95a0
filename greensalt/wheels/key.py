"""The keys of minions: what `greensalt key` does, for programs.

`match` is an id, a glob, or a list of them with commas between. The running master notices what
was changed: it tells the bus and lets go of what belonged to deleted keys.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping
from typing import Any

from greensalt.errors import CommandExecutionError, SaltInvocationError, StoreError
from greensalt.master.context import MasterContext
from greensalt.store.keys import State
from greensalt.store.secretfiles import SessionKeys

# Keys are files: these run beside the hub, no GREEN.

Keys = dict[str, list[str]]

_WORDS = {
    "pre": State.PENDING,
    "un": State.PENDING,
    "unaccepted": State.PENDING,
    "acc": State.ACCEPTED,
    "accepted": State.ACCEPTED,
    "rej": State.REJECTED,
    "rejected": State.REJECTED,
    "den": State.DENIED,
    "denied": State.DENIED,
}


def list_(match: str, *, context: MasterContext) -> Keys:
    """List the keys of a state ("acc", "pre", "rej", "den", or "all"): {state: ids}.

    CLI Example:

        greensalt run salt.wheel key.list acc
    """
    if match == "all":
        return list_all(context=context)
    for word, state in _WORDS.items():
        if match in (word, state.folder):
            return {state.folder: sorted(context.keys.ids(state))}
    raise SaltInvocationError(f"{match!r} is no state of keys: acc, pre, rej, den or all")


def list_all(*, context: MasterContext) -> Keys:
    """List the keys of all states, and the master's own under "local".

    CLI Example:

        greensalt run salt.wheel key.list_all
    """
    listed = {state.folder: sorted(context.keys.ids(state)) for state in State}
    return {**listed, "local": ["master.pem", "master.pub"]}


def name_match(match: str, *, context: MasterContext) -> Keys:
    """List the keys whose ids match: {state: ids}.

    CLI Example:

        greensalt run salt.wheel key.name_match 'web*'
    """
    return _shown(_found(context, match, State))


def accept(
    match: str,
    include_rejected: bool = False,
    include_denied: bool = False,
    *,
    context: MasterContext,
) -> Keys:
    """Accept pending keys; {"minions": ids}.

    CLI Example:

        greensalt run salt.wheel key.accept web1
        greensalt run salt.wheel key.accept 'web*' include_rejected=True
    """
    sources = {State.PENDING}
    if include_rejected:
        sources.add(State.REJECTED)
    if include_denied:
        sources.add(State.DENIED)
    return _moved(context, _found(context, match, sources), State.ACCEPTED)


def accept_dict(
    match: Mapping[str, Any],
    include_rejected: bool = False,
    include_denied: bool = False,
    *,
    context: MasterContext,
) -> Keys:
    """Accept the keys of a dict {state: ids}, as `key.list_all` gives it.

    CLI Example:

        greensalt run salt.wheel key.accept_dict '{minions_pre: [web1]}'
    """
    return _moved(context, _given(context, match), State.ACCEPTED)


def reject(
    match: str,
    include_accepted: bool = False,
    include_denied: bool = False,
    *,
    context: MasterContext,
) -> Keys:
    """Reject pending keys; {"minions_rejected": ids}.

    CLI Example:

        greensalt run salt.wheel key.reject web1
    """
    sources = {State.PENDING}
    if include_accepted:
        sources.add(State.ACCEPTED)
    if include_denied:
        sources.add(State.DENIED)
    return _moved(context, _found(context, match, sources), State.REJECTED)


def reject_dict(
    match: Mapping[str, Any],
    include_accepted: bool = False,
    include_denied: bool = False,
    *,
    context: MasterContext,
) -> Keys:
    """Reject the keys of a dict {state: ids}.

    CLI Example:

        greensalt run salt.wheel key.reject_dict '{minions_pre: [web1]}'
    """
    return _moved(context, _given(context, match), State.REJECTED)


def delete(match: str, *, context: MasterContext) -> Keys:
    """Delete keys, whatever their state; those that are gone by state.

    CLI Example:

        greensalt run salt.wheel key.delete web1
    """
    return _deleted(context, _found(context, match, State))


def delete_dict(match: Mapping[str, Any], *, context: MasterContext) -> Keys:
    """Delete the keys of a dict {state: ids}.

    CLI Example:

        greensalt run salt.wheel key.delete_dict '{minions_rejected: [web1]}'
    """
    return _deleted(context, _given(context, match))


def key_str(match: str, *, context: MasterContext) -> dict[str, dict[str, str]]:
    """Return keys as text: {state: {id: key}}.

    CLI Example:

        greensalt run salt.wheel key.key_str web1
    """
    found = _found(context, match, State)
    return {
        state.folder: {each: context.keys.get(state, each) or "" for each in ids}
        for state, ids in found.items()
    }


def print_(match: str, *, context: MasterContext) -> dict[str, dict[str, str]]:
    """Return keys as text, as `key.key_str`.

    CLI Example:

        greensalt run salt.wheel key.print web1
    """
    return key_str(match, context=context)


def finger(
    match: str, hash_type: str | None = None, *, context: MasterContext
) -> dict[str, dict[str, str]]:
    """Return the fingerprints of keys: {state: {id: fingerprint}}.

    CLI Example:

        greensalt run salt.wheel key.finger 'web*'
    """
    kind = hash_type or context.config.hash_type
    found = _found(context, match, State)
    return {
        state.folder: {each: context.keys.fingerprint(state, each, kind) or "" for each in ids}
        for state, ids in found.items()
    }


def finger_master(
    hash_type: str | None = None, *, context: MasterContext
) -> dict[str, dict[str, str]]:
    """Return the fingerprint of the master's own key: {"local": {"master.pub": fingerprint}}.

    CLI Example:

        greensalt run salt.wheel key.finger_master
    """
    from greensalt.crypto.keypair import PublicKey

    path = context.keys.pki_dir / "master.pub"
    kind = hash_type or context.config.hash_type
    return {"local": {path.name: PublicKey.from_pem(path.read_text()).fingerprint(kind)}}


def gen(id_: str | None = None, keysize: int = 2048, *, context: MasterContext) -> dict[str, str]:
    """Make a key pair and return it: {"priv": key, "pub": key}. It is kept nowhere.

    CLI Example:

        greensalt run salt.wheel key.gen
    """
    from greensalt.crypto.keypair import PrivateKey

    pair = PrivateKey.generate(int(keysize))
    return {"priv": pair.to_pem(), "pub": pair.public.pem}


def gen_accept(
    id_: str, keysize: int = 2048, force: bool = False, *, context: MasterContext
) -> dict[str, str]:
    """Make a key pair for a new minion, accept it and return it; {} if the id has one already.

    CLI Example:

        greensalt run salt.wheel key.gen_accept web1
    """
    if context.keys.state_of(id_) is not None and not force:
        return {}
    pair = gen(id_, keysize, context=context)
    context.keys.put(State.ACCEPTED, id_, pair["pub"])
    return pair


# -- helpers -------------------------------------------------------------------------------------


def _found(
    context: MasterContext, match: Any, states: Collection[State] | type[State]
) -> dict[State, list[str]]:
    patterns = [word.strip() for word in str(match).split(",")]
    found = {}
    for state in State:
        if state in states:
            ids = sorted(context.keys.ids(state))
            found[state] = [
                each for each in ids if any(fnmatch.fnmatchcase(each, word) for word in patterns)
            ]
    return {state: ids for state, ids in found.items() if ids}


def _given(context: MasterContext, match: Any) -> dict[State, list[str]]:
    """The keys that a dict names and that are there."""
    if not isinstance(match, Mapping):
        raise SaltInvocationError("match is a dict {state: [ids]}")
    found = {}
    for state in State:
        names = match.get(state.folder, [])
        if not isinstance(names, list | tuple):
            raise SaltInvocationError(f"{state.folder}: not a list of ids")
        there = set(context.keys.ids(state))
        found[state] = [each for each in names if each in there]
    return {state: ids for state, ids in found.items() if ids}


def _shown(found: Mapping[State, list[str]]) -> Keys:
    return {state.folder: ids for state, ids in found.items()}


def _moved(context: MasterContext, found: Mapping[State, list[str]], target: State) -> Keys:
    """Accept or reject keys. Who was accepted and is no longer loses its session at once."""
    done: list[str] = []
    shut_out = False
    for state, ids in found.items():
        for minion_id in ids if state is not target else ():
            move = context.keys.accept if target is State.ACCEPTED else context.keys.reject
            _attempt(lambda move=move, each=minion_id, state=state: move(each, state))
            if state is State.ACCEPTED:
                SessionKeys(context.config.cachedir).forget(minion_id)
                shut_out = True
            done.append(minion_id)
    if shut_out:
        context.keys.request_rotation(context.config.cachedir, context.config.id)
    return {target.folder: sorted(done)} if done else {}


def _deleted(context: MasterContext, found: Mapping[State, list[str]]) -> Keys:
    shut_out = False
    for state, ids in found.items():
        for minion_id in ids:
            _attempt(lambda each=minion_id, state=state: context.keys.delete(each, state))
            if state is State.ACCEPTED:
                SessionKeys(context.config.cachedir).forget(minion_id)
                shut_out = True
    if shut_out:
        context.keys.request_rotation(context.config.cachedir, context.config.id)
    return _shown(found)


def _attempt(change: Any) -> None:
    try:
        change()
    except StoreError as error:
        raise CommandExecutionError(str(error)) from error
