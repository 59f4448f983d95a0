"""The service module against a stand-in for systemctl that keeps its units in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greensalt.errors import CommandExecutionError
from greensalt.modules import service
from tests._calls import Caller
from tests.modules.conftest import Programs

# Units are files in $UNITS; what is in them is their state.
SYSTEMCTL = r"""
last() { for word; do unit=$word; done; case $unit in 0) unit=$4;; esac; }
scope=; [ "$1" = --no-block ] && shift
action=$1; unit=$2
case $action in
  --full) case "$*" in
    *list-unit-files*) cat "$UNITS/files.list";;
    *) cat "$UNITS/running.list";; esac;;
  --system) echo reload >> "$UNITS/log";;
  status) [ -e "$UNITS/$unit" ] || exit 4
     [ -e "$UNITS/changed" ] && echo "Run 'systemctl daemon-reload' to reload units."
     grep -q active "$UNITS/$unit" || exit 3;;
  is-active) grep -q '^active' "$UNITS/$unit" 2>/dev/null || exit 3;;
  is-enabled) [ "$unit" = alias.service ] && { echo alias; exit 0; }
     grep -q enabled "$UNITS/$unit" 2>/dev/null || { echo disabled; exit 1; };;
  show) case "$*" in *-P*) echo web.service;; *) cat "$UNITS/show";; esac;;
  start|restart|reload|force-reload) [ -e "$UNITS/$unit" ] || {
     echo "Running scope as unit: run-1.scope" >&2
     echo "Failed to $action $unit: Unit $unit not found." >&2; exit 5; }
     echo active > "$UNITS/$unit";;
  stop) echo inactive > "$UNITS/$unit";;
  enable) [ -e "$UNITS/$unit" ] || { echo "Unit $unit does not exist" >&2; exit 1; }
     echo enabled >> "$UNITS/$unit";;
  disable) [ -e "$UNITS/$unit" ] || exit 1; echo inactive > "$UNITS/$unit";;
  mask|unmask) [ "$unit" = never.service ] && { echo "no way"; exit 1; }; exit 0;;
esac
"""


@pytest.fixture
def units(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    units = tmp_path / "units"
    units.mkdir()
    monkeypatch.setenv("UNITS", str(units))
    programs.add("systemctl", SYSTEMCTL)
    (units / "web.service").write_text("inactive\n")
    return units


Call = Callable[..., Any]


@pytest.fixture
def call(tmp_path: Path, units: Path) -> Call:
    """Call a function of the module: on a machine without systemd the loader would not."""
    return calling(Caller(tmp_path, others={"systemd.scope": False}))


def calling(minion: Caller) -> Call:
    def call(name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(service, name)(*args, context=minion.context, **kwargs)

    return call


def test_a_service_is_started_and_stopped(call: Call, programs: Programs) -> None:
    assert call("status", "web") is False
    assert call("start", "web") is True
    assert call("status", "web") is True
    assert call("restart", "web.service", no_block=True) is True
    assert call("reload_", "web") is True
    assert call("force_reload", "web") is True
    assert call("stop", "web") is True
    assert call("status", "web") is False
    calls = programs.calls("systemctl")
    assert "start web.service" in calls
    assert "--no-block restart web.service" in calls


def test_a_service_that_does_not_start_says_why_without_noise(call: Call) -> None:
    with pytest.raises(CommandExecutionError) as caught:
        call("start", "none")
    assert str(caught.value) == "Failed to start none.service: Unit none.service not found."


def test_a_service_is_enabled_and_disabled(call: Call) -> None:
    assert call("enabled", "web") is False
    assert call("enable", "web") is True
    assert call("enabled", "web") is True
    assert call("enabled", "alias") is True
    assert call("disabled", "web") is False
    assert call("disable", "web") is True
    assert call("disabled", "web") is True
    assert call("disable", "none") is False
    with pytest.raises(CommandExecutionError, match="does not exist"):
        call("enable", "none")


def test_services_that_exist_are_told_from_those_that_do_not(call: Call) -> None:
    assert call("available_", "web") is True
    assert call("missing", "web") is False
    assert call("available_", "none") is False
    assert call("missing", "none") is True


def test_changed_units_are_read_again_before_anything_else(call: Call, units: Path) -> None:
    (units / "changed").touch()
    call("start", "web")
    assert (units / "log").read_text() == "reload\n"
    assert call("systemctl_reload") is True


def test_services_are_forbidden_and_allowed(call: Call, programs: Programs, tmp_path: Path) -> None:
    assert call("mask", "web", runtime=True) is True
    assert call("masked", "web", root=str(tmp_path)) is False
    link = tmp_path / "etc/systemd/system/web.service"
    link.parent.mkdir(parents=True)
    link.symlink_to("/dev/null")
    assert call("masked", "web", root=str(tmp_path)) is True
    assert call("unmask_", "web", root=str(tmp_path)) is True
    assert f"--root {tmp_path} unmask web.service" in programs.calls("systemctl")
    assert call("unmask_", "db", root=str(tmp_path)) is True
    with pytest.raises(CommandExecutionError, match="no way"):
        call("mask", "never")


def test_services_are_listed_by_state(call: Call, units: Path) -> None:
    (units / "files.list").write_text(
        "web.service enabled enabled\ndb.service disabled disabled\n"
        "getty@.service static -\nsync.timer enabled enabled\nodd\n"
    )
    (units / "running.list").write_text(
        "web.service loaded active running Web\n● db.service loaded failed failed Db\n"
        "sync.timer loaded active waiting Sync\n\u25cb up.socket loaded active running Up\n"
    )
    assert call("get_enabled") == ["sync.timer", "web"]
    assert call("get_disabled") == ["db"]
    assert call("get_static") == ["getty@"]
    assert call("get_running") == ["up.socket", "web"]


def test_all_units_are_found_in_their_directories(call: Call, tmp_path: Path) -> None:
    for name in ("etc/systemd/system/own.service", "usr/lib/systemd/system/sync.timer"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "etc/systemd/system/README").touch()
    script = tmp_path / "etc/init.d/old"
    script.parent.mkdir()
    script.touch()
    script.chmod(0o755)
    assert service.get_all(str(tmp_path)) == ["old", "own", "sync.timer"]


def test_properties_are_read(call: Call, units: Path) -> None:
    (units / "show").write_text(
        "Id=web.service\nAfter=a.target b.target\nEnvironment=A=b C=d\n"
        "ExecStart={ path=/usr/bin/web ; argv[]=/usr/bin/web -x ; status=0/0 }\n"
    )
    assert call("show", "web") == {
        "Id": "web.service",
        "After": ["a.target", "b.target"],
        "Environment": "A=b C=d",
        "ExecStart": {"path": "/usr/bin/web", "argv[]": "/usr/bin/web -x", "status": "0/0"},
    }


def test_a_minion_does_not_wait_for_its_own_restart(call: Call, programs: Programs) -> None:
    with pytest.raises(CommandExecutionError):
        call("restart", "salt-minion")
    call("stop", "greensalt-minion")
    calls = programs.calls("systemctl")
    assert "--no-block restart salt-minion.service" in calls
    assert "--no-block stop greensalt-minion.service" in calls


def test_actions_run_outside_of_the_minions_own_unit(
    minion: Caller, units: Path, programs: Programs
) -> None:
    programs.add("systemd-run", 'shift; exec "$@"')
    assert calling(minion)("start", "web") is True
    assert programs.calls("systemd-run")[0].startswith("--scope /")


def test_without_systemd_the_module_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert service.available() == "the program systemctl is missing"
