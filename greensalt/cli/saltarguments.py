"""The flags of greensalt-cli, which are those of `salt`, and the words around them."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, HelpFormatter, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from greensalt.cli.main import Parser
from greensalt.cli.saltauth import add_auth

EX_INCOMPLETE: Final = 42
"""Salt's exit code for a command line whose parts are fine, but not all there."""

LOG_LEVELS: Final = (
    *("all", "garbage", "trace", "debug", "profile"),
    *("info", "warning", "error", "critical", "quiet"),
)
STATE_OUTPUTS: Final = tuple(
    mode + suffix for suffix in ("", "_id") for mode in ("full", "terse", "mixed", "changes")
)

# flag: (what it means in Salt, what to do instead)
NOT_YET: Final = {
    "-H": ("listing the hosts of a roster", "use `greensalt key -L`"),
    "-R": ("range targets", "use -N with a nodegroup, or -L"),
    "--preview-target": ("telling who a target means", "ask with test.ping"),
}

TARGET_TYPES: Final = {
    "pcre": ("-E", "--pcre", "the target is a regular expression for ids"),
    "list": ("-L", "--list", "the target is a list of ids, with commas or blanks between"),
    "grain": ("-G", "--grain", "the target is a grain and a glob for it: os:Deb*"),
    "grain_pcre": ("-P", "--grain-pcre", "a grain and a regular expression: os:Deb.*"),
    "nodegroup": ("-N", "--nodegroup", "the target names a nodegroup of the master's config"),
    "compound": ("-C", "--compound", "several of these: 'G@os:Debian and web* or E@db.*'"),
    "pillar": ("-I", "--pillar", "the target is a pillar value and a glob: role:web*"),
    "pillar_pcre": ("-J", "--pillar-pcre", "a pillar value and a regular expression: role:w.*"),
    "ipcidr": ("-S", "--ipcidr", "the target is an IP address or a subnet"),
}


class Words(NamedTuple):
    """What is to be run where. `args` are typed; with several functions a list for each."""

    tgt: str
    fun: str | list[str]
    args: list[Any]


def parse(argv: Sequence[str]) -> Namespace:
    """Parse a command line; wrong usage ends the program with 64, Salt's code for it.

    The words besides the flags are in `words`; everything behind `--` is one of them.
    """
    words = list(argv)
    if "--args-stdin" in words:
        words = [word for word in words if word != "--args-stdin"]
        words += sys.stdin.read().splitlines()
    behind: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, behind = words[:at], words[at + 1 :]
    parser = build_parser()
    args = parser.parse_intermixed_args(words)
    args.words += behind
    for flag, (meaning, instead) in NOT_YET.items():
        if getattr(args, _attribute(flag)):
            parser.error(f"{flag}: {meaning} is not supported yet; {instead}")
    return args


def incomplete(message: str) -> NoReturn:
    """End the program because something is missing on the command line."""
    print(f"{build_parser().format_usage()}\n{message}", file=sys.stderr)
    raise SystemExit(EX_INCOMPLETE)


def read_words(args: Namespace) -> Words:
    """Target, functions and typed arguments; with --doc the function that tells about others."""
    from greensalt.client.arguments import parse_args

    words: list[str] = args.words
    if args.doc:
        if len(words) > 2:
            incomplete("You can only get documentation for one method at one time.")
        return Words(words[0] if words else "*", "sys.doc", [*words[1:]])
    if not words:
        incomplete("Cannot execute command without defining a target.")
    if len(words) == 1:
        incomplete("Cannot execute command without defining a function.")
    tgt, fun, *rest = words
    no_parse = (args.no_parse or "").split(",")
    if "," not in fun:
        return Words(tgt, fun, parse_args(rest, no_parse))
    functions = [each.strip() for each in fun.split(",")]
    groups = _split(rest, args.args_separator) if rest else [[] for _ in functions]
    if len(groups) != len(functions) or not all(functions):
        incomplete("Cannot execute compound command without defining all arguments.")
    return Words(tgt, functions, [parse_args(group, no_parse) for group in groups])


def tgt_type(args: Namespace) -> str:
    return args.tgt_type or "glob"


def job_options(args: Namespace) -> dict[str, Any]:
    """The options of the job for the master: what docs/protocol.md 8.3 calls CLI extras."""
    from greensalt.wire.arguments import yaml_value

    found = {
        "delimiter": args.delimiter,
        "metadata": yaml_value(args.metadata) if args.metadata else None,
        "module_executors": yaml_value(args.module_executors) if args.module_executors else None,
        "executor_opts": yaml_value(args.executor_opts) if args.executor_opts else None,
        "ret_config": args.return_config,
        "ret_kwargs": yaml_value(args.return_kwargs) if args.return_kwargs else None,
        "start_event": args.start_event or None,
        "gather_job_timeout": args.gather_job_timeout,
    }
    return {key: value for key, value in found.items() if value is not None}


