"""What a command runs in: its words, directory, user, limits and environment variables."""

from __future__ import annotations

import grp
import logging
import os
import pwd
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.green import process
from greensalt.green.process import CommandTimeout, Identity

log = logging.getLogger(__name__)

LOGIN_TIMEOUT_S: Final = 10
# Programs whose output is read by programs speak English.
LOCALE: Final = dict.fromkeys(
    (
        *("LC_CTYPE", "LC_NUMERIC", "LC_TIME", "LC_COLLATE", "LC_MONETARY", "LC_MESSAGES"),
        *("LC_PAPER", "LC_NAME", "LC_ADDRESS", "LC_TELEPHONE", "LC_MEASUREMENT"),
        *("LC_IDENTIFICATION", "LANGUAGE"),
    ),
    "C",
)


def words_of(cmd: Any) -> list[str]:
    if isinstance(cmd, list | tuple):
        return [str(word) for word in cmd]
    try:
        return shlex.split(str(cmd))
    except ValueError as error:
        raise SaltInvocationError(f"the command can't be split into words: {error}") from None


def working_directory(cwd: str | None, runas: str | None) -> str:
    """Where a command runs: as told, or in the home of its user, or in the root directory."""
    if cwd:
        if not Path(cwd).is_absolute() or not Path(cwd).is_dir():
            raise CommandExecutionError(
                f"Specified cwd '{cwd}' either not absolute or does not exist"
            )
        return str(cwd)
    try:
        home = Path(f"~{runas or ''}").expanduser()
    except RuntimeError:  # a user without a home
        return "/"
    return str(home) if home.is_dir() and os.access(home, os.R_OK) else "/"


def identity_of(runas: str | None, group: str | None) -> Identity | None:
    """The numbers of a user and group; None if the minion's own will do."""
    if not runas and not group:
        return None
    name = runas or pwd.getpwuid(os.geteuid()).pw_name
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise CommandExecutionError(f"User '{name}' is not available") from None
    gid = user.pw_gid
    if group:
        try:
            gid = grp.getgrnam(group).gr_gid
        except KeyError:
            raise CommandExecutionError(f"Group '{group}' is not available") from None
    return Identity(user.pw_uid, gid, tuple(os.getgrouplist(name, gid)))


def umask_of(umask: Any) -> int:
    """The number of an octal umask; -1 if there is none."""
    if umask is None:
        return -1
    digits = str(umask).lstrip("0")
    if not digits:
        raise CommandExecutionError("Zero umask is not allowed.")
    try:
        return int(digits, 8)
    except ValueError:
        raise CommandExecutionError(f"Invalid umask: '{umask}'") from None


def seconds_of(timeout: Any) -> float | None:
    """A timeout in seconds; None if there is none."""
    if not timeout:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise CommandExecutionError(f"Error: timeout {timeout} must be a number")
    return float(timeout)


def input_of(stdin: Any, *, raw_newlines: bool) -> bytes | None:
    """What a command reads; None if it has no input."""
    if stdin is None or isinstance(stdin, bytes):
        return stdin
    # On a command line a line break is easier written than typed.
    return (str(stdin) if raw_newlines else str(stdin).replace("\\n", "\n")).encode()


def environment_of(
    env: Any,
    *,
    runas: str | None,
    shell: str | None,
    clean: bool,
    reset_locale: bool,
    prepend_path: str | None,
) -> dict[str, str]:
    """The environment variables of a command.

    The minion's own (unless `clean`), under those of a login of `runas`, under the given ones.
    """
    given = env or {}
    if isinstance(given, list | tuple):
        given = {name: value for entry in given for name, value in dict(entry).items()}
    if not isinstance(given, Mapping):
        raise SaltInvocationError("env must be a dict or a list of dicts")
    result: dict[str, Any] = {} if clean else dict(os.environ)
    if reset_locale:
        result.update(LOCALE)
    if runas:
        result.update(_login_environment(runas, shell))
    result.update(given)
    if prepend_path:
        result["PATH"] = f"{prepend_path}:{result.get('PATH', os.defpath)}"
    if "NOTIFY_SOCKET" not in given:
        result.pop("NOTIFY_SOCKET", None)
    return {str(name): "" if value is None else str(value) for name, value in result.items()}


def _login_environment(runas: str, shell: str | None) -> dict[str, str]:
    """The environment that a user has after logging in."""
    user = pwd.getpwnam(runas)
    own = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    if os.geteuid() != 0:
        return own
    # The marker tells the environment from what the user's profile prints.
    marker = f"<<<{os.urandom(16).hex()}>>>"
    shell_option = ["-s", shell] if shell else []
    script = f"printf %s '{marker}'; env -0; printf %s '{marker}'"
    try:
        ended = process.run(
            ["su", *shell_option, "-", user.pw_name, "-c", script], timeout_s=LOGIN_TIMEOUT_S
        )
    except (OSError, CommandTimeout) as error:
        log.error("Environment could not be retrieved for user '%s': %s", user.pw_name, error)
        return own
    parts = ended.stdout.split(marker.encode())
    if len(parts) != 3:
        log.error("Environment could not be retrieved for user '%s'", user.pw_name)
        return own
    entries = (entry.partition("=") for entry in os.fsdecode(parts[1]).split("\0") if entry)
    # su may leave these at root's on some systems.
    return {**{name: value for name, _, value in entries}, **own}
