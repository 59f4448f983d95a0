"""`greensalt run`: have the running master run a runner and print its result, as salt-run does."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any, Final

from greensalt.cli.common import add_config_dir
from greensalt.cli.main import EX_GENERIC, EX_OK, EX_USAGE
from greensalt.cli.saltauth import add_auth, proof_of
from greensalt.errors import AuthenticationError, AuthorizationError, GreensaltError, TransportError

if TYPE_CHECKING:
    from greensalt.cli.saltscreen import Screen
    from greensalt.client.link import Result
    from greensalt.client.runs import Event, RunnerClient
    from greensalt.config import ClientConfig

EX_UNAVAILABLE: Final = 69
EX_NOPERM: Final = 77
SHOWN_BY: Final = frozenset({"outputter", "data"})
"""Keys of a result that says itself how it wants to be shown; that of states has others, too."""


def add_arguments(parser: ArgumentParser) -> None:
    from greensalt.cli.saltarguments import LOG_LEVELS, add_output, seconds

    parser.add_argument("words", nargs="*", metavar="FUNCTION ARGUMENTS")
    add_config_dir(parser)
    add = parser.add_argument
    add("-t", "--timeout", type=seconds, metavar="S", help="wait no longer than this (for ever)")
    add("--async", dest="asynchronous", action="store_true", help="print the tag, do not wait")
    add("--no-parse", metavar="NAMES", help="keyword arguments whose values stay text")
    add("-d", "--doc", "--documentation", action="store_true", help="print documentation")
    add("--skip-grains", action="store_true", help="nothing: this command computes no grains")
    add("-q", "--quiet", action="store_true", help="show no progress, only the result")
    add("-l", "--log-level", choices=LOG_LEVELS, metavar="LEVEL", help="of the log on stderr")
    add_auth(parser)
    add_output(parser)
    parser.set_defaults(static=False, progress=False)


def run(args: Namespace) -> int:
    from greensalt.config import ClientConfig

    overrides = {"log_level": args.log_level} if args.log_level else {}
    config = ClientConfig.load(args.config_dir, overrides)
    if args.log_level:
        from greensalt.cli.logs import set_up_logging

        set_up_logging(config, file=False)
    else:
        logging.basicConfig(format="[%(levelname)-8s] %(message)s", level=logging.WARNING)
    if not args.words and not args.doc:
        print("greensalt run: error: which function? `greensalt run -d` lists all", file=sys.stderr)
        return EX_USAGE
    try:
        return _with_master(args, config)
    except GreensaltError as error:
        print(f"greensalt run: error: {error}", file=sys.stderr)
        return _exit_code(error)


def _exit_code(error: GreensaltError) -> int:
    match error:
        case AuthenticationError() | AuthorizationError():
            return EX_NOPERM
        case TransportError():
            return EX_UNAVAILABLE
    return EX_GENERIC


def _with_master(args: Namespace, config: ClientConfig) -> int:
    from gevent import get_hub

    from greensalt.cli.saltscreen import Screen
    from greensalt.client.runs import RunnerClient

    # Ctrl-C is our business: the hub would print it.
    get_hub().NOT_ERROR += (KeyboardInterrupt,)
    screen = Screen(args, config)
    try:
        with RunnerClient(config=config) as local:
            client = local.as_caller(proof_of(local, args))
            if args.doc:
                return _documentation(client, screen, args.words)
            return _run(client, screen, args)
    finally:
        screen.close()


def _run(client: RunnerClient, screen: Screen, args: Namespace) -> int:
    from greensalt.client.arguments import parse_args

    fun, *rest = args.words
    arg = parse_args(rest, (args.no_parse or "").split(","))
    if args.asynchronous:
        begun = client.cmd_async({"fun": fun, "arg": arg})
        screen.note(
            f"It runs under the tag {begun['tag']}. Its result will be in the job store:\n\n"
            f"greensalt run jobs.lookup_jid {begun['jid']}"
        )
        return EX_OK
    watch = client.watch(fun, arg)
    try:
        result = _watched(watch, screen, args)
    except KeyboardInterrupt:
        if fun == "state.event":  # nobody listens any more
            client.cmd_async({"fun": "jobs.end_run", "arg": [watch.jid]})
            raise
        screen.note(
            f"\nThe run goes on. Look at it with: greensalt run jobs.lookup_jid {watch.jid}"
        )
        raise
    if result is None:
        screen.note(
            f"ERROR: no result after {args.timeout:g} s. The run goes on; look at it with"
            f" `greensalt run jobs.lookup_jid {watch.jid}`"
        )
        return EX_UNAVAILABLE
    _show(screen, result, args.out)
    return EX_OK if not result.failed else (result.retcode or EX_GENERIC)


def _watched(watch: Any, screen: Screen, args: Namespace) -> Result | None:
    """The result; None when it was not there in time."""
    import time

    until = None if args.timeout is None else time.monotonic() + args.timeout
    try:
        while watch.result is None:
            left_s = None if until is None else until - time.monotonic()
            if left_s is not None and left_s <= 0:
                return None
            for event in watch.step() if left_s is None else watch.step(left_s):
                if not args.quiet:
                    _show_event(screen, event)
    finally:
        watch.close()
    found: Result = watch.result
    return found


def _show_event(screen: Screen, event: Event) -> None:
    """Progress as salt-run shows it; one that names its outputter as that shows it."""
    data = {key: value for key, value in event.data.items() if key != "outputter"}
    outputter = event.data.get("outputter")
    if isinstance(outputter, str):
        if outputter == "line":
            screen.line(str(data.get("data", "")))
        else:
            screen.show(data.get("data"), outputter)
        return
    screen.show({"suffix": event.suffix, "event": data})


def _show(screen: Screen, result: Result, out: str | None) -> None:
    """Show a result; `out` is the outputter that the user has chosen."""
    ret = result.ret
    if not isinstance(ret, dict) or not ret.keys() >= SHOWN_BY:
        screen.show(ret, result.out)
    elif ret.keys() == SHOWN_BY or out in (None, "highstate"):
        screen.show(ret["data"], str(ret["outputter"]))
    else:
        screen.show(ret)


def _documentation(client: RunnerClient, screen: Screen, words: list[str]) -> int:
    docs = client.cmd("doc.runner", words)
    if not isinstance(docs, dict):
        screen.note(str(docs))
        return EX_GENERIC
    screen.documentation(docs)
    return EX_OK
