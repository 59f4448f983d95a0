"""Event tags, and events as bytes (Spec 7).

An event is its tag, two newlines, and its data as msgpack with the bin family. Subscribers match
tags by prefix.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from greensalt.errors import MalformedMessage
from greensalt.wire.dialect import pack_bin, unpack_bin
from greensalt.wire.jid import is_jid

TAG_END: Final = b"\n\n"

AUTH: Final = "salt/auth"
KEY: Final = "salt/key"
KEY_ROTATION: Final = "key"
PRESENCE_PRESENT: Final = "salt/presence/present"
PRESENCE_CHANGE: Final = "salt/presence/change"
REACTOR_ERROR: Final = "salt/reactor/error"
LEGACY_MINION_START: Final = "minion_start"
SYNC_PREFIX: Final = "greensalt/sync/"
"""Subscribing to a topic below this makes the bus answer with an event of that tag (Spec 12.3)."""

_MASTERS_OWN: Final = (
    "salt/auth*",
    "salt/key*",
    "salt/cloud/*",
    "salt/run/*",
    "salt/wheel/*",
    "salt/cluster/*",
    "salt/presence/*",
    "salt/batch/*",
    "salt/stats/*",
    "salt/fileserver/*",
    "salt/reactor/*",
    "salt/job/*/publish",
    "salt/job/*/new",
    "salt/job/*/return",
    "salt/job/*/error",
    "greensalt/*",
)
"""Tags that only the master fires. Those that end in ``*`` include longer words on purpose:
a subscriber to ``salt/auth`` would see ``salt/authX`` too."""

_MINIONS_OWN: Final = ("salt/minion/", "salt/beacon/", "minion/refresh/", "resource/refresh/")
"""Tags in which a minion's id follows: a minion fires those of its own id only."""

_JOB: Final = "salt/job/"
_MINIONS_JOB_KINDS: Final = frozenset({"ret", "start", "prog", "sub"})
"""What a minion may say about a job, in ``salt/job/<jid>/<kind>/<its id>``."""


def tag(*parts: str) -> str:
    """Join parts to a tag below ``salt/``: ``tag("job", jid, "new")`` is ``salt/job/<jid>/new``."""
    return "/".join(("salt", *parts))


def job(jid: str) -> str:
    """Tag prefix of everything about one job."""
    return f"salt/job/{jid}"


def job_new(jid: str) -> str:
    """Tag of the event that announces a job and whom it is expected to reach."""
    return f"salt/job/{jid}/new"


def job_publish(jid: str) -> str:
    """Tag of the event that carries the publish load."""
    return f"salt/job/{jid}/publish"


def job_ret(jid: str, minion_id: str) -> str:
    """Tag of one minion's return."""
    return f"salt/job/{jid}/ret/{minion_id}"


def job_start(jid: str, minion_id: str) -> str:
    """Tag of the event with which a minion tells that it begins a job."""
    return f"salt/job/{jid}/start/{minion_id}"


def job_error(jid: str) -> str:
    """Tag of a refused publish."""
    return f"salt/job/{jid}/error"


def job_sub_error(jid: str, minion_id: str, fun: str) -> str:
    """Tag of one failed state of a state run."""
    return f"salt/job/{jid}/sub/{minion_id}/error/{fun}"


def minion_start(minion_id: str) -> str:
    """Tag of the event that a minion fires when it is ready for jobs."""
    return f"salt/minion/{minion_id}/start"


def minion_refresh(minion_id: str) -> str:
    """Tag of a refreshed minion data cache (without the ``salt/`` of all others)."""
    return f"minion/refresh/{minion_id}"


def fileserver_update(backend: str) -> str:
    """Tag of what a look at the files of one backend of the file server has found."""
    return f"salt/fileserver/{backend}/update"


def stats(worker: str) -> str:
    """Tag of the figures of one worker."""
    return f"salt/stats/{worker}"


def run_new(jid: str) -> str:
    """Tag of a runner that begins."""
    return f"salt/run/{jid}/new"


def run_ret(jid: str) -> str:
    """Tag of a runner's result."""
    return f"salt/run/{jid}/ret"


def wheel_new(jid: str) -> str:
    """Tag of a wheel function that begins."""
    return f"salt/wheel/{jid}/new"


def wheel_ret(jid: str) -> str:
    """Tag of a wheel function's result."""
    return f"salt/wheel/{jid}/ret"


def check_tag(value: object) -> str:
    """Return an event tag unchanged; raises MalformedMessage for one that can't be sent."""
    if not isinstance(value, str):
        raise MalformedMessage(f"event tag is not text but {type(value).__name__}")
    if not value:
        raise MalformedMessage("event tag is empty")
    if "\n" in value:
        raise MalformedMessage(f"event tag has a newline: {value[:80]!a}")
    return value


def pack_event(tag: str, data: Mapping[str, Any]) -> bytes:
    """Return the bytes of an event; raises MalformedMessage for an unfit tag or data."""
    if not isinstance(data, dict):
        raise MalformedMessage(f"event data is not a dict but {type(data).__name__}")
    try:
        head = check_tag(tag).encode()
    except UnicodeEncodeError as error:
        raise MalformedMessage(f"event tag can't be encoded: {tag[:80]!a}") from error
    return head + TAG_END + pack_bin(data)


def unpack_event(raw: bytes) -> tuple[str, dict[str, Any]]:
    """Return tag and data of an event; raises MalformedMessage."""
    tag, body = split_event(raw)
    data = unpack_bin(body)
    if not isinstance(data, dict):
        raise MalformedMessage(f"event data is not a dict but {type(data).__name__}")
    return tag, data


def split_event(raw: bytes) -> tuple[str, bytes]:
    """Return tag and packed data of an event; raises MalformedMessage for an unfit tag."""
    head, end, body = raw.partition(TAG_END)
    if not end:
        raise MalformedMessage("event has no end of tag")
    try:
        return check_tag(head.decode()), body
    except UnicodeDecodeError as error:
        raise MalformedMessage(f"event tag is not text: {head[:80]!r}") from error


def stamp(data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return event data with its time of firing; a naive ``now`` is taken as UTC."""
    moment = now
    if now.tzinfo is not UTC:
        moment = now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)
    return {**data, "_stamp": moment.isoformat()}


def minion_may_fire(tag: str, minion_id: str) -> bool:
    """Tell whether a minion may have the master fire an event with this tag.

    Refused: what only the master says (sign-ins, keys, new jobs, runners, presence), and what
    another minion says about itself (Spec 7.2, 9.3 item 2). A bare jid is refused too: clients
    read the expected minions of a job from it.
    """
    if not tag or "\n" in tag or tag == KEY_ROTATION or is_jid(tag):
        return False
    if any(fnmatchcase(tag, pattern) for pattern in _MASTERS_OWN):
        return False
    if tag.startswith(_JOB):
        return _is_own_job_tag(tag, minion_id)
    for prefix in _MINIONS_OWN:
        if tag.startswith(prefix):
            return tag.removeprefix(prefix).split("/", 1)[0] == minion_id
    return True


def _is_own_job_tag(tag: str, minion_id: str) -> bool:
    _, _, jid, *rest = tag.split("/")
    if len(rest) < 2 or rest[0] not in _MINIONS_JOB_KINDS or rest[1] != minion_id:
        return False
    # In a reactor's pattern "*" crosses slashes: no tag may look like a return but the return.
    return tag == job_ret(jid, minion_id) or not fnmatchcase(tag, "salt/job/*/ret/*")
