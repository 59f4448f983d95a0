"""`greensalt call`: run a function on this machine and print its result, as salt-call does."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from greensalt.cli.common import add_config_dir
from greensalt.cli.main import EX_GENERIC, EX_OK, EX_USAGE
from greensalt.errors import GreensaltError, SignInRefused, TransportError

if TYPE_CHECKING:
    from greensalt.cli.saltscreen import Screen
    from greensalt.config import MinionConfig
    from greensalt.minion.caller import Caller
    from greensalt.minion.execution import Outcome

EX_UNAVAILABLE: Final = 69
EX_NOPERM: Final = 77
EX_NO_FUNCTION: Final = 255
"""Salt's exit code for a function that is not there."""


def add_arguments(parser: ArgumentParser) -> None:
    from greensalt.cli.saltarguments import LOG_LEVELS, add_output

    parser.add_argument("words", nargs="*", metavar="FUNCTION ARGUMENTS")
    add_config_dir(parser)
    add = parser.add_argument
    add("--local", action="store_true", help="without a master: files and pillar of this machine")
    add("--file-client", choices=("local", "remote"), help="local is --local")
    add("--file-root", type=Path, metavar="DIR", help="the files of a local call")
    add("--pillar-root", type=Path, metavar="DIR", help="the pillar of a local call")
    add("--id", metavar="ID", help="in place of the configured id")
    add("--master", metavar="HOST", help="in place of the configured master")
    add("-m", "--module-dirs", action="append", metavar="DIR", help="more execution modules")
    add("--retcode-passthrough", action="store_true", help="exit with the function's own code")
    add("--no-return-event", action="store_true", help="tell the master nothing of the result")
    add("--metadata", action="store_true", help="print the function and its arguments as well")
    add("--no-parse", metavar="NAMES", help="keyword arguments whose values stay text")
    add("-g", "--grains", action="store_true", help="print the grains")
    add("-d", "--doc", "--documentation", action="store_true", help="print documentation")
    add("--skip-grains", action="store_true", help="nothing: grains are always there")
    add("-l", "--log-level", choices=LOG_LEVELS, metavar="LEVEL", help="of the log on stderr")
    add_output(parser)
    parser.set_defaults(static=False, progress=False)


def run(args: Namespace) -> int:
    if not args.words and not args.doc and not args.grains:
        print("greensalt call: error: which function? -d lists all", file=sys.stderr)
        return EX_USAGE
    config = _config(args)
    if args.log_level:
        from greensalt.cli.logs import set_up_logging

        set_up_logging(config, file=False)
    else:
        logging.basicConfig(format="[%(levelname)-8s] %(message)s", level=logging.WARNING)
    try:
        return _with_caller(args, config)
    except GreensaltError as error:
        print(f"greensalt call: error: {error}", file=sys.stderr)
        match error:
            case SignInRefused():
                return EX_NOPERM
            case TransportError():
                return EX_UNAVAILABLE
        return EX_GENERIC


def _config(args: Namespace) -> MinionConfig:
    from greensalt.config import MinionConfig

    overrides: dict[str, Any] = {}
    if args.id:
        overrides["id"] = args.id
    if args.master:
        overrides["master"] = args.master
    if args.log_level:
        overrides["log_level"] = args.log_level
    if args.module_dirs:
        overrides["module_dirs"] = args.module_dirs
    if args.file_root:
        overrides["file_roots"] = {"base": [str(args.file_root)]}
    if args.pillar_root:
        overrides["pillar_roots"] = {"base": [str(args.pillar_root)]}
    if args.local or args.file_root or args.pillar_root:
        overrides["file_client"] = "local"
    elif args.file_client:
        overrides["file_client"] = args.file_client
    return MinionConfig.load(args.config_dir, overrides)


def _with_caller(args: Namespace, config: MinionConfig) -> int:
    from gevent import get_hub

    from greensalt.cli.common import prepare_directories
    from greensalt.cli.saltscreen import Screen
    from greensalt.config import ClientConfig
    from greensalt.minion.caller import Caller
    from greensalt.transport.sockets import new_context

    # Ctrl-C is our business: the hub would print it.
    get_hub().NOT_ERROR += (KeyboardInterrupt,)
    prepare_directories(config)
    screen = Screen(args, ClientConfig(config_dir=config.config_dir))
    context = new_context()
    if config.file_client == "local":
        from greensalt.cli.localfiles import local_pillar, local_requests

        caller = Caller(config, context, serve=local_requests(config), pillar=local_pillar(config))
    else:
        caller = Caller(config, context)
    try:
        if args.doc:
            return _documentation(caller, screen, args.words)
        caller.open()
        if args.grains:
            screen.show({"local": dict(caller.grains)})
            return EX_OK
        return _call(args, config, caller, screen)
    finally:
        caller.close()
        screen.close()
        context.destroy(0)


def _call(args: Namespace, config: MinionConfig, caller: Caller, screen: Screen) -> int:
    from greensalt.client.arguments import parse_args
    from greensalt.client.identity import local_user

    fun, *rest = args.words
    if caller.loader.function(fun) is None:
        print(caller.loader.missing_text(fun), file=sys.stderr)
        return EX_NO_FUNCTION
    arg = parse_args(rest, (args.no_parse or "").split(","))
    user = local_user()
    outcome = caller.call(fun, arg, user)
    if config.file_client != "local" and not args.no_return_event:
        caller.tell_master(fun, arg, user, outcome)
    return _show(args, config, screen, outcome, caller.jid)


def _show(args: Namespace, config: MinionConfig, screen: Screen, outcome: Outcome, jid: str) -> int:
    """Print a result; the exit code. What went wrong with the call itself is on stderr."""
    if not outcome.success and outcome.out == "nested" and isinstance(outcome.ret, str):
        print(outcome.ret.rstrip(), file=sys.stderr)
        return EX_GENERIC
    shown: Any = outcome.ret
    if args.metadata:
        shown = {
            "jid": jid,
            "return": outcome.ret,
            "retcode": outcome.retcode,
            "id": config.id,
            "fun": args.words[0],
            "fun_args": args.words[1:],
        }
    screen.show({"local": shown}, None if args.metadata else outcome.out)
    code = outcome.retcode if isinstance(outcome.retcode, int) else EX_GENERIC
    if args.retcode_passthrough:
        return code
    return EX_GENERIC if code or not outcome.success else EX_OK


def _documentation(caller: Caller, screen: Screen, words: list[str]) -> int:
    from greensalt.functions.docs import docs_of

    docs = docs_of(caller.loader, *words)
    screen.documentation(docs)
    return EX_OK
