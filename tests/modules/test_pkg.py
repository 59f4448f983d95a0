"""Package managers: apt's programs where they only look, stand-ins where they would change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.modules import pkg_apt, pkg_dnf
from greensalt.modules._packages import changes, local_packages, targets
from tests._calls import Caller
from tests.modules.conftest import Programs

Call = Callable[..., Any]

DPKG_QUERY = """cat "$STATE" """
STATE = """install ok installed curl 8.1-1 amd64
install ok installed bash 5.2-1 amd64
hold ok installed nano 7-1 amd64
deinstall ok config-files vim 9-1 amd64
install ok installed tzdata 2026a all
install ok installed libc6 2.36 i386
"""
POLICY = """curl:
  Installed: 8.1-1
  Candidate: 8.2-1
  Version table:
     8.2-1 500
bash:
  Installed: 5.2-1
  Candidate: 5.2-1
new:
  Candidate: 1.0
gone:
  Candidate: (none)
"""
COMPARE = """
case "$*" in
  *"8.1-1 >= 8.2-1") exit 1;;
  *"5.2-1 >= 5.2-1") exit 0;;
  *"8.0 lt 8.1-1") exit 0;;
  --compare-versions*) exit 1;;
  *--get-selections*) [ "$2" = "*" ] && cat "$SELECTIONS" || grep "^$2" "$SELECTIONS";;
  *--set-selections*) read name state; sed -i "s/^$name\t.*/$name\t$state/" "$SELECTIONS";;
esac"""
APT_GET = r"""
case "$*" in
  *update*) printf '%s\n' 'Hit:1 http://deb stable InRelease' \
      'Get:2 http://deb security InRelease [48.0 kB]' 'Ign:3 http://deb x InRelease' \
      'Err:4 http://deb gone InRelease' 'Reading package lists...';;
  *--just-print*upgrade*) echo 'Inst curl [8.1-1] (8.2-1 Debian)'; echo 'Conf curl (8.2-1 Debian)';;
  *--just-print*autoremove*) echo 'Remv nano [7-1]';;
  *fails*) echo 'E: Unable to locate package fails' >&2; exit 100;;
  *remove*curl*) sed -i '/ curl /d' "$STATE";;
  *purge*vim*) sed -i '/ vim /d' "$STATE";;
  *install*new*) echo 'install ok installed new 1.0 amd64' >> "$STATE";;
  *install*|*upgrade*) sed -i 's/ 8.1-1 / 8.2-1 /' "$STATE";;
