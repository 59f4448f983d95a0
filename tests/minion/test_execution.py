from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gevent
import pytest

from greensalt.functions.results import sendable
from greensalt.wire.dialect import pack, unpack
from tests._calls import JID, Caller

MODULE = '''
import sys, threading, time
meeting = threading.Barrier(20, timeout=30)
from greensalt.errors import CommandExecutionError, CommandNotFoundError, SaltInvocationError

def fails(): raise CommandExecutionError("the disk is full")
def lacks(): raise CommandNotFoundError("frobnicate")
def refuses(): raise SaltInvocationError("not like this")
def breaks(): return {}["key"]
def adds(a, b):
    """Add two numbers."""
    return a + b
def leaves(): sys.exit(7)
def odd(): return {"when": object, ("a", 1): {1, 2}, "bytes": b"x", "gen": (n for n in ())}
def several():
    yield {"a": 1}
    yield {"b": 2}
def listed():
    yield 1
    yield 2
def loop():
    a = []
    a.append(a)
    return a
def state(result): return {"result": result, "changes": {}}
def waits(seconds):
    time.sleep(seconds)
    return threading.current_thread() is threading.main_thread()
def meets(): return meeting.wait() >= 0
def asks(*, context): return context.call("test.echo", context.call("grains.get", "os"))
def tells(*, context): return context.fire_master("tag", {"a": 1})
def sets(code, *, context): context.retcode = code; return "done"
def commands(file, *, context):
    try:
        context.call("cmd.run", f"echo $$ > {file}; sleep 60", python_shell=True)
    finally:
        with open(file + ".ended", "w") as out:
            try:
                out.write(str(context.call("test.ping")))
            except BaseException as error:
                out.write(type(error).__name__)
def calls_missing(*, context): return context.call("no.such")
'''


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    (tmp_path / "mods").mkdir()
    (tmp_path / "mods" / "own.py").write_text(MODULE)
    return Caller(tmp_path, tmp_path / "mods")


def test_a_result_comes_with_success_and_retcode_zero(caller: Caller) -> None:
    assert caller.job("test.ping") == (True, 0, True, None)


def test_a_missing_function_is_named(caller: Caller) -> None:
    assert caller.job("test.pong") == ("'test.pong' is not available.", 1, False, "nested")
    assert caller.job("no.such") == ("'no.such' is not available.", 1, False, "nested")


def test_a_mistyped_function_gets_the_documentation_of_similar_ones(caller: Caller) -> None:
    ret, retcode, success, out = caller.job("test.pin")
    assert set(ret) == {"test.ping", "test.pin"}
    assert ret["test.pin"] == "'test.pin' is not available."
    assert "answers" in ret["test.ping"]
    assert (retcode, success, out) == (1, False, "nested")


@pytest.mark.parametrize(
    ("fun", "text"),
    [
        ("own.fails", "ERROR: the disk is full"),
        ("own.lacks", "Command required for 'own.lacks' not found: frobnicate"),
        ("own.refuses", "ERROR executing 'own.refuses': not like this"),
        ("own.calls_missing", "ERROR: 'no.such' is not available."),
    ],
)
def test_foreseen_failures_are_one_line(caller: Caller, fun: str, text: str) -> None:
    assert caller.job(fun) == (text, 1, False, "nested")


def test_an_unforeseen_failure_is_a_traceback_that_begins_in_the_function(caller: Caller) -> None:
    ret = caller.job("own.breaks").ret
    assert ret.startswith(
        "The minion function caused an exception: Traceback (most recent call last):\n  File "
    )
    assert ret.endswith("KeyError: 'key'\n")
    assert ret.count("  File ") == 1


def test_wrong_arguments_are_answered_with_the_documentation(caller: Caller) -> None:
    ret = caller.job("own.adds", 1).ret
    assert ret == (
        "Passed invalid arguments to own.adds: adds() missing 1 required positional argument: 'b'\n"
        "Add two numbers."
    )


def test_the_injected_context_is_not_counted_among_the_arguments(caller: Caller) -> None:
    ret = caller.job("test.retcode", 1, 2).ret
    assert "retcode() takes from 0 to 1 positional arguments but 2 were given" in ret
    ret = caller.job("config.items", 1).ret
    assert "items() takes 0 positional arguments but 1 was given" in ret


def test_unknown_keywords_are_an_error(caller: Caller) -> None:
    assert caller.job("test.ping", "a=b").ret == (
        "ERROR executing 'test.ping': The following keyword arguments are not valid: a=b"
    )


def test_a_function_that_exits_does_not_end_the_minion(caller: Caller) -> None:
    outcome = caller.job("own.leaves")
    assert "SystemExit: 7" in outcome.ret
    assert outcome.retcode == 1


def test_a_function_may_set_the_exit_code(caller: Caller) -> None:
    assert caller.job("own.sets", 42) == ("done", 42, False, None)
    assert caller.job("own.sets", 0) == ("done", 0, True, None)
    assert caller.job("own.sets", "odd").retcode == 1


def test_a_dict_may_tell_of_its_own_failure(caller: Caller) -> None:
    assert caller.job("own.state", False).retcode == 1
    assert caller.job("own.state", True).retcode == 0
    assert caller.job("test.echo", {"success": False}).success is False


def test_the_exit_code_of_one_job_is_not_that_of_the_next(caller: Caller) -> None:
    assert caller.job("cmd.run", "exit 3").retcode == 3
    assert caller.job("test.ping").retcode == 0


