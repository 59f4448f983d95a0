"""What greensalt-cli shows: results as they arrive, one progress line, and who is missing."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from greensalt.client.outputters import PLAIN, Style, render
from greensalt.errors import ConfigError

if TYPE_CHECKING:
    from greensalt.client.link import Result
    from greensalt.config import ClientConfig

PROGRESS_AFTER_S: Final = 0.5
NO_RETURN: Final = "Minion did not return. [No response]"
HINT: Final = (
    "The minions may not have all finished running and any remaining minions will return upon"
    " completion. To look up the return data for this job later, run the following command:"
)
RULE: Final = "-------------------------------------------"


class Screen:
    """Prints results on stdout or into a file, everything else about the job on stderr.

    With `static` results are kept and printed by `finish` as one.
    """

    def __init__(self, args: Namespace, config: ClientConfig) -> None:
        self._out = args.out or config.output
        self._static = args.static or config.static
        self._file = _opened(args.out_file or config.output_file, append=args.out_file_append)
        self._stream: IO[str] = self._file or sys.stdout
        self._style = _style(args, config, on_terminal=self._stream.isatty())
        self._kept: dict[str, Any] = {}
        self._kept_out: str | None = None
        self.progress = Progress(always=args.progress, stream_is_terminal=self._stream.isatty())

    def result(self, result: Result) -> None:
        """Show what one minion returned."""
        if self._static:
            self._kept[result.id] = result.ret
            self._kept_out = self._kept_out or result.out
        else:
            self.show({result.id: result.ret}, result.out)

    def no_return(self, minion_id: str, jid: str) -> None:
        """Name a minion that did not return; on stderr if stdout is for one piece of data."""
        self.progress.clear()
        if self._static:
            print(f"{minion_id}: {NO_RETURN}", file=sys.stderr)
            return
        text = f"{NO_RETURN}\n{HINT}\n\n{look_up(jid)}"
        self.show({minion_id: text}, "no_return")

    def show(self, data: Any, out: str | None = None) -> None:
        """Print data with the outputter of the command line, or with `out`, or nested."""
        text = render(data, self._out or out or "nested", self._style)
        self.progress.clear()
        if text:
            print(text, file=self._stream, flush=True)

    def documentation(self, docs: dict[str, Any]) -> None:
        """Print the documentation of functions by name."""
        from inspect import cleandoc
        from textwrap import indent

        from greensalt.client.outputters.ansi import harmless

        if self._out not in (None, "nested", "txt"):
            self.show({name: docs[name] for name in sorted(docs)})
            return
        for name in sorted(docs):
            if docs[name]:
                # Docstrings are written in two ways: the first line indented, or not.
                text = indent(cleandoc(harmless(str(docs[name]))), "    ")
                self.line(f"{harmless(name)}:\n\n{text}\n")

    def line(self, text: str = "") -> None:
        """A line of text among the results."""
        self.progress.clear()
        print(text, file=self._stream, flush=True)

    def note(self, text: str) -> None:
        """A line about the job, besides the results."""
        self.progress.clear()
        print(text, file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Print what was kept for the end."""
        self.progress.clear()
        if self._static and self._kept:
            self.show({key: self._kept[key] for key in sorted(self._kept)}, self._kept_out)

    def summary(self, targeted: int, returned: int, failed: int) -> None:
        self.line(
            f"\n\n{RULE}\nSummary\n{RULE}\n"
            f"# of minions targeted: {targeted}\n"
            f"# of minions returned: {returned}\n"
            f"# of minions that did not return: {targeted - returned}\n"
            f"# of minions with errors: {failed}\n{RULE}"
        )

    def close(self) -> None:
        self.progress.clear()
        self._stream.flush()
        if self._file is not None:
            self._file.close()


class Progress:
    """One line on stderr that says how many minions have returned, while somebody looks.

    It is there on a terminal only, and only if the job takes a moment.
    """

    def __init__(self, *, always: bool, stream_is_terminal: bool) -> None:
        self._on = sys.stderr.isatty() and (always or stream_is_terminal)
        self._since = time.monotonic()
        self._shown = False

    def update(self, returned: int, expected: int) -> None:
        if self._on and time.monotonic() - self._since > PROGRESS_AFTER_S:
            text = f"{returned} of {expected} minions have returned"
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
            self._shown = True

    def clear(self) -> None:
        """Take the line away, before anything else is printed."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False


def look_up(jid: str) -> str:
    """The command that shows a job's results later."""
    return f"greensalt-cli --follow {jid}"


def batch_status(jid: str) -> str:
    """The command that shows how a batch stands."""
    return f"greensalt run batch.status {jid}"


def _style(args: Namespace, config: ClientConfig, *, on_terminal: bool) -> Style:
    wanted = config.color and on_terminal and not os.environ.get("NO_COLOR")
    verbose = config.state_verbose if args.state_verbose is None else args.state_verbose
    return Style(
        color=not args.no_color and (args.force_color or wanted),
        indent=_indent(args, config),
        state_output=args.state_output or config.state_output,
        state_verbose=verbose,
        state_output_diff=args.output_diff or config.state_output_diff,
    )


def _indent(args: Namespace, config: ClientConfig) -> int | None:
    if args.out_indent is not None:
        return int(args.out_indent)
    try:
        return int(config.output_indent or "")
    except ValueError:  # unset, or one of Salt's words for "the default"
        return PLAIN.indent


def _opened(path: Path | str | None, *, append: bool) -> IO[str] | None:
    if path is None:
        return None
    try:
        return Path(path).open("a" if append else "w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the output file {path} can't be opened: {error.strerror}") from error
