"""`greensalt worker`: one more process for what a running master has to compute.

A master with `worker_processes` starts its own; by hand it attaches to the master on this host
whose configuration it is given.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from typing import Any

from greensalt.cli.common import add_config_dir, become_user, load_config
from greensalt.config import MasterConfig
from greensalt.config.base import LOG_LEVELS
from greensalt.errors import ConfigError

log = logging.getLogger(__name__)


def add_arguments(parser: ArgumentParser) -> None:
    add_config_dir(parser)
    parser.add_argument(
        "-l", "--log-level", choices=LOG_LEVELS, metavar="LEVEL", help="of the console (warning)"
    )
    parser.add_argument("--log-file", metavar="FILE", help="in place of the configured one")
    parser.add_argument(
        "--log-file-level", choices=LOG_LEVELS, metavar="LEVEL", help="of the log file"
    )
    # For a master: the configuration comes through the standard input, and its end is the end.
    parser.add_argument("--attached", action="store_true", help=SUPPRESS)


def run(args: Namespace) -> int:
    if args.attached:
        config, number = _told()
    else:
        config = load_config(MasterConfig, args)
        number = os.getpid()
        become_user(config.user)
        from greensalt.master.workers import stamp

        stamp.check(config)
    from greensalt.cli.logs import set_up_logging
    from greensalt.master.workers import process

    set_up_logging(config)

    def announce(line: str) -> None:
        if args.attached:
            log.info("%s", line)  # the standard output is its master's
        else:
            print(line, flush=True)

    return process.run(config, number, attached=args.attached, announce=announce)


def _told() -> tuple[MasterConfig, int]:
    """The configuration of the master that started this process, and its number there."""
    try:
        told: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
        config = MasterConfig.load(told["config_dir"], told["options"])
    except (ValueError, KeyError) as error:
        raise ConfigError("--attached is for masters that start their workers") from error
    return config.replace(warnings=()), told["number"]  # the warnings its master has said
