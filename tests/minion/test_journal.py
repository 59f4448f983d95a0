"""The journal knows, also after a restart, which jobs must not begin again."""

from __future__ import annotations

from pathlib import Path

import pytest

from greensalt.minion.journal import Journal

JIDS = [f"2026010100000000000{number}" for number in range(10)]


def opened(path: Path, most: int = 3) -> Journal:
    journal = Journal(path / "jobs", most)
    journal.open()
    return journal


def test_a_job_that_has_begun_is_known_to_the_next_run(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert journal.is_new
    journal.take(JIDS[0])
    journal.begin(JIDS[1])
    again = opened(tmp_path)
    assert not again.is_new
    assert [again.knows(jid) for jid in JIDS[:3]] == [False, True, False]
    assert again.may_begin(JIDS[0])  # it only waited
    assert not again.may_begin(JIDS[1])


def test_what_is_older_than_the_memory_never_begins_late(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for jid in JIDS[2:7]:
        journal.begin(jid)
    assert not journal.knows(JIDS[2])
    assert [journal.may_begin(jid) for jid in JIDS[:4]] == [False] * 4
    assert journal.may_begin(JIDS[7])
    assert journal.newest(2) == JIDS[5:7]


def test_the_file_stays_short(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for jid in JIDS:
        journal.begin(jid)
    assert len((tmp_path / "jobs").read_text().split()) <= 6
    assert not opened(tmp_path).may_begin(JIDS[9])


def test_a_line_that_was_cut_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text(f"{JIDS[0]}\n{JIDS[1][:7]}")
    journal = opened(tmp_path)
    assert journal.newest(5) == JIDS[:1]
    journal.begin(JIDS[2])
    assert not opened(tmp_path).may_begin(JIDS[2])


def test_a_job_runs_though_it_cant_be_written_down(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "jobs").mkdir()
    journal = opened(tmp_path)
    journal.begin(JIDS[0])
    assert not journal.may_begin(JIDS[0])
    assert "can't be written" in caplog.text
