"""-a, -T, --username, --password: who somebody is whom the master's `external_auth` knows."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from greensalt.errors import AuthenticationError, SaltInvocationError

if TYPE_CHECKING:
    from greensalt.client.jobclient import JobClient
    from greensalt.client.proof import Proof


def add_auth(parser: ArgumentParser) -> None:
    """The flags, named as Salt's."""
    add = parser.add_argument_group("external authentication").add_argument
    add("-a", "--auth", "--eauth", "--external-auth", metavar="EAUTH", help="a back end: pam, ...")
    add("-T", "--make-token", action="store_true", help="keep a token in ~/.salt_token")
    add("--username", metavar="NAME", help="for --auth")
    add("--password", metavar="PASSWORD", help="for --auth; others may see it, rather be asked")


def proof_of(client: JobClient, args: Namespace) -> Proof | None:
    """What to show the master in place of the local user's key; None for the key.

    Who has no key and gives no flags, but has a token that was kept, shows that.
    """
    from greensalt.client.proof import read_token, write_token

    kept_in = Path(client.config.token_file)
    if not args.auth:
        if args.make_token or args.username or args.password:
            raise SaltInvocationError("-T, --username and --password need -a with a back end")
        if client.link.has_key():
            return None
        token = read_token(kept_in)
        return {"token": token} if token else None
    if not args.make_token and args.password is None:
        token = read_token(kept_in)
        if token and _is_meant(client.link.token(token), args):
            return {"token": token}
    proof = {"eauth": args.auth, "username": _username(client, args), "password": _password(args)}
    if not args.make_token:
        return proof
    token = client.link.make_token(proof)
    write_token(kept_in, token)
    return {"token": token}


def _is_meant(data: dict[str, object], args: Namespace) -> bool:
    """Whether a token that was kept is one of the back end and the user of the flags."""
    return data.get("eauth") == args.auth and args.username in (None, "", data.get("name"))


def _username(client: JobClient, args: Namespace) -> str:
    name = args.username
    if name is None:
        _need_terminal("--username")
        print("username: ", end="", file=sys.stderr, flush=True)
        name = sys.stdin.readline().strip()
    return str(name or client.link.user)


def _password(args: Namespace) -> str:
    if args.password is not None:
        return str(args.password)
    from getpass import getpass

    _need_terminal("--password")
    return getpass("password: ")


def _need_terminal(flag: str) -> None:
    if not sys.stdin.isatty():
        raise AuthenticationError(f"{flag} is missing, and there is no terminal to ask at")
