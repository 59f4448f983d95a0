"""docs/serializers.md and its plots, made from a recorded run and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tools.serializers.advice import ACCEPTED, PUBLISHED, advice
from tools.serializers.plots import Panel, bars, ranges

SHARES: Final = ("serializer", "crypto", "zmq", "store", "rest")
SHARE_NAMES: Final = ("serializer", "encryption", "ZeroMQ", "store", "rest")
DOING: Final = {
    "ping": "`test.ping`: True",
    "grains": "`grains.items`: a dictionary of some 8 KB",
    "text": "`cmd.run`: some 64 KB of text",
    "highstate": "`state.highstate`: some 60 KB, nested",
    "binary": "`cp.get_file`: 256 KiB of bytes",
}

ABOUT: Final = """\
Every codec of the [registry](protocol.md) on the same payloads: alone in a process, and on the wire
of a live master ([the load test](loadtest.md)). This page and its plots are made from [one recorded
run](serializers/run.json) by `make serializers`; `python -m tools.serializers --page` makes them
again without measuring."""
LATENCIES: Final = """\
In milliseconds, p50 / p95 / p99. *publish*: from the user's request to the master's
acknowledgement. *return*: from when a minion begins to pack its return to the master's
acknowledgement, n of them. All codecs were under the same load at the same time, so compare the
rows of a table. *bytes*, *encode* and *decode* are of the whole load of that return, in one process
that does nothing else: only what shows in *return* as well has reached the wire. *peak* is what one
packing or unpacking allocates at most, in Python's allocators."""
PARTS: Final = """\
Per cent of the median *return* above. The parts are measured one after the other, each alone; the
rest is the Python of both sides, and waiting for others' turns."""
ALONE: Final = """\
CPU is all that the master's process used in that time, divided by the returns: publishes, events
and sign-ins are in it. Memory is the process's proportional set (PSS) at the end."""
FIDELITY: Final = """\
What a codec carries by itself; what it does not, it carries through an escape
([protocol](protocol.md), 12.4), which is in its size and times above."""

Run = Mapping[str, Any]


def files(run: Run) -> dict[str, str]:
    """The texts by their paths under docs/."""
    return {
        "serializers.md": markdown(run),
        "serializers/return.svg": _times(run, ACCEPTED, "Until a return is accepted"),
        "serializers/publish.svg": _times(run, PUBLISHED, "Until a publish is acknowledged"),
        "serializers/alone.svg": _micro_plot(run),
        "serializers/size.svg": _size_plot(run),
        "serializers/shares.svg": _share_plot(run),
        "serializers/master.svg": _master_plot(run),
    }


def markdown(run: Run) -> str:
    """The page."""
    parts = [
        "# What a serializer costs",
        ABOUT,
        "## Which one to take",
        advice(run),
        "## The run",
        _about(run),
        *_beware(run),
        "## Publish and return",
        LATENCIES,
        *[_payload(run, payload) for payload in _payloads(run)],
        _image("return", "p50, p95 and p99 of a return by payload and codec"),
        _image("publish", "p50, p95 and p99 of a publish by payload and codec"),
        _image("alone", "encode and decode time by payload and codec"),
        _image("size", "encoded size by payload and codec"),
        "## Where the time of a return goes",
        PARTS,
        *[_parts(run, payload) for payload in _payloads(run)],
        _image("shares", "share of serializer, encryption, ZeroMQ and store by payload and codec"),
        "## CPU and memory of the master",
        f"Each codec alone on a master, one after the other:{_alone_command(run)}{ALONE}",
        _costs(run),
        _image("master", "CPU per return and memory of the master by codec"),
        "## Fidelity",
        FIDELITY,
        _fidelity(run),
    ]
    return "\n\n".join(parts) + "\n"


# -- the text ------------------------------------------------------------------------------------


def _about(run: Run) -> str:
    together = run["together"]
    machine = together["machine"]
    used = ", ".join(
        f"{each['name']} {each['cpu_percent']:.0f} % of a core" for each in together["usages"]
    )
    return (
        f"{machine['cores']} cores of {machine['cpu']}, Linux {machine['kernel']}, Python"
        f" {machine['python']}, greensalt {machine['greensalt']}; {together['ended']}. Recorded by"
        " `make serializers`, which ran\n\n"
        f"```console\n$ {together['command']}\n```\n\n"
        f"The machine was busy to {together['machine_percent']:.0f} %: {used}."
    )


def _beware(run: Run) -> list[str]:
    """What the run itself says against its figures."""
    return [f"**Beware:** {each}." for each in run["together"]["verdict"]]


