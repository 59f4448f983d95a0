"""Plots as SVG files: rows of marks on a common axis, in panels; readable on light and dark.

Nothing is drawn that is not in a table as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

WIDTH: Final = 760
LEFT: Final = 140
RIGHT: Final = 70
ROW: Final = 18
HEAD: Final = 26
AXIS: Final = 40
TOP: Final = 58

STYLE: Final = """
svg { font: 12px system-ui, sans-serif; background: #ffffff; }
text { fill: #24292f; } .soft { fill: #57606a; } .title { font-size: 15px; font-weight: 600; }
.head { font-weight: 600; } .grid { stroke: #d0d7de; } .axis { stroke: #57606a; }
.line { stroke: #0969da; stroke-width: 2; } .dot { fill: #0969da; } .tick { stroke: #0969da; }
.s0 { fill: #0969da; } .s1 { fill: #bf8700; } .s2 { fill: #1a7f37; } .s3 { fill: #8250df; }
.s4 { fill: #afb8c1; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; }
text { fill: #e6edf3; } .soft { fill: #9198a1; } .grid { stroke: #30363d; }
.axis { stroke: #9198a1; } .line, .tick { stroke: #4493f8; } .dot, .s0 { fill: #4493f8; }
.s1 { fill: #d29922; } .s2 { fill: #3fb950; } .s3 { fill: #ab7df8; } .s4 { fill: #545d68; }
}
"""


class Panel(NamedTuple):
    """Rows of one axis: (label, values). A missing value is left out."""

    title: str
    rows: Sequence[tuple[str, Sequence[float]]]


class Scale(NamedTuple):
    """An axis: values from `least` to `most`, linear or by powers of ten."""

    least: float
    most: float
    is_log: bool

    @classmethod
    def of(cls, values: Sequence[float], *, is_log: bool) -> Scale:
        most = max(values)
        if not is_log:
            return cls(0.0, most * 1.02, is_log)
        return cls(_below(min(values)), _above(most), is_log)

    def x(self, value: float) -> float:
        if self.is_log:
            part = math.log(value / self.least) / math.log(self.most / self.least)
        else:
            part = (value - self.least) / (self.most - self.least)
        return round(LEFT + part * (WIDTH - LEFT - RIGHT), 1)

    def ticks(self) -> list[float]:
        if self.is_log:
            found = [
                digit * 10.0**power
                for power in range(math.floor(math.log10(self.least)), 9)
                for digit in (1, 2, 5)
            ]
            inside = [tick for tick in found if self.least * 0.999 <= tick <= self.most * 1.001]
            return [tick for tick in inside if _digit(tick) == 1] if len(inside) > 9 else inside
        step = 10.0 ** math.floor(math.log10(self.most / 2))
        step = next(step * by for by in (1, 2, 2.5, 5, 10) if self.most / (step * by) <= 6)
        return [number * step for number in range(int(self.most / step) + 1)]


def ranges(title: str, unit: str, panels: Sequence[Panel]) -> str:
    """Three values a row (p50, p95, p99): a dot, a tick and the end of a line."""
    body: list[str] = []
    y = TOP
    for panel in panels:
        scale = Scale.of([value for _, row in panel.rows for value in row], is_log=True)
        bottom = y + HEAD + ROW * len(panel.rows)
        body += _frame(panel.title, unit, scale, y, bottom)
        for number, (label, (p50, p95, p99)) in enumerate(panel.rows):
            middle = y + HEAD + ROW * number + ROW / 2
            left, tick, right = scale.x(p50), scale.x(p95), scale.x(p99)
            body += [
                _text(LEFT - 8, middle + 4, label, "end"),
                _line("line", left, middle, right, middle),
                _line("tick", tick, middle - 5, tick, middle + 5),
                f'<circle class="dot" cx="{left}" cy="{middle}" r="4"/>',
                _text(right + 6, middle + 4, number_of(p50), "start", "soft"),
            ]
        y = bottom + AXIS
    return _svg(title, "dot: median (the figure), tick: 95 %, end of the line: 99 %", body, y)


def bars(
    title: str,
    unit: str,
    panels: Sequence[Panel],
    legend: Sequence[str] = (),
    *,
    tells_first: bool = False,
) -> str:
    """Stacked values a row, each in the colour of its place in the legend.

    The figure beside a row is their sum, or its first value.
    """
    body: list[str] = []
    at = float(LEFT)
    for number, name in enumerate(legend):
        body.append(f'<rect class="s{number}" x="{at}" y="38" width="10" height="10"/>')
        body.append(_text(at + 14, 47, name, "start"))
        at += 30 + 7 * len(name)
    y = TOP
    for panel in panels:
        scale = Scale.of([sum(row) for _, row in panel.rows], is_log=False)
        bottom = y + HEAD + ROW * len(panel.rows)
        body += _frame(panel.title, unit, scale, y, bottom)
        for number, (label, row) in enumerate(panel.rows):
            top = y + HEAD + ROW * number
            body.append(_text(LEFT - 8, top + ROW / 2 + 4, label, "end"))
            done = 0.0
            for place, value in enumerate(row):
                left, right = scale.x(done), scale.x(done + value)
                body.append(
                    f'<rect class="s{place}" x="{left}" y="{top + 3}"'
                    f' width="{round(right - left, 1)}" height="{ROW - 6}"/>'
                )
                done += value
            told = number_of(row[0] if tells_first else done)
            body.append(_text(scale.x(done) + 6, top + ROW / 2 + 4, told, "start", "soft"))
        y = bottom + AXIS
    return _svg(title, "", body, y)


def number_of(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _frame(title: str, unit: str, scale: Scale, top: float, bottom: float) -> list[str]:
    named = f"{title}, {unit}" if unit else title
    parts = [_text(LEFT, top + 16, named, "start", "head")]
    for tick in scale.ticks():
        x = scale.x(tick)
        parts.append(_line("grid", x, top + HEAD, x, bottom))
        parts.append(_text(x, bottom + 15, number_of(tick), "middle", "soft"))
    parts.append(_line("axis", LEFT, bottom, WIDTH - RIGHT, bottom))
    return parts


def _svg(title: str, note: str, body: Sequence[str], height: float) -> str:
    height = round(height)
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
            f' width="{WIDTH}" height="{height}" role="img">'
        ),
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        _text(LEFT, 24, title, "start", "title"),
    ]
    if note:
        lines.append(_text(LEFT, 44, note, "start", "soft"))
    return "\n".join([*lines, *body, "</svg>\n"])


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _digit(value: float) -> int:
    return round(value / 10.0 ** math.floor(math.log10(value) + 1e-9))


def _below(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(digit * power for digit in (1, 2, 5) if digit * power <= value * 1.0001)


def _above(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return min(digit * power for digit in (1, 2, 5, 10) if digit * power >= value)
