"""`greensalt key`: what salt-key does, on the key files of the master's pki_dir.

A running master needs no call: it looks at the files, and at the wish for a rotation that deleting
or rejecting accepted keys leaves behind.
"""

from __future__ import annotations

import fnmatch
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from greensalt.cli.keyarguments import add_arguments
from greensalt.cli.keychanges import ACCEPT, DELETE, REJECT, Change, apply_change
from greensalt.config import MasterConfig
from greensalt.errors import BadKey
from greensalt.store.keyfiles import read_regular
from greensalt.store.keys import KeyStore, State

Ids = Mapping[State, list[str]]

__all__ = ["add_arguments", "run"]

LOCAL: Final = "local"
NO_ANSWER: Final = "no answer, nothing was changed; -y says yes"


def run(args: Namespace) -> int:
    if args.gen_keys is not None:
        from greensalt.cli.keymaking import make_keys

        return _shown(args, None, {"return": make_keys(args)})
    config = MasterConfig.load(args.config_dir)
    if args.gen_signature:
        from greensalt.cli.keymaking import make_signature

        make_signature(args, config)
        return _shown(args, config, {"return": True})
    return KeyCommand(args, config).run()


class KeyCommand:
    """One run of the command on one pki_dir."""

    def __init__(self, args: Namespace, config: MasterConfig) -> None:
        self.args = args
        self.config = config
        self.store = KeyStore(config.pki_dir)

    def run(self) -> int:
        """Do the one action that the arguments ask for; the exit code."""
        args = self.args
        if args.accept is not None or args.accept_all:
            return self._change(ACCEPT, args.accept)
        if args.reject is not None or args.reject_all:
            return self._change(REJECT, args.reject)
        if args.delete is not None or args.delete_all:
            return self._change(DELETE, args.delete)
        if args.print is not None or args.print_all:
            return self._describe(self.store.get, args.print, local=False)
        if args.finger is not None or args.finger_all:
            return self._describe(self._fingerprint, args.finger, local=True)
        listed = self.store.list()
        wanted = args.list or args.list_all or tuple(State)
        return self._show({state.folder: listed[state] for state in State if state in wanted})

    def _change(self, change: Change, pattern: str | None) -> int:
        args = self.args
        sources = set(change.sources)
        if change is DELETE and args.state:
            sources = set(args.state)
        if change is ACCEPT and (args.include_all or args.include_rejected):
            sources.add(State.REJECTED)
        if change is REJECT and (args.include_all or args.include_accepted):
            sources.add(State.ACCEPTED)
        if change is not DELETE and args.include_denied:
            sources.add(State.DENIED)
        found = self._matching(pattern, sources)
        if not found:
            self._say(f"The key glob {pattern or '*'!r} does not match any unaccepted keys.")
            return 0
        if not (args.quiet and args.yes):
            self._say(f"The following keys are going to be {change.done}:")
            self._show({state.folder: names for state, names in found.items()})
        if not args.yes:
            answer = self._answer(change)
            if answer is None:
                print(f"greensalt key: error: {NO_ANSWER}", file=sys.stderr)
                return 1
            if not answer:
                return 0
        report: Callable[[str], None] = (lambda _text: None) if args.quiet else self._say
        rotate = self.config.rotate_aes_key and args.rotate_aes_key
        return apply_change(change, found, self.store, self.config, report, rotate=rotate)

    def _answer(self, change: Change) -> bool | None:
        """Ask; None where nobody answers."""
        self._say(f"Proceed? [{'n/Y' if change.by_default else 'N/y'}] ", end="")
        line = sys.stdin.readline()
        if not line:
            self._say("")
            return None
        word = line.strip().lower()
        return change.by_default if not word else word.startswith("y")

    def _describe(
        self, what: Callable[[State, str], str | None], pattern: str | None, *, local: bool
    ) -> int:
        """Show {state: {id: text}} of the keys that match."""
        found = self._matching(pattern, self.args.state or tuple(State))
        data: dict[str, dict[str, str]] = {}
        for state, names in found.items():
            texts = {name: what(state, name) for name in names}
            data[state.folder] = {name: text for name, text in texts.items() if text is not None}
        if local and not self.args.state:
            own = self._local_fingerprints(pattern)
            data.update({LOCAL: own} if own else {})
        return self._show(data) if data else 0

    def _fingerprint(self, state: State, minion_id: str) -> str | None:
        try:
            return self.store.fingerprint(state, minion_id, self.config.hash_type)
        except BadKey as error:
            return f"({error})"

    def _local_fingerprints(self, pattern: str | None) -> dict[str, str]:
        """The public keys of the master itself, which `master_finger` of the minions names."""
        from greensalt.crypto.keypair import fingerprint

        if not self.config.pki_dir.is_dir():
            return {}
        names = [path.name for path in self.config.pki_dir.glob("*.pub")]
        found = {}
        for name in sorted(match(pattern, names)):
            text = read_regular(self.config.pki_dir / name, follow_symlink=True)
            if text is not None:
                found[name] = fingerprint(text, self.config.hash_type)
        return found

    def _matching(self, pattern: str | None, states: Collection[State]) -> dict[State, list[str]]:
        """The ids that match, by state, without the states where there are none."""
        listed = {
            state: match(pattern, self.store.ids(state)) for state in State if state in states
        }
        return {state: names for state, names in listed.items() if names}

    def _show(self, data: Mapping[str, Any]) -> int:
        return _shown(self.args, self.config, data)

    def _say(self, text: str, end: str = "\n") -> None:
        """Words for people; with another outputter they stay out of the data on stdout."""
        stream = sys.stdout if self.args.out == "key" else sys.stderr
        print(text, end=end, file=stream, flush=True)


def match(pattern: str | None, names: Iterable[str]) -> list[str]:
    """The names that a comma-separated list of ids and globs means; all of them for None."""
    names = list(names)
    if pattern is None:
        return names
    words = [word.strip() for word in pattern.split(",")]
    literal = set(words)
    globs = [word for word in words if any(character in word for character in "*?[")]
    return [
        name
        for name in names
        if name in literal or any(fnmatch.fnmatchcase(name, glob) for glob in globs)
    ]


def _shown(args: Namespace, config: MasterConfig | None, data: Mapping[str, Any]) -> int:
    from greensalt.client.outputters import NAMES, Style, render

    name = args.out
    if name not in NAMES:
        print(f"greensalt key: there is no outputter {name!r}, nested it is", file=sys.stderr)
    wanted = config is None or config.color
    is_terminal = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    color = args.force_color or (wanted and is_terminal and not args.no_color)
    print(render(dict(data), name, Style(color=color, indent=args.out_indent)), flush=True)
    return 0