def _payload(run: Run, payload: str) -> str:
    alone = {each["codec"]: each for each in run["micro"] if each["payload"] == payload}
    published, returned = _rows(run, payload, PUBLISHED), _rows(run, payload, ACCEPTED)
    rows = [
        (
            codec,
            f"{each['bytes']:,}",
            _digits(each["encode_us"]),
            _digits(each["decode_us"]),
            _digits(each["peak_kib"]),
            _percentiles(published[codec]),
            _percentiles(returned[codec]),
            str(returned[codec]["requests"]),
        )
        for codec, each in alone.items()
    ]
    head = ("codec", "bytes", "encode µs", "decode µs", "peak KiB", "publish", "return", "n")
    return f"### {payload}\n\n{DOING.get(payload, payload)}\n\n{_table(head, rows)}"


def _parts(run: Run, payload: str) -> str:
    rows = [
        (part["lane"], *(f"{part[name]:.1f}" for name in SHARES))
        for part in run["together"]["parts"]
        if part["payload"] == payload
    ]
    return f"{payload}:\n\n{_table(('codec', *SHARE_NAMES), rows)}"


def _fidelity(run: Run) -> str:
    facts = run["facts"]
    names = list(next(iter(facts.values())))
    said = {True: "yes", False: "no"}
    rows = [
        (codec, *(said.get(of[name], str(of[name])) for name in names))
        for codec, of in facts.items()
    ]
    return _table(("codec", *names), rows)


def _alone_command(run: Run) -> str:
    command = str(run["alone"][0]["command"]).rpartition(" ")[0]
    return f"\n\n```console\n$ {command} NAME\n```\n\n"


def _costs(run: Run) -> str:
    rows = [
        (
            each["codec"],
            run["libraries"][each["codec"]],
            f"{each['returns_per_s']:.0f}",
            f"{each['cpu_ms']:.2f}",
            f"{each['memory_mib']:.1f}",
        )
        for each in run["alone"]
    ]
    head = ("codec", "library", "returns/s", "CPU per return, ms", "memory, MiB")
    return _table(head, rows)


def _image(name: str, what: str) -> str:
    return f"![{what}](serializers/{name}.svg)"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percentiles(row: Mapping[str, Any]) -> str:
    return " / ".join(_digits(row[name]) for name in ("p50_ms", "p95_ms", "p99_ms"))


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# -- the figures ---------------------------------------------------------------------------------


def _payloads(run: Run) -> list[str]:
    return list(dict.fromkeys(each["payload"] for each in run["micro"]))


def _codecs(run: Run) -> list[str]:
    return list(run["libraries"])


def _rows(run: Run, payload: str, what: str) -> dict[str, Mapping[str, Any]]:
    """The rows of the run by codec."""
    name = f"{payload}: {what}"
    return {row["lane"]: row for row in run["together"]["rows"] if row["name"] == name}


def _times(run: Run, what: str, title: str) -> str:
    panels = []
    for payload in _payloads(run):
        rows = _rows(run, payload, what)
        panels.append(
            Panel(
                payload,
                [
                    (codec, [rows[codec][name] for name in ("p50_ms", "p95_ms", "p99_ms")])
                    for codec in _codecs(run)
                ],
            )
        )
    return ranges(title, "ms", panels)


def _micro_plot(run: Run) -> str:
    return bars(
        "Packing and unpacking alone in a process",
        "µs",
        _micro_panels(run, "encode_us", "decode_us"),
        ("encode", "decode"),
    )


def _size_plot(run: Run) -> str:
    return bars("Size of a return before encryption", "bytes", _micro_panels(run, "bytes"))


def _micro_panels(run: Run, *names: str) -> list[Panel]:
    return [
        Panel(
            payload,
            [
                (each["codec"], [each[name] for name in names])
                for each in run["micro"]
                if each["payload"] == payload
            ],
        )
        for payload in _payloads(run)
    ]


def _share_plot(run: Run) -> str:
    panels = [
        Panel(
            payload,
            [
                (part["lane"], [part[name] for name in SHARES])
                for part in run["together"]["parts"]
                if part["payload"] == payload
            ],
        )
        for payload in _payloads(run)
    ]
    legend = ("serializer (the figure)", *SHARE_NAMES[1:])
    return bars("Where the time of a return goes", "%", panels, legend, tells_first=True)


def _master_plot(run: Run) -> str:
    alone = run["alone"]
    panels = [
        Panel("CPU per return, ms", [(each["codec"], [each["cpu_ms"]]) for each in alone]),
        Panel("memory, MiB", [(each["codec"], [each["memory_mib"]]) for each in alone]),
    ]
    return bars("The master, alone with one codec", "", panels)
