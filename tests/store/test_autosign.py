from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from greensalt.config import MasterConfig
from greensalt.errors import InvalidMinionId
from greensalt.store.autosign import AutosignPolicy


def listed(path: Path, *lines: str, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    path.chmod(mode)
    return path


def policy(tmp_path: Path, **options: Any) -> AutosignPolicy:
    return AutosignPolicy(MasterConfig(pki_dir=tmp_path / "pki", **options))


def test_without_any_list_people_decide(tmp_path: Path) -> None:
    assert policy(tmp_path).decide("web1") is None
    assert policy(tmp_path).decide("web1", {"os": "Debian"}) is None
    missing = tmp_path / "missing"
    nothing = policy(
        tmp_path, autosign_file=missing, autoreject_file=missing, autosign_grains_dir=missing
    )
    assert nothing.decide("web1", {"os": "Debian"}) is None


@pytest.mark.parametrize(
    ("line", "matching", "other"),
    [
        ("web1", "web1", "web11"),
        ("web*", "web1.lab", "db1"),
        ("web[12]", "web2", "web3"),
        (r"db\d+", "db17", "db17x"),
        (r"^db\d+\.lab$", "db1.lab", "db1.labs"),
        ("  web1  ", "web1", "web2"),
    ],
)
def test_a_line_is_an_id_a_glob_or_a_regex_of_the_whole_id(
    tmp_path: Path, line: str, matching: str, other: str
) -> None:
    rules = policy(tmp_path, autosign_file=listed(tmp_path / "autosign", "# a comment", "", line))
    assert rules.decide(matching) == "accept"
    assert rules.decide(other) is None


def test_comments_match_nobody(tmp_path: Path) -> None:
    rules = policy(tmp_path, autosign_file=listed(tmp_path / "autosign", "#*", "  # *"))
    assert rules.decide("web1") is None


def test_rejecting_comes_first(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        autosign_file=listed(tmp_path / "autosign", "*"),
        autoreject_file=listed(tmp_path / "autoreject", "evil*"),
    )
    assert rules.decide("evil1") == "reject"
    assert rules.decide("web1") == "accept"


def test_a_change_of_a_list_needs_no_restart(tmp_path: Path) -> None:
    rules = policy(tmp_path, autosign_file=tmp_path / "autosign")
    assert rules.decide("web1") is None
    listed(tmp_path / "autosign", "web1")
    assert rules.decide("web1") == "accept"


@pytest.mark.parametrize(
    ("mode", "permissive", "verdict"),
    [(0o666, False, None), (0o664, False, None), (0o664, True, "accept"), (0o666, True, None)],
)
def test_a_list_that_others_may_write_is_ignored_and_named(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    mode: int,
    permissive: bool,
    verdict: str | None,
) -> None:
    path = listed(tmp_path / "autosign", "*", mode=mode)
    rules = policy(tmp_path, autosign_file=path, permissive_pki_access=permissive)
    assert rules.decide("web1") == verdict
    assert (f"{path} can be written by others" in caplog.text) is (verdict is None)


def test_a_list_that_cannot_be_read_is_ignored_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "autosign").mkdir()
    assert policy(tmp_path, autosign_file=tmp_path / "autosign").decide("web1") is None
    assert "autosign: can't be read and is ignored: Is a directory" in caplog.text


def test_a_stub_lets_its_id_in_once(tmp_path: Path) -> None:
    stub = listed(tmp_path / "pki" / "minions_autosign" / "web1")
    rules = policy(tmp_path)
    assert rules.decide("web2") is None
    assert rules.decide("web1") == "accept"
    assert not stub.exists()
    assert rules.decide("web1") is None


def test_an_old_stub_lets_nobody_in_and_is_removed(tmp_path: Path) -> None:
    stub = listed(tmp_path / "pki" / "minions_autosign" / "web1")
    other = listed(tmp_path / "pki" / "minions_autosign" / "web2")
    os.utime(stub, (time.time() - 121 * 60,) * 2)
    assert policy(tmp_path).decide("web1") is None
    assert not stub.exists()
    assert other.exists()
    os.utime(other, (time.time() - 121 * 60,) * 2)
    assert policy(tmp_path, autosign_timeout=122).decide("web2") == "accept"


def test_one_grain_of_the_master_file_is_enough(tmp_path: Path) -> None:
    listed(tmp_path / "grains" / "uuid", "# ours", "8f7d", "1d3c")
    listed(tmp_path / "grains" / "cpus", "4")
    rules = policy(tmp_path, autosign_grains_dir=tmp_path / "grains")
    assert rules.decide("web1", {"uuid": "1d3c"}) == "accept"
    assert rules.decide("web1", {"uuid": "0000", "cpus": 4}) == "accept"
    assert rules.decide("web1", {"uuid": "1d"}) is None
    assert rules.decide("web1", {"uuid": "# ours"}) is None
    assert rules.decide("web1", {"../grains/uuid": "8f7d"}) is None
    assert rules.decide("web1", {}) is None
    assert rules.decide("web1", None) is None


def test_a_grain_file_that_others_may_write_is_ignored(tmp_path: Path) -> None:
    listed(tmp_path / "grains" / "uuid", "8f7d", mode=0o666)
    rules = policy(tmp_path, autosign_grains_dir=tmp_path / "grains")
    assert rules.decide("web1", {"uuid": "8f7d"}) is None


def test_an_id_that_could_not_be_a_file_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidMinionId):
        policy(tmp_path).decide("../web1")
