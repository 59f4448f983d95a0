"""`greensalt minion`: run a minion until SIGTERM or SIGINT, or until its key is rejected.

With `--count N` many of them in one process.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from greensalt.cli.common import add_daemon_arguments, load_config, run_daemon
from greensalt.config import MinionConfig
from greensalt.errors import ConfigError


def add_arguments(parser: ArgumentParser) -> None:
    add_daemon_arguments(parser)
    parser.add_argument(
        "--count", type=int, metavar="N", help="run N minions, <id>-0001 and so on, in one process"
    )
    parser.add_argument(
        "--shared-key",
        type=Path,
        metavar="DIR",
        help="all of --count have the key pair in DIR: for load tests, never for machines",
    )


def run(args: Namespace) -> int:
    config = load_config(MinionConfig, args)

    if args.shared_key is not None and args.count is None:
        raise ConfigError("--shared-key goes with --count")

    def serve() -> int:
        if args.count is not None:
            from greensalt.minion import fleet

            return fleet.run(config, args.count, args.shared_key, _say)

        from greensalt.minion import daemon

        return daemon.run(config, _say)

    return run_daemon(config, serve, background=args.daemon)


def _say(line: str) -> None:
    print(line, flush=True)
