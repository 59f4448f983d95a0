"""`greensalt master`: run a master until SIGTERM or SIGINT."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from greensalt.cli.common import add_daemon_arguments, load_config, run_daemon
from greensalt.config import MasterConfig


def add_arguments(parser: ArgumentParser) -> None:
    add_daemon_arguments(parser)


def run(args: Namespace) -> int:
    config = load_config(MasterConfig, args)

    def serve() -> int:
        from greensalt.master import daemon

        return daemon.run(config, lambda line: print(line, flush=True))

    return run_daemon(config, serve, background=args.daemon)
