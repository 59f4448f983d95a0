from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, strategies as st

from greensalt.errors import MalformedMessage
from greensalt.wire import tags
from greensalt.wire.dialect import pack_bin
from tests.vectors.load import golden
from tests.wire.test_dialect import objects

JID = "20261122192410230816"


def test_tags_are_salts() -> None:
    assert tags.tag("job", JID, "new") == tags.job_new(JID) == f"salt/job/{JID}/new"
    assert tags.job(JID) == f"salt/job/{JID}"
    assert tags.job_publish(JID) == f"salt/job/{JID}/publish"
    assert tags.job_ret(JID, "m1") == f"salt/job/{JID}/ret/m1"
    assert tags.job_start(JID, "m1") == f"salt/job/{JID}/start/m1"
    assert tags.job_error(JID) == f"salt/job/{JID}/error"
    assert tags.job_sub_error(JID, "m1", "f.g") == f"salt/job/{JID}/sub/m1/error/f.g"
    assert tags.minion_start("m1") == "salt/minion/m1/start"
    assert tags.minion_refresh("m1") == "minion/refresh/m1"
    assert tags.run_new(JID) == f"salt/run/{JID}/new"
    assert tags.run_ret(JID) == f"salt/run/{JID}/ret"
    assert tags.wheel_new(JID) == f"salt/wheel/{JID}/new"
    assert tags.wheel_ret(JID) == f"salt/wheel/{JID}/ret"


def test_event_golden_bytes() -> None:
    wire = golden("envelope", "event")
    data = {"jid": JID, "minions": ["m1"]}
    assert tags.pack_event(tags.job_new(JID), data) == wire
    assert tags.unpack_event(wire) == (tags.job_new(JID), data)


def test_the_first_empty_line_ends_the_tag() -> None:
    data = {"text": "a\n\nb"}
    assert tags.unpack_event(tags.pack_event("t", data)) == ("t", data)


@pytest.mark.parametrize(
    ("tag", "data"),
    [
        ("", {}),
        ("a\n", {}),
        ("a\n\nb", {}),
        (5, {}),
        ("\ud800", {}),
        ("t", "text"),
        ("t", None),
        ("t", {"o": object()}),
    ],
)
def test_unfit_events_are_refused_by_the_sender(tag: Any, data: Any) -> None:
    with pytest.raises(MalformedMessage):
        tags.pack_event(tag, data)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"tag",
        b"tag\n" + pack_bin({}),
        b"\n\n" + pack_bin({}),
        b"tag\n\n",
        b"tag\n\n" + pack_bin([]),
        b"\xff\n\n" + pack_bin({}),
        b"a\nb\n\n" + pack_bin({}),
    ],
)
def test_unfit_events_are_refused_by_the_receiver(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        tags.unpack_event(raw)


@given(st.binary(max_size=200) | st.binary(max_size=50).map(lambda b: b"tag\n\n" + b))
def test_nothing_but_a_protocol_error_escapes(raw: bytes) -> None:
    try:
        tags.unpack_event(raw)
    except MalformedMessage:
        pass


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), min_size=1),
    st.dictionaries(st.text(), objects, max_size=3),
)
def test_an_event_comes_back(tag: str, data: dict[str, Any]) -> None:
    assert tags.unpack_event(tags.pack_event(tag, data)) == (tag, data)


def test_stamp_is_utc_with_its_offset_and_leaves_the_data_alone() -> None:
    data = {"a": 1}
    moment = datetime(2026, 11, 22, 19, 24, 10, 230816, UTC)
    stamped = {"a": 1, "_stamp": "2026-11-22T19:24:10.230816+00:00"}
    assert tags.stamp(data, moment) == stamped
    assert tags.stamp(data, moment.replace(tzinfo=None)) == stamped
    assert data == {"a": 1}


SPEC_7_2_BLACKLIST = [
    "salt/job/*/publish",
    "salt/job/*/new",
    "salt/job/*/return",
    "salt/key",
    "salt/cloud/*",
    "salt/run/*",
    "salt/cluster/*",
    "salt/wheel/*/new",
    "salt/wheel/*/return",
    "salt/auth",
    "salt/presence/*",
    "salt/job/*/ret/m2",
]


@pytest.mark.parametrize("pattern", SPEC_7_2_BLACKLIST)
def test_cve_2025_22236_and_22239_a_minion_may_not_fire_what_the_master_says(pattern: str) -> None:
    for filling in (JID, "x", "x/y", f"{JID}/prog/m1", f"{JID}/ret/m1", f"{JID}/sub/m1"):
        assert not tags.minion_may_fire(pattern.replace("*", filling), "m1")


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "key",
        JID,
        "a\nb",
        "salt/auth/more",
        "salt/authX",
        "salt/keyring",
        f"salt/job/{JID}",
        f"salt/job/{JID}/ret",
        f"salt/job/{JID}/ret/m2",
        f"salt/job/{JID}/ret/m1/ret/m2",
        f"salt/job/{JID}/prog/m1/ret/m2",
        f"salt/job/{JID}/prog/m2/1",
        f"salt/job/{JID}/start/m2",
        f"salt/job/{JID}/error",
        "salt/minion/m2/start",
        "salt/beacon/m2/load/",
        "minion/refresh/m2",
        "resource/refresh/m2",
        "salt/stats/worker",
        "greensalt/sync/1",
    ],
)
def test_spec_9_3_2_a_minion_may_not_speak_for_others(tag: str) -> None:
    assert not tags.minion_may_fire(tag, "m1")


@pytest.mark.parametrize(
    "tag",
    [
        "minion_start",
        "minion_ping",
        "my/own/tag",
        "deploy/done",
        "salt/minion/m1/start",
        f"salt/job/{JID}/ret/m1",
        f"salt/job/{JID}/start/m1",
        f"salt/job/{JID}/prog/m1/3",
        f"salt/job/{JID}/sub/m1/error/state.sls",
        "salt/beacon/m1/inotify//etc/hosts",
        "minion/refresh/m1",
        "resource/refresh/m1",
        "_salt_error",
    ],
)
def test_a_minion_may_speak_for_itself(tag: str) -> None:
    assert tags.minion_may_fire(tag, "m1")


parts = st.sampled_from(
    [
        "salt",
        "job",
        JID,
        "ret",
        "prog",
        "m1",
        "m2",
        "new",
        "publish",
        "auth",
        "key",
        "wheel",
        "",
        "x",
    ]
)


@given(st.lists(parts, max_size=8).map("/".join))
def test_no_allowed_tag_matches_a_blacklisted_pattern(tag: str) -> None:
    if tags.minion_may_fire(tag, "m1"):
        assert not any(fnmatchcase(tag, pattern) for pattern in SPEC_7_2_BLACKLIST)


def test_tags_of_the_master_about_itself() -> None:
    assert tags.stats("0") == "salt/stats/0"
    assert tags.fileserver_update("roots") == "salt/fileserver/roots/update"
    assert tags.minion_refresh("web1") == "minion/refresh/web1"
