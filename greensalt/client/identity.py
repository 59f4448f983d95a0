"""Who asks: the local user, and the key file that proves it to the master.

Source: docs/protocol.md 8.3.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Final

from greensalt.errors import AuthenticationError

SUDO_PREFIX: Final = "sudo_"


def local_user() -> str:
    """The name to give the master: `sudo_<name>` for somebody who became root by sudo."""
    name = _name_of(os.geteuid())
    invoker = os.environ.get("SUDO_USER", "")
    if name == "root" and invoker and invoker != "root":
        return SUDO_PREFIX + invoker
    return name


def key_path(cachedir: Path, user: str, master_user: str) -> Path:
    """The key file of `user`; root and whoever uses sudo have that of the master's own user."""
    owner = master_user if user == "root" or user.startswith(SUDO_PREFIX) else user
    return cachedir / f".{owner}_key"


def read_key(path: Path, user: str) -> str:
    """The content of a key file; AuthenticationError says which file it is and what to do."""
    try:
        key = path.read_text().strip()
    except PermissionError:
        raise AuthenticationError(
            f"user {user} may not read the key {path}: run this as root or as the user of the"
            " master, or let the master's publisher_acl name this user"
        ) from None
    except FileNotFoundError:
        raise AuthenticationError(
            f"there is no key {path} for user {user}: the master makes it when it starts, for its"
            " own user and for the users in publisher_acl. Is the master running, and is this its"
            " configuration directory (-c)?"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise AuthenticationError(f"the key {path} can't be read: {error}") from error
    if not key:
        raise AuthenticationError(f"the key {path} is empty: restart the master to make a new one")
    return key


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
