"""`greensalt COMMAND`: finds the command in a table and runs it; turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Final, NamedTuple, NoReturn

from greensalt import __version__
from greensalt.errors import GreensaltError

EX_OK: Final = 0
EX_GENERIC: Final = 1
EX_USAGE: Final = 64
EX_INTERRUPTED: Final = 130
EX_PIPE: Final = 141


class Command(NamedTuple):
    """Where a command lives. Its module has add_arguments(parser) and run(args) -> exit code."""

    module: str
    help: str


COMMANDS: Final[Mapping[str, Command]] = {
    "master": Command("greensalt.cli.master", "run a master"),
    "minion": Command("greensalt.cli.minion", "run a minion"),
    "key": Command("greensalt.cli.key", "list, accept, reject and delete the keys of minions"),
    "run": Command("greensalt.cli.run", "have the master run a runner, as salt-run does"),
    "call": Command("greensalt.cli.call", "run a function on this machine, as salt-call does"),
    "worker": Command("greensalt.cli.worker", "run one more worker process for a running master"),
    "demo": Command("greensalt.cli.demo", "run a master and some minions here, to try things"),
}


class Parser(ArgumentParser):
    """An ArgumentParser that exits with Salt's code for wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: error: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (without the program's name); the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return EX_OK if words else EX_USAGE
    if words[0] in ("-V", "--version"):
        print(f"greensalt {__version__}")
        return EX_OK
    name, arguments = words[0], words[1:]
    command = COMMANDS.get(name)
    if command is None:
        print(f"greensalt: error: {_unknown(name)}", file=sys.stderr)
        return EX_USAGE
    module = import_module(command.module)
    parser = Parser(
        prog=f"greensalt {name}",
        description=f"{command.help[0].upper()}{command.help[1:]}.",
        usage=f"greensalt {name} [options]",
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="version", version=f"greensalt {__version__}")
    module.add_arguments(parser)
    return guarded(f"greensalt {name}", module.run, parser.parse_intermixed_args(arguments))


def guarded(program: str, run: Callable[[Namespace], int], args: Namespace) -> int:
    """Run a command; what it raises on purpose becomes a line on stderr and an exit code."""
    try:
        code = run(args)
        sys.stdout.flush()
        return code
    except GreensaltError as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        return EX_GENERIC
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output is gone, and Python would complain at exit about what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_PIPE


def usage() -> str:
    """What `greensalt --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: greensalt [-h] [-V] COMMAND ...",
            "",
            "Salt's ZeroMQ control plane as one gevent process per daemon.",
            "",
            "commands:",
            *lines,
            "",
            "`greensalt COMMAND --help` tells more. Jobs are run with greensalt-cli.",
        ]
    )


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(COMMANDS)}"
    return f"unknown command {name!r}; {hint}"
