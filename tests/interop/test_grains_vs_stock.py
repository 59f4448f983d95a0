"""Grains, compared with those that stock Salt computes on the same machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from greensalt.config import MinionConfig
from greensalt.minion.grains import core_grains
from greensalt.minion.grains.system import os_grains
from tests._daemons import NEWEST, stock_bin
from tests.interop._distributions import DISTRIBUTIONS

SCRIPT = Path(__file__).with_name("_stock_os.py")

# Grains whose values can't be the same.
DIFFERENT = {
    "pid": "another process",
    "pythonexecutable": "another virtual environment",
    "pythonpath": "another virtual environment",
    "pythonversion": "the stock Salt may run on another Python",
    "cwd": "daemons and commands may run anywhere",
    "mem_total": "the machine may grow and shrink between the two",
    "swap_total": "the machine may grow and shrink between the two",
    "systemd": "asked of a command that may start to fail in a container",
    "virtual": "stock Salt also runs virt-what and dmidecode, where these are installed",
    "virtual_subtype": "see virtual",
}
# Lists that have no order of their own.
UNORDERED = {"disks", "ssds", "fqdn_ip4", "fqdn_ip6"}
# Grains that stock Salt has and greensalt has not.
MISSING = {
    "id": "the caller's",
    "saltpath": "there is no such path",
    "zmqversion": "nobody targets it",
    "package": "how stock Salt was installed",
    "ca_truststore": "whom stock Salt's Python trusts",
}


@pytest.fixture(scope="module")
def config_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grains")
    (path / "minion").write_text(
        json.dumps(
            {
                "id": "probe",
                "root_dir": str(path / "root"),
                "master": "salt.example.com",
                "grains": {"both": "option", "custom": ["a", {"b": 1}]},
                "file_client": "local",
            }
        )
    )
    (path / "grains").write_text("both: file\nroles: [web]\nnumber: 7\n")
    return path


@pytest.fixture(scope="module")
def stock(config_dir: Path) -> dict[str, Any]:
    done = subprocess.run(
        [
            stock_bin(NEWEST) / "salt-call",
            "-c",
            config_dir,
            "--local",
            "--out=json",
            "grains.items",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    grains: dict[str, Any] = json.loads(done.stdout)["local"]
    return grains


@pytest.fixture(scope="module")
def ours(config_dir: Path) -> dict[str, Any]:
    grains = core_grains(MinionConfig.load(config_dir))
    # As they arrive at the master: tuples are lists there.
    plain: dict[str, Any] = json.loads(json.dumps(grains))
    return plain


def test_shared_grains_have_stock_values(ours: dict[str, Any], stock: dict[str, Any]) -> None:
    shared = (ours.keys() & stock.keys()) - DIFFERENT.keys() - MISSING.keys()
    for grains in (ours, stock):
        grains.update({key: sorted(grains[key]) for key in UNORDERED & shared})
    assert {key: ours[key] for key in shared} == {key: stock[key] for key in shared}
    assert {"os", "osfinger", "ipv4", "fqdn", "init", "custom", "roles", "both"} <= shared


def test_differing_grains_still_have_stock_types(
    ours: dict[str, Any], stock: dict[str, Any]
) -> None:
    for key in DIFFERENT.keys() & ours.keys() & stock.keys():
        assert type(ours[key]) is type(stock[key]), key


def test_no_other_grain_is_missing(ours: dict[str, Any], stock: dict[str, Any]) -> None:
    assert stock.keys() - ours.keys() - MISSING.keys() - {"virtual_subtype"} == set()


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("roots")
    for name, files in DISTRIBUTIONS.items():
        (path / name / "etc").mkdir(parents=True)
        for file, content in files.items():
            (path / name / "etc" / file).write_text(content.lstrip())
    return path


@pytest.fixture(scope="module")
def stock_os(roots: Path) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [stock_bin(NEWEST) / "python", SCRIPT],
        input=repr({str(roots): list(DISTRIBUTIONS)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions_are_named_as_stock_salt_names_them(
    name: str, roots: Path, stock_os: dict[str, dict[str, Any]]
) -> None:
    assert os_grains(roots / name) == stock_os[name]
