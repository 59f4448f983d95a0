"""`greensalt minion`: run a minion until SIGTERM or SIGINT, or until its key is rejected."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from greensalt.cli.common import add_daemon_arguments, load_config, run_daemon
from greensalt.config import MinionConfig


def add_arguments(parser: ArgumentParser) -> None:
    add_daemon_arguments(parser)


def run(args: Namespace) -> int:
    config = load_config(MinionConfig, args)

    def serve() -> int:
        from greensalt.minion import daemon

        return daemon.run(config, lambda line: print(line, flush=True))

    return run_daemon(config, serve, background=args.daemon)
