"""The results of states: one block or one line a state, and a summary for each minion.

`state_output` full shows blocks, terse shows lines, mixed shows blocks for failed states only,
changes shows lines for states that were fine already; with `state_verbose` off those are hidden.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pprint import pformat
from typing import Any

from greensalt.client.outputters import Style, nested
from greensalt.client.outputters.ansi import (
    CYAN,
    GREEN,
    LIGHT_RED,
    RED,
    YELLOW,
    harmless,
    paint,
)

DIVIDER = "----------"
BLOCK_INDENT = 14
KEY_SEPARATOR = "_|-"


@dataclass(slots=True)
class _Tally:
    """What the summary counts. `would_change` states have the result None: a dry run."""

    fine: int = 0
    failed: int = 0
    would_change: int = 0
    changed: int = 0
    warned: int = 0
    milliseconds: float = 0.0
    complaints: list[str] = field(default_factory=list)

    def count(self, state: _State) -> None:
        self.failed += state.result is False
        self.would_change += state.result is None
        self.fine += state.result not in (False, None)
        self.changed += state.changed
        self.milliseconds += state.milliseconds

    @property
    def color(self) -> str:
        """Of the minion's name: the worst that happened (Salt: the last that did)."""
        if self.failed or self.complaints:
            return RED
        return YELLOW if self.would_change else GREEN


class _State:
    """One state's result, its fields found in the result or in its key."""

    def __init__(self, key: str, result: Mapping[str, Any]) -> None:
        module, declared, name, function = _parts(harmless(key))
        self.function = f"{module}.{function}"
        self.id = declared or harmless(str(result.get("__id__", "")))
        self.name = name
        self.order = result["__run_num__"]
        self.result = result.get("result")
        self.comment = result.get("comment", "")
        self.changes = result.get("changes", {})
        self.changed = _changed(self.changes)
        self.warnings = _texts(result["warnings"]) if "warnings" in result else None
        self.started = harmless(str(result["start_time"])) if "start_time" in result else None
        self.duration = harmless(str(result.get("duration", "")))
        self.milliseconds = _number(self.duration)

    @property
    def span(self) -> str:
        return f"{self.duration} ms" if self.duration else ""

    @property
    def fine(self) -> bool:
        """Whether it had nothing to do and did it."""
        return self.result is True and not self.changed

    @property
    def color(self) -> str:
        if self.result is False:
            return RED
        if self.result is None:
            return YELLOW
        return CYAN if self.changed else GREEN

    @property
    def word(self) -> str:
        """The result as one-line output calls it."""
        if self.result is False:
            return "Failed"
        if self.result is None:
            return "Differs"
        return "Changed" if self.changed else "Clean"


def output(data: Any, style: Style) -> str:
    """{minion id: {state key: result}}; a list of texts says why the states did not compile."""
    if not isinstance(data, Mapping):
        return nested.output(data, style)
    return "\n".join(_minion(str(host), result, style) for host, result in data.items())


def _minion(host: str, result: Any, style: Style) -> str:
    if isinstance(result, list):
        return "\n".join(_not_compiled(host, result, style.color))
    if isinstance(result, str | int):
        return "\n".join(_message(host, str(result), style.color))
    if not isinstance(result, Mapping):
        return nested.output({host: result}, style)
    tally = _Tally()
    states = sorted(_states(result, tally), key=lambda state: state.order)
    body: list[str] = []
    for state in states:
        tally.count(state)
        body.extend(_state(state, tally, style))
    head = paint(tally.color, f"{harmless(host)}:", style.color)
    return "\n".join([head, *tally.complaints, *body, *_summary(host, tally, style)])


def _message(host: str, text: str, color: bool) -> Iterator[str]:
    yield paint(CYAN, f"{harmless(host)}:", color)
    for line in harmless(text).splitlines():
        yield paint(GREEN, f"    {line}", color)


def _not_compiled(host: str, reasons: list[Any], color: bool) -> Iterator[str]:
    yield paint(LIGHT_RED, f"{harmless(host)}:", color)
    yield "    " + paint(LIGHT_RED, "Data failed to compile:", color)
    for reason in reasons:
        yield paint(LIGHT_RED, f"{DIVIDER}\n    {harmless(str(reason))}", color)


def _states(result: Mapping[Any, Any], tally: _Tally) -> Iterator[_State]:
    for key, value in result.items():
        if not isinstance(value, Mapping):
            continue
        if "__run_num__" in value and "result" in value:
            yield _State(str(key), value)
        elif "__run_num__" not in value:
            tally.complaints.append(
                "The State execution failed to record the order in which all states were executed."
                f" The state return missing data is:\n{harmless(pformat(value))}"
            )


def _state(state: _State, tally: _Tally, style: Style) -> Iterator[str]:
    if state.fine and (not style.state_verbose or style.state_output_diff):
        return
    mode, _, wants_id = style.state_output.partition("_")
    if wants_id == "id":
        state.name = state.id
    brief = (
        mode == "terse"
        or (mode == "mixed" and state.result is not False)
        or (mode == "changes" and state.fine)
    )
    if brief:
        yield from _line(state, style)
    else:
        tally.warned += state.warnings is not None
        yield from _block(state, style)


