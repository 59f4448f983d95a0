"""greensalt's options beside stock Salt's: the same names, defaults and paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greensalt.config import MasterConfig, MinionConfig
from greensalt.config.base import Config
from greensalt.config.salt_options import SALT_OPTIONS
from tests._daemons import NEWEST, STOCK_VERSIONS, run, stock_bin

SCRIPT = Path(__file__).with_name("_stock_config.py")

MASTER = """\
root_dir: {root}
pki_dir: /keys
cachedir: {root}/cache
autosign_file: autosign
log_file: file:///dev/log
keep_jobs_seconds: 60
nodegroups:
  - web: 'web*'
  - all: '*'
"""
MINION = """\
root_dir: {root}
id: m1
cachedir: /c
master_port: '5506'
file_roots: {{base: /srv/one}}
"""

# Where greensalt means to differ, and why.
BETTER = {
    "request_server_ttl": "a request can't be replayed for ever",
    "sign_pub_messages": "a minion checks who signed a job",
    "master": "always a list here",
    "event_return": "always a list here",
}


@pytest.fixture(scope="module", name="stock", params=STOCK_VERSIONS)
def _stock(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    where = tmp_path_factory.mktemp("config")
    (where / "master").write_text(MASTER.format(root=where))
    (where / "minion").write_text(MINION.format(root=where))
    done = run(stock_bin(request.param) / "python", SCRIPT, where)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return {**answer, "dir": where, "version": request.param}


def test_every_option_name_of_salt_is_known(stock: dict[str, Any]) -> None:
    names = {*stock["names"], *stock["master"], *stock["minion"]}
    public = {name for name in names if not name.startswith("_") and "." not in name}
    assert public <= SALT_OPTIONS


@pytest.mark.parametrize(
    ("name", "config_class"), [("master", MasterConfig), ("minion", MinionConfig)]
)
def test_defaults_are_those_of_the_newest_salt(
    stock: dict[str, Any], name: str, config_class: type[Config]
) -> None:
    if stock["version"] != NEWEST:
        return  # only the newest release's defaults are taken over
    ours, theirs = config_class().options(), stock[name]
    common = (ours.keys() & theirs.keys()) - BETTER.keys()
    assert {key: ours[key] for key in common} == {key: theirs[key] for key in common}


def test_paths_and_values_of_a_master_are_those_that_salt_computes(stock: dict[str, Any]) -> None:
    ours, theirs = MasterConfig.load(stock["dir"]).options(), stock["loaded_master"]
    for key in (
        "pki_dir", "cachedir", "sock_dir", "pidfile", "log_file", "key_logfile", "autosign_file",
        "extension_modules", "keep_jobs_seconds", "nodegroups", "id",
    ):  # fmt: skip
        assert ours[key] == theirs[key], key


def test_paths_and_values_of_a_minion_are_those_that_salt_computes(stock: dict[str, Any]) -> None:
    ours, theirs = MinionConfig.load(stock["dir"]).options(), stock["loaded_minion"]
    for key in (
        "pki_dir",
        "cachedir",
        "sock_dir",
        "pidfile",
        "log_file",
        "extension_modules",
        "id",
    ):
        assert ours[key] == theirs[key], key
