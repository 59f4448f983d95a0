"""greensalt-cli: run a function on minions and print what they return, as `salt` does.

Everything that a plain `greensalt-cli '*' test.ping` does not need is imported where it is used:
somebody waits for this program to start.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from greensalt import __version__
from greensalt.cli import saltarguments
from greensalt.cli.main import EX_GENERIC, EX_INTERRUPTED, EX_OK, EX_PIPE, EX_USAGE
from greensalt.errors import (
    AuthenticationError,
    AuthorizationError,
    GreensaltError,
    SaltInvocationError,
    TargetError,
    TransportError,
)

if TYPE_CHECKING:
    from greensalt.cli.saltrun import Run

EX_UNAVAILABLE: Final = 69
RARELY: Final = 100_000  # new objects between two garbage collections: a start makes fewer
EX_NOPERM: Final = 77

EXIT_CODES: Final[tuple[tuple[type[GreensaltError], int], ...]] = (
    (AuthenticationError, EX_NOPERM),
    (AuthorizationError, EX_NOPERM),
    (TransportError, EX_UNAVAILABLE),
    (TargetError, EX_USAGE),
    (SaltInvocationError, EX_USAGE),
    (GreensaltError, EX_GENERIC),
)


def command() -> NoReturn:
    """The program: `main`, and an end that does not take the interpreter down piece by piece.

    All files are closed and all connections ended by then; the rest is a tenth of a short
    command's time.
    """
    gc.set_threshold(RARELY)
    code = main()
    sys.stderr.flush()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (without the program's name); the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        args = saltarguments.parse(sys.argv[1:] if argv is None else argv)
        code = _run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output is gone, and Python would complain at exit about what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_PIPE
    except KeyboardInterrupt:
        sys.stdout.flush()
        return EX_INTERRUPTED


def _run(args: Namespace) -> int:
    if args.version or args.versions_report:
        return _versions(report=args.versions_report)
    try:
        return _with_config(args)
    except GreensaltError as error:
        if args.hard_crash:
            raise
        print(f"greensalt-cli: error: {error}", file=sys.stderr)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def _with_config(args: Namespace) -> int:
    from greensalt.config import ClientConfig

    flags = {
        "log_level": args.log_level,
        "log_file": args.log_file,
        "log_level_logfile": args.log_file_level,
    }
    overrides = {key: value for key, value in flags.items() if value is not None}
    config = ClientConfig.load(args.config_dir, overrides)
    if args.config_dump:
        from greensalt.client.outputters import render

        print(render(config.options(), "yaml"))
        return EX_OK
    if overrides:
        from greensalt.cli.logs import set_up_logging

        set_up_logging(config, file=args.log_file is not None)
    else:
        logging.basicConfig(format="[%(levelname)-8s] %(message)s", level=logging.WARNING)

    from gevent import get_hub

    from greensalt.cli.saltrun import Run

    # Ctrl-C is our business: the hub would print it.
    get_hub().NOT_ERROR += (KeyboardInterrupt,)
    run = Run(args, config)
    try:
        return _chosen(run, args)()
    except KeyboardInterrupt:
        run.interrupted()
        return EX_INTERRUPTED
    finally:
        run.close()


def _chosen(run: Run, args: Namespace) -> Callable[[], int]:
    """What the flags ask for."""
    if args.follow:
        return run.follow
    is_batch = args.batch is not None or args.batch_safe_limit
    if args.asynchronous:
        return run.leave_batch if is_batch else run.leave
    if args.doc:
        return run.documentation
    if is_batch:
        return run.batch
    return run.watch


def _versions(*, report: bool) -> int:
    print(f"greensalt-cli {__version__}")
    if report:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        print(f"\n{'Python':>14}: {platform.python_version()}")
        for name in ("gevent", "pyzmq", "msgpack", "orjson", "pycryptodome", "PyYAML", "psutil"):
            try:
                print(f"{name:>14}: {version(name)}")
            except PackageNotFoundError:
                print(f"{name:>14}: not installed")
        print(f"{'system':>14}: {platform.platform()}")
    return EX_OK


if __name__ == "__main__":
    sys.exit(main())