def _line(state: _State, style: Style) -> Iterator[str]:
    if state.warnings is not None:
        yield paint(LIGHT_RED, "\n".join(["Warnings:", *state.warnings]), style.color)
    text = f"Name: {state.name} - Function: {state.function} - Result: {state.word}"
    if style.state_output_profile and state.started is not None:
        text += f" - Started: {state.started} - Duration: {state.span}"
    yield " " + paint(state.color, " " + text, style.color)


def _block(state: _State, style: Style) -> Iterator[str]:
    def row(label: str, value: object) -> str:
        return "    " + paint(state.color, f"{label:>8}: {value}", style.color)

    yield paint(state.color, DIVIDER, style.color)
    yield row("ID", state.id)
    yield row("Function", state.function)
    if state.name != state.id:
        yield row("Name", state.name)
    yield row("Result", harmless(str(state.result)))
    yield row("Comment", _wrapped(state.comment))
    if style.state_output_profile and state.started is not None:
        yield row("Started", state.started)
        yield row("Duration", state.span)
    yield paint(state.color, f"     Changes:   {_changes(state.changes, style)}", style.color)
    if state.warnings is not None:
        yield "   " + paint(LIGHT_RED, f" Warnings: {_filled(state.warnings)}", style.color)


def _changes(changes: Any, style: Style) -> str:
    """What stands behind and below "Changes:"."""
    if not changes:
        return ""
    if not isinstance(changes, Mapping):
        return f"Invalid Changes data: {harmless(str(changes))}"
    return "\n" + "\n".join(_change_lines(changes, style))


def _change_lines(changes: Mapping[Any, Any], style: Style) -> Iterator[str]:
    if (orchestrated := _orchestrated(changes)) is None:
        yield from nested.lines(changes, BLOCK_INDENT, style.color)
    else:
        for line in output(orchestrated, style).splitlines():
            yield " " * BLOCK_INDENT + line


def _orchestrated(changes: Any) -> Mapping[Any, Any] | None:
    """The states of other minions, which are the changes of an orchestration's state."""
    if not isinstance(changes, Mapping) or changes.get("out") != "highstate":
        return None
    results = changes.get("ret")
    return results if isinstance(results, Mapping) else None


def _changed(changes: Any) -> bool:
    """Whether anything changed, with an orchestration on any of its minions."""
    orchestrated = _orchestrated(changes)
    if orchestrated is None:
        return bool(changes)
    for result in orchestrated.values():
        if isinstance(result, str | int):
            return True
        if isinstance(result, Mapping) and any(
            _changed(state.get("changes"))
            for state in result.values()
            if isinstance(state, Mapping)
        ):
            return True
    return False


def _summary(host: str, tally: _Tally, style: Style) -> Iterator[str]:
    succeeded = tally.fine + tally.would_change
    total = succeeded + tally.failed
    digits = len(str(max(tally.fine, tally.failed, tally.would_change, tally.warned)))
    width = 11 + (digits if total else 0)
    rule = "-" * width

    def count(label: str, number: int, color: str) -> str:
        return paint(color, f"{label}: {number:>{width - len(label) - 2}}", style.color)

    yield paint(CYAN, f"\nSummary for {harmless(host)}\n{rule}", style.color)
    details = []
    if tally.would_change:
        details.append(paint(YELLOW, f"unchanged={tally.would_change}", style.color))
    if tally.changed:
        details.append(paint(GREEN, f"changed={tally.changed}", style.color))
    suffix = f" ({', '.join(details)})" if details else ""
    yield count("Succeeded", succeeded, GREEN) + suffix
    yield count("Failed", tally.failed, RED if tally.failed else CYAN)
    if tally.warned:
        yield count("Warnings", tally.warned, LIGHT_RED)
    yield paint(CYAN, f"{rule}\nTotal states run: {total:>{width - 7}}", style.color)
    if style.state_output_profile:
        yield paint(CYAN, f"Total run time: {_span(tally.milliseconds, width - 5)}", style.color)


def _span(milliseconds: float, width: int) -> str:
    if milliseconds < 1000:
        return f"{milliseconds:>{width}.3f} ms"
    return f"{milliseconds / 1000:>{width}.3f} s"


def _filled(warnings: list[str]) -> str:
    """Warnings as one paragraph, its further lines below the first."""
    margin = " " * BLOCK_INDENT
    text = " ".join(warnings)
    return textwrap.fill(text, 80, initial_indent=margin, subsequent_indent=margin).lstrip()


def _wrapped(comment: Any) -> str:
    """A comment, its further lines below the first."""
    return harmless(str(comment)).strip().replace("\n", "\n" + " " * BLOCK_INDENT)


def _parts(key: str) -> tuple[str, str, str, str]:
    """module, id, name and function of `module_|-id_|-name_|-function`."""
    module, declared, rest = [*key.split(KEY_SEPARATOR, 2), "", ""][:3]
    name, _, function = rest.rpartition(KEY_SEPARATOR)
    return module, declared, name, function


def _texts(warnings: Any) -> list[str]:
    values = warnings if isinstance(warnings, list) else [warnings]
    return [harmless(str(value)) for value in values]


def _number(duration: str) -> float:
    try:
        return float(duration.split(maxsplit=1)[0])
    except (IndexError, ValueError):
        return 0.0
