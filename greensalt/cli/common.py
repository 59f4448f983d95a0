"""What the daemons' commands share: flags, logging, pid file, user, going to the background."""

from __future__ import annotations

import fcntl
import logging
import os
import pwd
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from greensalt.config.base import LOG_LEVELS, Config
from greensalt.errors import ConfigError

log = logging.getLogger(__name__)

C = TypeVar("C", bound=Config)

BEGUN: Final = "begun"

FLAGS: Final = {
    "log_level": "log_level",
    "log_file": "log_file",
    "log_file_level": "log_level_logfile",
    "pid_file": "pidfile",
    "user": "user",
}
"""Flags (as attributes of the arguments) and the options that they override."""


def add_config_dir(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--config-dir",
        type=Path,
        metavar="DIR",
        help="directory of the configuration ($GREENSALT_CONFIG_DIR, $SALT_CONFIG_DIR, /etc/salt)",
    )


def add_daemon_arguments(parser: ArgumentParser) -> None:
    """The flags of a command that runs a daemon, named as Salt's."""
    add_config_dir(parser)
    parser.add_argument("-d", "--daemon", action="store_true", help="go to the background")
    parser.add_argument(
        "-l", "--log-level", choices=LOG_LEVELS, metavar="LEVEL", help="of the console (warning)"
    )
    parser.add_argument("--log-file", metavar="FILE", help="in place of the configured one")
    parser.add_argument(
        "--log-file-level", choices=LOG_LEVELS, metavar="LEVEL", help="of the log file"
    )
    parser.add_argument("--pid-file", metavar="FILE", help="in place of the configured one")
    parser.add_argument("-u", "--user", metavar="USER", help="the user to run as")


def load_config(config_class: type[C], args: Namespace) -> C:
    """The configuration that a daemon's arguments ask for."""
    overrides: dict[str, Any] = {
        option: getattr(args, flag)
        for flag, option in FLAGS.items()
        if getattr(args, flag, None) is not None
    }
    return config_class.load(args.config_dir, overrides)


def run_daemon(config: Config, run: Callable[[], int], *, background: bool) -> int:
    """Run a daemon in the foreground, or start it in the background; the exit code.

    What goes wrong before `run` is told on the terminal, in the background too: the first process
    ends only when the daemon has its directories, its pid file, its user and its log.
    """
    if not background:
        return _run_here(config, run, console=True, begun=lambda: None)
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            told = pipe.read().decode()
        if told != BEGUN:
            raise ConfigError(told or "the daemon died at its start")
        return 0
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)
    os._exit(_run_detached(config, run, writer))


def _run_detached(config: Config, run: Callable[[], int], pipe: int) -> int:
    """The daemon's own process, two forks away from the terminal."""
    waiting = True

    def begun() -> None:
        nonlocal waiting
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.close(null)
        os.write(pipe, BEGUN.encode())
        os.close(pipe)
        waiting = False

    os.umask(0o022)
    try:
        return _run_here(config, run, console=False, begun=begun)
    except BaseException as error:  # whatever it is, somebody has to hear of it
        if waiting:
            os.write(pipe, str(error).encode())
        else:
            log.critical("the daemon died", exc_info=error)
        return 1


def _run_here(
    config: Config, run: Callable[[], int], *, console: bool, begun: Callable[[], None]
) -> int:
    prepare_directories(config)
    with pid_file(config.pidfile, config.user):
        from greensalt.cli.logs import set_up_logging  # commands that run no daemon start faster

        become_user(config.user)
        set_up_logging(config, console=console)
        begun()
        return run()


def prepare_directories(config: Config) -> None:
    """Create the daemon's directories, closed to others where secrets are, owned by its user."""
    owner = _owner(config.user)
    wanted = [(config.pki_dir, 0o700), (config.cachedir, 0o755), (config.sock_dir, 0o755)]
    wanted.append((config.pidfile.parent, 0o755))
    if "://" not in config.log_file:
        wanted.append((Path(config.log_file).parent, 0o755))
    for directory, mode in wanted:
        if directory.is_dir():
            continue
        try:
            directory.mkdir(mode=mode, parents=True, exist_ok=True)
            if os.geteuid() == 0 and owner is not None:
                os.chown(directory, owner.pw_uid, owner.pw_gid)
        except OSError as error:
            raise ConfigError(f"{directory} can't be created: {error.strerror}") from error


def become_user(user: str) -> None:
    """Give up root for the configured user; ConfigError where that is not possible."""
    me = os.geteuid()
    owner = _owner(user)
    if owner is None:
        raise ConfigError(f"the user {user!r} of the configuration does not exist")
    if owner.pw_uid == me:
        return
    if me != 0:
        name = _name_of(me)
        raise ConfigError(
            f"the configuration wants the user {user}, but this is {name};"
            f" start it as {user} or set `user: {name}`"
        )
    os.initgroups(user, owner.pw_gid)
    os.setgid(owner.pw_gid)
    os.setuid(owner.pw_uid)
    os.environ.update(HOME=owner.pw_dir, USER=user, LOGNAME=user)


@contextmanager
def pid_file(path: Path, user: str) -> Iterator[None]:
    """Hold the pid file of a daemon, locked while it lives; ConfigError if another one holds it.

    The lock, not the file's content, tells whether a daemon runs: it ends with the process.
    """
    with os.fdopen(_locked(path), "r+") as file:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        owner = _owner(user)
        if os.geteuid() == 0 and owner is not None:
            os.fchown(file.fileno(), owner.pw_uid, owner.pw_gid)
        try:
            yield
        finally:
            try:
                path.unlink()
            except OSError:
                # Not root any more in root's directory: an empty file says that nobody runs.
                file.seek(0)
                file.truncate(0)


def _locked(path: Path) -> int:
    while True:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            raise ConfigError(f"the pid file {path} can't be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_file(path, descriptor):
                return descriptor
        except BlockingIOError:
            pid = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise ConfigError(f"it is running already, as process {pid} ({path})") from None
        os.close(descriptor)  # removed by its last holder just before we had the lock


def _is_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _owner(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        return None


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