def test_several_functions_are_keyed_by_name(caller: Caller) -> None:
    outcome = caller.load(
        {"fun": ["test.echo", "own.fails", "no.such"], "arg": [["hi"], [], ["x"]]}
    )
    assert outcome.ret == {
        "test.echo": "hi",
        "own.fails": "ERROR: the disk is full",
        "no.such": "'no.such' is not available.",
    }
    assert outcome.retcode == {"test.echo": 0, "own.fails": 1, "no.such": 1}
    assert outcome.success == {"test.echo": True, "own.fails": False, "no.such": False}


def test_several_functions_are_lists_if_the_minion_keeps_their_order(tmp_path: Path) -> None:
    caller = Caller(tmp_path, multifunc_ordered=True)
    outcome = caller.load({"fun": ["test.echo", "test.echo"], "arg": [["a"], ["b"]]})
    assert outcome == (["a", "b"], [0, 0], [True, True], None)


def test_a_function_that_wants_to_know_gets_the_fields_of_its_job(caller: Caller) -> None:
    kwargs = caller.call("test.kwarg", "a=1")
    assert kwargs["a"] == 1
    assert kwargs["__pub_jid"] == JID
    assert kwargs["__pub_fun"] == "test.kwarg"


@pytest.mark.parametrize("source", ["pillar", "grains"])
def test_a_blackout_allows_only_what_it_names(caller: Caller, source: str) -> None:
    facts: Any = getattr(caller.context, source)
    facts["minion_blackout"] = True
    ret = caller.job("test.ping").ret
    assert ret.startswith("ERROR executing 'test.ping': Minion in blackout mode.")
    assert caller.job("saltutil.refresh_pillar").success
    facts["minion_blackout_whitelist"] = ["test.ping"]
    assert caller.job("test.ping").success


def test_blocking_functions_run_in_a_native_thread_beside_the_hub(caller: Caller) -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            gevent.sleep(0.01)
            ticks += 1

    ticker = gevent.spawn(tick)
    assert caller.call("own.waits", 1) is False
    ticker.kill()
    assert ticks > 5


def test_many_blocking_functions_do_not_wait_for_each_other(caller: Caller) -> None:
    jobs = [gevent.spawn(caller.call, "own.meets") for _ in range(20)]
    gevent.joinall(jobs, raise_error=True)
    assert all(job.value is True for job in jobs)  # none went on before all had begun


def test_the_context_works_from_a_native_thread(caller: Caller) -> None:
    assert caller.call("own.asks") == "Debian"
    assert caller.call("own.tells") is True
    assert caller.ear.fired == [("master", "tag", {"a": 1})]


def test_a_greenlet_that_is_killed_runs_no_further(caller: Caller) -> None:
    job = gevent.spawn(caller.job, "test.sleep", 60)
    gevent.sleep(0.05)
    job.kill()
    assert isinstance(job.value, gevent.GreenletExit)


def test_a_killed_job_ends_the_commands_of_its_thread_and_then_the_thread(
    caller: Caller, tmp_path: Path
) -> None:
    file, ended = tmp_path / "pid", tmp_path / "pid.ended"
    job = gevent.spawn(caller.job, "own.commands", str(file))
    with gevent.Timeout(60):
        while not (file.exists() and file.read_text()):
            gevent.sleep(0.01)
        job.kill()
        while Path(f"/proc/{file.read_text().strip()}").exists():
            gevent.sleep(0.01)
        while not (ended.exists() and ended.read_text()):
            gevent.sleep(0.01)
    assert ended.read_text() == "GreenletExit"


def test_a_module_may_name_the_outputters_of_its_functions(caller: Caller) -> None:
    assert caller.job("grains.items").out == "nested"
    assert caller.job("grains.get", "os").out is None


def test_results_that_the_wire_cannot_carry_become_text(caller: Caller) -> None:
    ret = unpack(pack(caller.call("own.odd")))
    assert ret == {"when": "<class 'object'>", "('a', 1)": [1, 2], "bytes": "x", "gen": ret["gen"]}
    assert ret["gen"].startswith("<generator object")


def test_a_generator_gives_one_dict_or_a_list(caller: Caller) -> None:
    assert caller.call("own.several") == {"a": 1, "b": 2}
    assert caller.call("own.listed") == [1, 2]


def test_a_container_inside_itself_is_named(caller: Caller) -> None:
    assert caller.call("own.loop")[0].startswith("<Recursion on list with id=")


def test_what_is_nested_too_deep_for_a_message_is_cut() -> None:
    nested: list[Any] = []
    for _ in range(1000):
        nested = [nested]
    assert "nested more than" in repr(unpack(pack(sendable(nested))))


def test_dates_and_plain_values_stay_what_they_are() -> None:
    now = datetime.now(UTC)
    value = {"now": now, "n": None, "f": 1.5, "t": (1, 2), "keys": {"a": 1}.keys(), 3: True}
    assert sendable(value) == {
        "now": now,
        "n": None,
        "f": 1.5,
        "t": [1, 2],
        "keys": ["a"],
        3: True,
    }


def test_something_that_has_no_text_form_harms_nothing() -> None:
    class Rude:
        def __str__(self) -> str:
            raise ValueError

    assert sendable(Rude()) == "<Rude without a text form>"


def test_functions_are_found_while_native_threads_look_for_others(caller: Caller) -> None:
    loader = caller.context.loader
    threads = [threading.Thread(target=loader.names) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loader.function("own.adds") is not None
