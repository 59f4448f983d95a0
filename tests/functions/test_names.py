"""Modules that are written for Salt find its names in their globals."""

from __future__ import annotations

from pathlib import Path

import gevent
import pytest

from tests._calls import Caller

MODULE = """
import threading
meeting = threading.Barrier(2, timeout=30)

def __virtual__():
    return "old" if __grains__["os"] == "Debian" and "test.ping" in __salt__ else False

def run(): return __salt__["test.echo"](__salt__["cmd.run"]("echo hello"))
def missing(): return ["no.such" in __salt__, __salt__.get("no.such", 7), "cmd.run" in __salt__]
def absent(): return __salt__["no.such"]()
def listed(): return "old.run" in list(__salt__)
def facts():
    return [__grains__["os"], __pillar__.get("apache"), __opts__["grains"] == __grains__]
def whole(): return {"all": __grains__}
def options(): return {key: __opts__[key] for key in ("id", "master", "cachedir", "__role")}
def forge(): __grains__["os"] = "Plan 9"
def fail(): __context__["retcode"] = 3; return "failed"
def put(value): __context__["value"] = value; return __salt__["old.look"]()
def look(): return __context__.get("value")
def meet(value):
    __context__["value"] = value
    __opts__["value"] = value
    meeting.wait()
    found = [__context__["value"], __opts__["value"], __salt__["old.look"]()]
    meeting.wait()
    return found
def thread():
    said = []
    def work():
        try: __salt__["test.ping"]()
        except RuntimeError as error: said.append(str(error))
    other = threading.Thread(target=work)
    other.start(); other.join()
    return said
"""


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    (tmp_path / "mods").mkdir()
    (tmp_path / "mods" / "ancient.py").write_text(MODULE)
    (tmp_path / "mods" / "swift.py").write_text(
        "GREEN = True\ndef run(): return __salt__['old.look'](), __salt__['test.ping']()"
    )
    return Caller(tmp_path, tmp_path / "mods")


def test_functions_are_called_through_salt(caller: Caller) -> None:
    assert caller.call("old.run") == "hello"
    assert caller.call("old.missing") == [False, 7, True]
    assert caller.call("old.listed") is True
    assert caller.call("swift.run") == [None, True]
    outcome = caller.job("old.absent")
    assert not outcome.success
    assert "KeyError: 'no.such'" in outcome.ret


def test_grains_pillar_and_options_are_the_minions(caller: Caller) -> None:
    assert caller.call("old.facts") == ["Debian", {"port": 80, "name": "httpd"}, True]
    cachedir = str(caller.directory / "cache")
    assert caller.call("old.options") == {
        "id": "mouse", "master": "salt", "cachedir": cachedir, "__role": "minion"
    }  # fmt: skip
    assert caller.call("old.whole") == {"all": caller.context.grains}
    assert "__grains__ can't be changed" in caller.job("old.forge").ret
    assert caller.context.grains["os"] == "Debian"


def test_context_lives_as_long_as_the_job(caller: Caller) -> None:
    assert caller.call("old.put", 4) == 4
    assert caller.call("old.look") is None
    outcome = caller.job("old.fail")
    assert (outcome.ret, outcome.retcode, outcome.success) == ("failed", 3, False)
    assert caller.job("old.look").retcode == 0


def test_jobs_side_by_side_do_not_see_each_others(caller: Caller) -> None:
    jobs = [gevent.spawn(caller.call, "old.meet", value) for value in ("a", "b")]
    gevent.joinall(jobs, raise_error=True)
    assert [job.value for job in jobs] == [["a"] * 3, ["b"] * 3]


def test_a_thread_that_a_module_starts_belongs_to_no_job(caller: Caller) -> None:
    (said,) = caller.call("old.thread")
    assert said == "__salt__ is there only while a job calls a function of the module"


def test_built_in_modules_do_not_get_them(caller: Caller) -> None:
    function = caller.context.find("test.ping")
    assert function is not None
    assert "__salt__" not in function.fn.__globals__
