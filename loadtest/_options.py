"""The options of a run, on the command line and in the form of the web UI."""

from __future__ import annotations

from argparse import SUPPRESS, Namespace
from pathlib import Path
from typing import Any, Final, NamedTuple

from greensalt.errors import ConfigError
from loadtest import _codecs
from loadtest._payloads import PAYLOADS, payload

MODELS: Final = {
    "users": "a fixed number of users, each waiting --pause seconds between its jobs (closed)",
    "rate": "each user starts --rate jobs a second, however long they take (open)",
    "ramp": "more users every --step-time seconds, until the knee; -u is the most",
    "storm": "sign-ins only, one after another by each user",
}
OWN_TARGETS: Final = ("greensalt", "stock", "both")


class Settings(NamedTuple):
    """The options of one run, checked."""

    target: str
    key_file: str
    sock_dir: str
    codecs: tuple[str, ...]
    payloads: tuple[str, ...]
    minions: int
    model: str
    pause_s: float
    rate: float
    step_users: int
    step_s: float
    job_timeout_s: float
    record: str


def add_arguments(parser: Any) -> None:
    """Tell locust's parser (a configargparse one with options of its own) our options."""
    add = parser.add_argument  # a group's own would hide them from the web UI
    add(
        "--target",
        default="greensalt",
        help="greensalt, stock or both: masters of the run's own; tcp://host:port: a running one",
    )
    add("--key-file", default="", help="with tcp://: the key file of the publishing user")
    add("--sock-dir", default="", help="with tcp://: sock_dir of a master on this host (its bus)")
    add(
        "--serializer",
        nargs="+",
        choices=_codecs.available(),
        default=_codecs.available(),
        is_multiple=True,
        help="serializers, side by side",
    )
    add(
        "--payload",
        nargs="+",
        choices=list(PAYLOADS),
        default=["ping", "grains"],
        is_multiple=True,
        help="what minions return",
    )
    add("--minions", type=int, default=5, help="emulated minions of each serializer")
    add("--model", choices=list(MODELS), default="users", help="; ".join(_models()))
    add("--pause", type=float, default=1.0, help="seconds between two jobs of a user")
    add("--rate", type=float, default=1.0, help="jobs a second of a user, with --model rate")
    add("--step-users", type=int, default=5, help="users added at each step of --model ramp")
    add("--step-time", type=float, default=10.0, help="seconds of each step of --model ramp")
    add("--job-timeout", type=float, default=15.0, help="seconds until a return is missing")
    add("--record", default="", help="write everything about the run to this JSON file")
    # How locust's master tells its workers what it has started.
    add("--site", default="", help=SUPPRESS, include_in_web_ui=False)


def _models() -> list[str]:
    return [f"{name}: {text}" for name, text in MODELS.items()]


def settings(options: Namespace) -> Settings:
    """The checked options. Raises ConfigError; the web form can send anything."""
    chosen = Settings(
        target=str(options.target).strip(),
        key_file=str(options.key_file).strip(),
        sock_dir=str(options.sock_dir).strip(),
        codecs=tuple(_codecs.check(name) for name in options.serializer),
        payloads=tuple(payload(name).name for name in options.payload),
        minions=int(options.minions),
        model=str(options.model),
        pause_s=float(options.pause),
        rate=float(options.rate),
        step_users=int(options.step_users),
        step_s=float(options.step_time),
        job_timeout_s=float(options.job_timeout),
        record=str(options.record),
    )
    _check(chosen)
    return chosen


def _check(chosen: Settings) -> None:
    if chosen.target not in OWN_TARGETS and not chosen.target.startswith("tcp://"):
        raise ConfigError(
            f"--target {chosen.target!r} is none of {', '.join(OWN_TARGETS)}, tcp://host:port"
        )
    if chosen.target.startswith("tcp://"):
        if not chosen.key_file:
            raise ConfigError(
                "--target tcp://... wants --key-file: the key of a user who may publish, on the"
                " master <cachedir>/.root_key"
            )
        if not Path(chosen.key_file).is_file():
            raise ConfigError(f"--key-file {chosen.key_file}: no such file")
    if chosen.model not in MODELS:
        raise ConfigError(f"--model {chosen.model!r} is none of {', '.join(MODELS)}")
    if not chosen.codecs or not chosen.payloads:
        raise ConfigError("at least one --serializer and one --payload are needed")
    for name, value in (
        ("--minions", chosen.minions),
        ("--rate", chosen.rate),
        ("--step-users", chosen.step_users),
        ("--step-time", chosen.step_s),
        ("--job-timeout", chosen.job_timeout_s),
    ):
        if value <= 0:
            raise ConfigError(f"{name} must be more than 0, not {value}")