esac"""


@pytest.fixture
def apt(
    minion: Caller, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Call:
    state, selections = tmp_path / "state", tmp_path / "selections"
    state.write_text(STATE)
    selections.write_text("curl\tinstall\nnano\thold\n")
    monkeypatch.setenv("STATE", str(state))
    monkeypatch.setenv("SELECTIONS", str(selections))
    programs.add("dpkg-query", DPKG_QUERY)
    programs.add("dpkg", COMPARE)
    programs.add("apt-get", APT_GET)
    (tmp_path / "policy").write_text(POLICY)
    programs.add("apt-cache", f"cat {tmp_path / 'policy'}")
    minion.context.grains = {"osarch": "amd64"}
    return lambda name, *a, **kw: getattr(pkg_apt, name)(*a, context=minion.context, **kw)


def test_installed_packages_are_listed(apt: Call) -> None:
    assert apt("list_pkgs") == {
        "curl": "8.1-1",
        "bash": "5.2-1",
        "nano": "7-1",
        "tzdata": "2026a",
        "libc6:i386": "2.36",
    }
    assert apt("list_pkgs", removed=True) == {"vim": "9-1"}
    assert apt("list_pkgs", versions_as_list=True)["curl"] == ["8.1-1"]
    assert apt("version", "curl") == "8.1-1"
    assert apt("version", "c*") == {"curl": "8.1-1"}
    assert apt("version", "curl", "none") == {"curl": "8.1-1", "none": ""}


def test_newer_versions_are_found(apt: Call) -> None:
    assert apt("latest_version", "curl", refresh=False) == "8.2-1"
    assert apt("latest_version", "bash", refresh=False) == ""
    assert apt("latest_version", "bash", refresh=False, show_installed=True) == "5.2-1"
    assert apt("latest_version", "new", "gone", refresh=False) == {"new": "1.0", "gone": ""}
    assert apt("available_version", "curl") == "8.2-1"
    assert apt("upgrade_available", "curl") is True
    assert apt("list_upgrades") == {"curl": "8.2-1"}
    assert apt("latest_version") == ""
    with pytest.raises(SaltInvocationError, match="use 'fromrepo' instead"):
        apt("latest_version", "curl", repo="x")


def test_lists_are_fetched_anew(apt: Call) -> None:
    assert apt("refresh_db") == {
        "http://deb stable InRelease": None,
        "http://deb security InRelease": True,
        "http://deb x InRelease": False,
        "http://deb gone InRelease": False,
    }
    with pytest.raises(CommandExecutionError, match="Error getting repos: http://deb gone"):
        apt("refresh_db", failhard=True)


def test_packages_are_installed_with_their_options(apt: Call, programs: Programs) -> None:
    assert apt("install", "new") == {"new": {"old": "", "new": "1.0"}}
    assert apt(
        "install",
        pkgs=[{"curl": "8.2-1"}],
        fromrepo="testing",
        skip_verify=True,
        install_recommends=False,
        force_conf_new=True,
    ) == {"curl": {"old": "8.1-1", "new": "8.2-1"}}
    first, second = programs.calls("apt-get")
    keep = "-o DPkg::Options::=--force-confold -o DPkg::Options::=--force-confdef"
    assert first == f"-q -y {keep} install new"
    assert second == (
        "-q -y -o DPkg::Options::=--force-confnew --no-install-recommends"
        " --allow-unauthenticated -t testing install curl=8.2-1"
    )
    assert apt("install") == {}


def test_an_older_version_is_allowed_when_it_is_asked_for(apt: Call, programs: Programs) -> None:
    apt("install", "curl", version="8.0", refresh=True)
    assert "--allow-downgrades install curl=8.0" in programs.calls("apt-get")[-1]


def test_a_failed_installation_tells_what_happened_and_what_changed(apt: Call) -> None:
    with pytest.raises(CommandExecutionError) as caught:
        apt("install", "fails")
    assert str(caught.value).startswith(
        "Problem encountered installing package(s). Additional info follows:\n\nerrors:\n"
    )
    assert "Unable to locate package fails" in str(caught.value)


def test_a_reinstalled_package_counts_as_changed(apt: Call, programs: Programs) -> None:
    ret = apt("install", "bash", reinstall=True)
    assert ret["bash"] == {"old": "5.2-1", "new": "5.2-1"}
    assert "--reinstall" in programs.calls("apt-get")[-1]


def test_packages_are_removed_and_purged(apt: Call) -> None:
    assert apt("remove", "cur*") == {"curl": {"old": "8.1-1", "new": ""}}
    assert apt("purge", "vim") == {
        "installed": {},
        "removed": {"vim": {"old": "9-1", "new": ""}},
    }
    assert apt("remove", pkgs=["none"]) == {}
    assert apt("autoremove", list_only=True) == ["nano"]
    assert apt("autoremove") == {}
    with pytest.raises(SaltInvocationError):
        apt("remove")


def test_everything_is_upgraded(apt: Call, programs: Programs) -> None:
    assert apt("upgrade", dist_upgrade=True) == {"curl": {"old": "8.1-1", "new": "8.2-1"}}
    assert programs.calls("apt-get")[-1].endswith("dist-upgrade")


def test_packages_are_kept_at_their_version(apt: Call) -> None:
    assert apt("hold", "curl") == {
        "curl": {
            "name": "curl",
            "changes": {"old": "install", "new": "hold"},
            "result": True,
            "comment": "Package curl is now being held.",
        }
    }
    assert apt("hold", "curl")["curl"]["comment"].endswith("already set to be held.")
    released = apt("unhold", pkgs=["curl", "none"])
    assert released["curl"]["changes"] == {"old": "hold", "new": "install"}
    assert released["none"]["comment"] == "Package none does not have a state."
    assert apt("get_selections", state="hold") == {"hold": ["nano"]}
    with pytest.raises(SaltInvocationError, match=r"Invalid state\(s\): keep"):
        apt("set_selections", selection="{keep: [curl]}")


def test_while_another_program_has_the_lock_apt_is_waited_for(
    apt: Call, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greensalt.modules.pkg_apt._apt.LOCK_WAIT_S", 0.01)
    programs.add(
        "apt-get",
        f"[ -e {tmp_path}/free ] || {{ touch {tmp_path}/free;"
        " echo 'E: Could not get lock /var/lib/dpkg/lock' >&2; exit 100; }",
    )
    assert apt("refresh_db") == {}
    assert len(programs.calls("apt-get")) == 2


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs a Debian machine")
def test_files_belong_to_packages(minion: Caller) -> None:
    assert minion.call("pkg.owner", "/usr/bin/dpkg") == "dpkg"
    assert "/usr/bin/dpkg" in minion.call("pkg.file_list", "dpkg")["files"]
    assert minion.call("pkg.file_dict", "dpkg")["packages"]["dpkg"]
    assert minion.call("pkg.file_list", "no-such-package")["errors"]
    assert minion.call("pkg.version_cmp", "1.2", "1.10") == -1


RPM = """
case "$*" in
  -qa*) cat "$STATE";;
  *vercmp*) case "$*" in *'"8.0"'*) echo -1;; *) echo 1;; esac;;
  -qf*) [ "$3" = /usr/bin/bash ] && printf bash || { echo none; exit 1; };;
  -ql*) [ "$2" = bash ] && echo /usr/bin/bash || exit 1;;
