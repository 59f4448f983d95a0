"""The flags of `greensalt key`: salt-key's, and `--state`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from greensalt.cli.common import add_config_dir
from greensalt.store.keys import State

STATE_WORDS: Final = {
    "acc": (State.ACCEPTED,),
    "pre": (State.PENDING,),
    "un": (State.PENDING,),
    "rej": (State.REJECTED,),
    "den": (State.DENIED,),
    "all": tuple(State),
}
"""Beginnings of the words that Salt takes for states: acc, accepted, un, unaccepted, ..."""

WORDS_HELP: Final = "acc, pre or un, rej, den, all"


def add_arguments(parser: ArgumentParser) -> None:
    add_config_dir(parser)
    actions = parser.add_argument_group("actions (at most one; without any, all keys are listed)")
    only = actions.add_mutually_exclusive_group()
    ids = "an id, a glob, or several of them with commas between"
    only.add_argument(
        "-L",
        "--list-all",
        nargs="?",
        const="all",
        type=_state_word,
        metavar="STATE",
        help=f"list the keys of all states, or of one: {WORDS_HELP}",
    )
    only.add_argument("-l", "--list", type=_state_word, metavar="STATE", help="the same")
    only.add_argument("-a", "--accept", metavar="ID", help=f"accept pending keys: {ids}")
    only.add_argument("-A", "--accept-all", action="store_true", help="accept all pending keys")
    only.add_argument("-r", "--reject", metavar="ID", help="reject pending keys")
    only.add_argument("-R", "--reject-all", action="store_true", help="reject all pending keys")
    only.add_argument("-d", "--delete", metavar="ID", help="delete keys, whatever their state")
    only.add_argument("-D", "--delete-all", action="store_true", help="delete all keys")
    only.add_argument("-p", "--print", metavar="ID", help="print keys")
    only.add_argument("-P", "--print-all", action="store_true", help="print all keys")
    only.add_argument("-f", "--finger", metavar="ID", help="print the fingerprints of keys")
    only.add_argument(
        "-F",
        "--finger-all",
        nargs="?",
        const=True,
        metavar="master",
        help="print all fingerprints, the master's own included",
    )
    only.add_argument("--gen-keys", metavar="NAME", help="make a key pair NAME.pem, NAME.pub")
    only.add_argument(
        "--gen-signature",
        action="store_true",
        help="sign the master's public key, for master_use_pubkey_signature",
    )
    _add_choices(parser)
    _add_output(parser)
    _add_generation(parser)


def _add_choices(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("which keys")
    group.add_argument(
        "--include-all", action="store_true", help="accept rejected, reject accepted keys too"
    )
    group.add_argument("--include-accepted", action="store_true", help="reject accepted keys too")
    group.add_argument("--include-rejected", action="store_true", help="accept rejected keys too")
    group.add_argument(
        "--include-denied", action="store_true", help="accept or reject denied keys too"
    )
    group.add_argument(
        "--state",
        type=_state_word,
        metavar="STATE",
        help=f"delete, print or fingerprint keys of this state only: {WORDS_HELP}",
    )
    group.add_argument("-y", "--yes", action="store_true", help="don't ask, do it")
    group.add_argument(
        "--rotate-aes-key",
        type=_truth,
        default=True,
        metavar="BOOL",
        help="False: keep the publish key after deleting or rejecting accepted keys (True)",
    )


def _add_output(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("-q", "--quiet", action="store_true", help="don't report changes")
    group.add_argument(
        "--out",
        "--output",
        metavar="OUTPUTTER",
        default="key",
        help="key, nested, json, yaml, txt, raw, ... (key)",
    )
    group.add_argument("--out-indent", "--output-indent", type=int, metavar="N")
    group.add_argument("--no-color", "--no-colour", action="store_true")
    group.add_argument("--force-color", "--force-colour", action="store_true")


def _add_generation(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("making keys and signatures")
    group.add_argument("--gen-keys-dir", type=Path, default=Path(), metavar="DIR", help="(.)")
    group.add_argument("--keysize", type=_key_size, default=2048, metavar="BITS", help="(2048)")
    group.add_argument("--priv", type=Path, metavar="FILE", help="key to sign with")
    group.add_argument("--pub", type=Path, metavar="FILE", help="public key to sign")
    group.add_argument("--signature-path", type=Path, metavar="DIR", help="(the pki_dir)")
    group.add_argument("--auto-create", action="store_true", help="make a missing signing key")


def _state_word(text: str) -> tuple[State, ...]:
    for word, states in STATE_WORDS.items():
        if text.startswith(word):
            return states
    raise ValueError(text)


_state_word.__name__ = "state"  # argparse quotes it: "invalid state value: 'xx'"


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _key_size(text: str) -> int:
    bits = int(text)
    if not 2048 <= bits <= 8192:
        raise ValueError(text)
    return bits


_truth.__name__ = "True or False"
_key_size.__name__ = "key size from 2048 to 8192"