def build_parser() -> ArgumentParser:
    parser = Parser(
        prog="greensalt-cli",
        usage="greensalt-cli [options] '<target>' <function> [arguments]",
        description="Run a function on minions and print what they return.",
        allow_abbrev=False,
        # A formatter is made for every flag; without a width each would look for the terminal's.
        formatter_class=lambda prog: HelpFormatter(prog, max_help_position=32, width=100),
    )
    parser.add_argument("words", nargs="*", metavar="TARGET FUNCTION ARGUMENTS")
    add = parser.add_argument
    add("--version", action="store_true", help="print the version and exit")
    add("-V", "--versions-report", action="store_true", help="versions of everything used")
    add("-c", "--config-dir", type=Path, metavar="DIR", help="directory of the master's config")
    add("-t", "--timeout", type=seconds, metavar="S", help="then silent minions are asked (5)")
    add("--gather-job-timeout", type=seconds, metavar="S", help="how long they may take (10)")
    add("-s", "--static", action="store_true", help="print all results at the end, as one")
    add("-p", "--progress", action="store_true", help="show the progress when piped, too")
    add("--async", dest="asynchronous", action="store_true", help="print the jid, do not wait")
    add("--follow", metavar="JID", help="print what a job has returned, and wait for the rest")
    add("-v", "--verbose", action="store_true", help="print the jid and who still works")
    add("--show-jid", action="store_true", help="print the jid")
    add("--show-timeout", action="store_true", help="name minions that do not return (default)")
    add("--hide-timeout", action="store_true", help="do not name minions that do not return")
    add("--summary", action="store_true", help="print how many returned and failed at the end")
    add("-d", "--doc", "--documentation", action="store_true", help="print documentation")
    add("--hard-crash", action="store_true", help="show tracebacks of errors")
    add("--config-dump", action="store_true", help="print the configuration and exit")
    add("--preview-target", action="store_true", help="not supported yet")
    add("-l", "--log-level", choices=LOG_LEVELS, metavar="LEVEL", help="of the log on stderr")
    add("--log-file", metavar="FILE", help="log to a file, too")
    add("--log-file-level", choices=LOG_LEVELS, metavar="LEVEL", help="of the log in the file")
    _add_job(parser)
    add_auth(parser)
    _add_batch(parser)
    _add_target(parser)
    add_output(parser)
    return parser


def _add_job(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the job").add_argument
    add("--args-separator", default=",", metavar="TEXT", help="between several functions' args")
    add("--no-parse", metavar="NAMES", help="keyword arguments whose values stay text")
    add("--args-stdin", action="store_true", help="read more words from stdin, one a line")
    add("--subset", type=int, metavar="N", help="on N random minions that have the function")
    add("--metadata", metavar="YAML", help="to find the job by")
    add("--module-executors", metavar="YAML", help="in place of the minions' own")
    add("--executor-opts", metavar="YAML", help="options of the executors")
    add("--start-event", action="store_true", help="minions fire an event when they begin")
    add("--return", dest="returner", default="", metavar="RETURNER", help="return there as well")
    add("--return_config", "--return-config", metavar="NAME", help="configuration of a returner")
    add("--return_kwargs", "--return-kwargs", metavar="YAML", help="arguments of a returner")


def _add_batch(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("batches").add_argument
    add("-b", "--batch", "--batch-size", metavar="N", help="on N or N%% of the minions at a time")
    add("--batch-wait", type=seconds, metavar="S", help="pause before the next one's turn")
    add("--batch-safe-limit", type=int, metavar="N", help="in batches from so many minions on")
    add("--batch-safe-size", default="8", metavar="N", help="the size of those (8)")
    add("--failhard", action="store_true", help="begin no other minion after a failure")


def _add_target(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the target (a glob for ids, if nothing else is said)")
    only = group.add_mutually_exclusive_group()
    for kind, (short, long, text) in TARGET_TYPES.items():
        only.add_argument(short, long, dest="tgt_type", action="store_const", const=kind, help=text)
    only.add_argument("-H", "--hosts", action="store_true", help="not supported yet")
    only.add_argument("-R", "--range", action="store_true", help="not supported yet")
    group.add_argument("--delimiter", metavar="TEXT", help="between the levels of a grain (:)")


def add_output(parser: ArgumentParser) -> None:
    from greensalt.client.outputters import NAMES

    add = parser.add_argument_group("output").add_argument
    names = ", ".join(NAMES)
    add("--out", "--output", choices=NAMES, metavar="NAME", help=f"one of {names}")
    add("--out-indent", "--output-indent", type=int, metavar="N", help="columns; -1 is none")
    add("--out-file", "--output-file", type=Path, metavar="FILE", help="in place of stdout")
    add("--out-file-append", "--output-file-append", action="store_true", help="add to the file")
    add("--no-color", "--no-colour", action="store_true", help="never use colours")
    add("--force-color", "--force-colour", action="store_true", help="use colours when piped, too")
    modes = ", ".join(STATE_OUTPUTS[:4])
    add("--state-output", "--state_output", choices=STATE_OUTPUTS, metavar="MODE", help=modes)
    add("--state-verbose", "--state_verbose", type=boolean, metavar="BOOL", help="fine ones too")
    add("--output-diff", action="store_true", help="only states that changed something")


def _split(words: Sequence[str], separator: str) -> list[list[str]]:
    """The words between separators, which may be words of their own or parts of one."""
    groups: list[list[str]] = [[]]
    for word in words:
        first, *others = word.split(separator) if separator else [word]
        if first or not others:
            groups[-1].append(first)
        groups.extend([part] if part else [] for part in others)
    return groups


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError
    return value


def boolean(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise ValueError
    return words[text.lower()]


def _attribute(flag: str) -> str:
    names = {"-H": "hosts", "-R": "range"}
    return names.get(flag, flag.strip("-").replace("-", "_"))
