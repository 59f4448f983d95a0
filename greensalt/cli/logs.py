"""Setting up the logging of a command: Salt's levels, formats and log files."""

from __future__ import annotations

import logging
import logging.handlers
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from greensalt.errors import ConfigError

if TYPE_CHECKING:
    from greensalt.config.base import Config

LEVELS: Final[Mapping[str, int]] = {
    "all": logging.NOTSET + 1,
    "garbage": 1,
    "trace": 5,
    "debug": logging.DEBUG,
    "profile": 15,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "quiet": 1000,
}

_RESET: Final = "\x1b[0m"
_COLORS: Final[Mapping[str, str]] = {
    "GARBAGE": "\x1b[0;35m",
    "TRACE": "\x1b[0;33m",
    "DEBUG": "\x1b[0;36m",
    "PROFILE": "\x1b[1;36m",
    "INFO": "\x1b[0;32m",
    "WARNING": "\x1b[0;33m",
    "ERROR": "\x1b[0;31m",
    "CRITICAL": "\x1b[1;31m",
}


class SaltFormatter(logging.Formatter):
    """Knows the fields that Salt adds to those of the standard library.

    bracketname, bracketlevel, bracketprocess; the same and msg with color before; jid (empty: jobs
    are greenlets here, and name their jid in the message).
    """

    def format(self, record: logging.LogRecord) -> str:
        color = _COLORS.get(record.levelname, "")
        brackets = {
            "name": f"[{record.name:<17}]",
            "level": f"[{record.levelname:<8}]",
            "process": f"[{record.process!s:>5}]",
        }
        for field, text in brackets.items():
            setattr(record, f"bracket{field}", text)
            setattr(record, f"color{field}", f"{color}{text}{_RESET}")
        record.colormsg = f"{color}{record.getMessage()}{_RESET}"
        record.jid = ""
        return super().format(record)


def set_up_logging(config: Config, *, console: bool = True, file: bool = True) -> None:
    """Send what is logged to stderr and the log file of a configuration, then its warnings.

    A log file that can't be opened is a warning on a console, a ConfigError without one.
    """
    for name in ("garbage", "trace", "profile"):
        logging.addLevelName(LEVELS[name], name.upper())
    root = logging.getLogger()
    level = LEVELS[config.log_level]
    file_level = LEVELS[config.log_level_logfile or config.log_level]
    trouble = None
    if console:
        handler = logging.StreamHandler(sys.stderr)
        datefmt = config.log_datefmt_console or config.log_datefmt
        _add(root, handler, level, _formatter(config.log_fmt_console, datefmt))
    if file and file_level < LEVELS["quiet"]:
        try:
            formatter = _formatter(config.log_fmt_logfile, config.log_datefmt_logfile)
            _add(root, _file_handler(config.log_file), file_level, formatter)
        except (OSError, ValueError) as error:
            trouble = f"the log file {config.log_file} can't be opened: {error}"
    if trouble and not console:
        raise ConfigError(trouble)
    root.setLevel(min((handler.level for handler in root.handlers), default=logging.WARNING))
    _set_granular_levels(config)
    for warning in (*config.warnings, *([trouble] if trouble else [])):
        logging.getLogger("greensalt.config").warning("%s", warning)


def _add(
    root: logging.Logger, handler: logging.Handler, level: int, formatter: logging.Formatter
) -> None:
    handler.setLevel(level)
    handler.setFormatter(formatter)
    root.addHandler(handler)


def _formatter(fmt: str, datefmt: str) -> logging.Formatter:
    try:
        return SaltFormatter(fmt, datefmt)
    except ValueError as error:
        raise ConfigError(f"the log format {fmt!r} is wrong: {error}") from error


def _file_handler(log_file: str) -> logging.Handler:
    """A handler for a path, or for a syslog: udp://host:port, tcp://host:port, file:///dev/log."""
    url = urlsplit(log_file)
    if url.scheme in ("udp", "tcp", "file"):
        return _syslog_handler(url)
    path = Path(log_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Watched: after a rotation by logrotate it goes on in the new file.
    return logging.handlers.WatchedFileHandler(path, encoding="utf-8")


def _syslog_handler(url: SplitResult) -> logging.Handler:
    path, _, facility = url.path.rpartition("/LOG_")
    number = logging.handlers.SysLogHandler.facility_names.get(facility.lower())
    if number is None:
        path, number = url.path, logging.handlers.SysLogHandler.LOG_USER
    if url.scheme == "file":
        return logging.handlers.SysLogHandler(path, number)
    kind = socket.SOCK_STREAM if url.scheme == "tcp" else socket.SOCK_DGRAM
    return logging.handlers.SysLogHandler((url.hostname or "", url.port or 514), number, kind)


def _set_granular_levels(config: Config) -> None:
    for name, level in config.log_granular_levels.items():
        number = LEVELS.get(str(level).lower())
        if number is None:
            raise ConfigError(
                f"log_granular_levels: {name}: {level!r} is not one of {', '.join(LEVELS)}"
            )
        logging.getLogger(name).setLevel(number)


def flush_logs() -> None:
    """Write out what the handlers hold back; for use before os._exit."""
    for handler in logging.getLogger().handlers:
        handler.flush()