esac"""
DNF = r"""
case "$*" in
  *clean*) ;;
  *check-update*) printf '%s\n' '' 'curl.x86_64   8.2-1.el9   baseos' \
     'libc.i686  2.40-1  baseos' 'Obsoleting Packages' 'old.x86_64 1-1 baseos'; exit 100;;
  *repoquery*) echo 'new|0|1.0|1.el9';;
  *"versionlock list"*) cat "$LOCKS";;
  *"versionlock add"*) echo "$5-0:1-1.*" >> "$LOCKS";;
  *"versionlock delete"*) echo > "$LOCKS";;
  *fails*) echo 'Error: Unable to find a match: fails' >&2; exit 1;;
  *remove*) sed -i '/^curl|/d' "$STATE";;
  *install*new) echo 'new|(none)|1.0|1.el9|x86_64' >> "$STATE";;
  *upgrade*) sed -i 's/^curl|.*/curl|(none)|8.2|1.el9|x86_64/' "$STATE";;
esac"""


@pytest.fixture
def dnf(
    minion: Caller, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Call:
    state, locks = tmp_path / "state", tmp_path / "locks"
    state.write_text(
        "curl|(none)|8.1|1.el9|x86_64\nbash|1|5.2|1.el9|x86_64\nlibc|(none)|2.36|1|i686\n"
        "tzdata|(none)|2026a|1|noarch\ngpg-pubkey|(none)|abc|def|(none)\n"
    )
    locks.touch()
    monkeypatch.setenv("STATE", str(state))
    monkeypatch.setenv("LOCKS", str(locks))
    programs.add("rpm", RPM)
    programs.add("dnf", DNF)
    minion.context.grains = {"osarch": "x86_64"}
    return lambda name, *a, **kw: getattr(pkg_dnf, name)(*a, context=minion.context, **kw)


def test_rpm_lists_installed_packages(dnf: Call) -> None:
    assert dnf("list_pkgs") == {
        "bash": "1:5.2-1.el9",
        "curl": "8.1-1.el9",
        "gpg-pubkey": "abc-def",
        "libc.i686": "2.36-1",
        "tzdata": "2026a-1",
    }
    assert dnf("version", "curl") == "8.1-1.el9"
    assert dnf("list_pkgs", removed=True) == {}


def test_dnf_finds_newer_versions(dnf: Call) -> None:
    assert dnf("list_upgrades") == {"curl": "8.2-1.el9", "libc.i686": "2.40-1"}
    assert dnf("latest_version", "curl", "bash", "new") == {
        "curl": "8.2-1.el9",
        "bash": "",
        "new": "1.0-1.el9",
    }
    assert dnf("available_version", "bash") == ""
    assert dnf("upgrade_available", "curl") is True
    assert dnf("refresh_db") is True
    assert dnf("version_cmp", "8.0", "8.1") == -1
    with pytest.raises(SaltInvocationError, match="not versions"):
        dnf("version_cmp", '1"', "2")


def test_dnf_installs_upgrades_and_removes(dnf: Call, programs: Programs) -> None:
    assert dnf("install", "new", enablerepo=["a", "b"], skip_verify=True) == {
        "new": {"old": "", "new": "1.0-1.el9"}
    }
    assert programs.calls("dnf")[-1] == "--quiet -y install --enablerepo=a,b --nogpgcheck new"
    dnf("install", "curl", version="8.0", fromrepo="old")
    assert programs.calls("dnf")[-1] == (
        "--quiet -y downgrade --disablerepo=* --enablerepo=old curl-8.0"
    )
    assert dnf("install", "bash", reinstall=True)["bash"]["old"] == "1:5.2-1.el9"
    assert dnf("upgrade", refresh=False) == {"curl": {"old": "8.1-1.el9", "new": "8.2-1.el9"}}
    assert dnf("update", "bash", refresh=False) == {}
    assert dnf("remove", "cur?") == {"curl": {"old": "8.2-1.el9", "new": ""}}
    assert dnf("purge", "none") == {}
    with pytest.raises(CommandExecutionError, match="Unable to find a match"):
        dnf("install", "fails")


def test_dnf_keeps_packages_at_their_version(dnf: Call) -> None:
    assert dnf("hold", "curl")["curl"]["changes"] == {"old": "", "new": "hold"}
    assert dnf("hold", "curl")["curl"]["comment"] == "Package curl is already held."
    assert dnf("list_holds") == ["curl-0:1-1.*"]
    assert dnf("unhold", "curl")["curl"]["comment"] == "Package curl is now unheld."


def test_rpm_knows_whose_files_they_are(dnf: Call) -> None:
    assert dnf("owner", "/usr/bin/bash") == "bash"
    assert dnf("owner", "/usr/bin/bash", "/none") == {"/usr/bin/bash": "bash", "/none": ""}
    assert dnf("file_list", "bash") == {"errors": [], "files": ["/usr/bin/bash"]}
    assert dnf("file_dict", "none")["errors"] == ["package none is not installed"]


def test_targets_are_names_lists_and_versions() -> None:
    assert targets("a,b", None) == {"a": None, "b": None}
    assert targets("a", None, "1.0") == {"a": "1.0"}
    assert targets(None, ["a", {"b": 2}, {"c": None}]) == {"a": None, "b": "2", "c": None}
    assert changes({"a": "1", "b": "1"}, {"b": "2", "c": "3"}) == {
        "a": {"old": "1", "new": ""},
        "b": {"old": "1", "new": "2"},
        "c": {"old": "", "new": "3"},
    }


def test_package_files_must_be_on_the_minion(tmp_path: Path) -> None:
    file = tmp_path / "x.deb"
    file.touch()
    assert local_packages([{"x": str(file)}]) == [str(file)]
    with pytest.raises(CommandExecutionError, match="can't fetch salt://x"):
        local_packages([{"x": "salt://x.deb"}])
    with pytest.raises(SaltInvocationError, match="a list of dicts"):
        local_packages("x.deb")
