from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from greensalt.errors import MalformedMessage
from greensalt.wire.jid import JidClock, display_time, format_jid, is_jid, jid_time

JID = "20261122192410230816"
MOMENT = datetime(2026, 11, 22, 19, 24, 10, 230816, UTC)


def test_a_jid_is_the_time_of_the_job() -> None:
    assert format_jid(MOMENT) == JID
    assert format_jid(MOMENT.replace(tzinfo=None)) == JID
    assert format_jid(MOMENT.astimezone(timezone(timedelta(hours=5)))) == JID
    assert jid_time(JID) == MOMENT
    assert jid_time(JID + "_4711") == MOMENT


def test_display_time_is_salts() -> None:
    assert display_time(JID) == "2026, Nov 22 19:24:10.230816"


@pytest.mark.parametrize("good", [JID, JID + "_1", JID + "_12345"])
def test_twenty_digits_and_an_optional_number_are_a_jid(good: str) -> None:
    assert is_jid(good)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        20261122192410230816,
        b"20261122192410230816",
        "",
        "req",
        "nocache",
        JID[:-1],
        JID + "1",
        JID + "_",
        JID + "_/../..",
        JID + "\n",
        "20261322192410230816",
        "00000000000000000000",
        "٢" * 20,
        JID + "_" + "1" * 21,
    ],
)
def test_spec_9_1_anything_else_is_no_jid(bad: object) -> None:
    assert not is_jid(bad)


@pytest.mark.parametrize("bad", ["", "req", "99999999999999999999", "../etc"])
def test_no_time_is_read_from_what_is_no_jid(bad: str) -> None:
    for read in (jid_time, display_time):
        with pytest.raises(MalformedMessage, match="not a job id"):
            read(bad)


def test_jids_increase_even_when_the_clock_does_not() -> None:
    clock = JidClock()
    moments = [MOMENT, MOMENT, MOMENT - timedelta(hours=1), MOMENT + timedelta(seconds=1), MOMENT]
    jids = [clock.next(moment) for moment in moments]
    assert jids[0] == JID
    assert jids == sorted(set(jids))


@given(st.datetimes())
def test_every_moment_has_a_jid_and_every_jid_its_moment(moment: datetime) -> None:
    jid = format_jid(moment)
    assert is_jid(jid)
    assert jid_time(jid).replace(tzinfo=None) == moment


@given(st.text(alphabet="0123456789_", min_size=18, max_size=24) | st.text())
def test_nothing_escapes_from_is_jid(text: str) -> None:
    assert is_jid(text) in (True, False)
