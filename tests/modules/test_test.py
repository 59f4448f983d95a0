from __future__ import annotations

import pytest

import greensalt
from tests._calls import JID, Caller


def test_ping_and_its_like_answer(minion: Caller) -> None:
    assert minion.call("test.ping") is True
    assert minion.call("test.true") is True
    assert minion.call("test.false") is False
    assert minion.call("test.version") == greensalt.__version__
    assert minion.call("test.sleep", 0) is True
    assert minion.call("test.rand_sleep", 0) is True


@pytest.mark.parametrize("value", ["text", 3, 1.5, None, True, [1, [2]], {"a": {"b": []}}])
def test_echo_gives_back_what_it_got(minion: Caller, value: object) -> None:
    assert minion.call("test.echo", value) == value
    assert minion.call("test.outputter", value) == value


def test_arguments_come_back_with_what_the_job_adds(minion: Caller) -> None:
    ret = minion.call("test.arg", 1, "two", "c=[1]", d=2)
    assert ret["args"] == [1, "two"]
    assert ret["kwargs"]["c"] == [1]
    assert ret["kwargs"]["d"] == 2
    assert ret["kwargs"]["__pub_jid"] == JID
    assert minion.call("test.arg_clean", 1, a=2) == {"args": [1], "kwargs": {"a": 2}}
    assert minion.call("test.arg_type", 1, "x")["args"] == ["<class 'int'>", "<class 'str'>"]
    assert minion.call("test.arg_repr", 1, "x")["args"] == "(1, 'x')"


def test_numbers_are_reckoned_right(minion: Caller) -> None:
    assert [minion.call("test.fib", n)[0] for n in range(8)] == [0, 1, 1, 2, 3, 5, 8, 13]
    assert minion.call("test.collatz", 6)[0] == [6, 3, 10, 5, 16, 8, 4, 2]
    assert "Negative number" in minion.job("test.fib", -1).ret
    assert "above 0" in minion.job("test.collatz", 0).ret


def test_exit_codes_and_exceptions_are_made_to_order(minion: Caller) -> None:
    assert minion.job("test.retcode") == (True, 42, False, None)
    assert minion.job("test.retcode", 7).retcode == 7
    assert minion.job("test.exception", "Oh noes!").ret.endswith("Exception: Oh noes!\n")
    assert "ValueError: no" in minion.job("test.raise_exception", "ValueError", "no").ret
    name = "greensalt.errors.CommandExecutionError"
    assert minion.job("test.raise_exception", name, "no").ret == "ERROR: no"
    assert minion.job("test.raise_exception", "SystemExit").ret is False
    assert minion.job("test.assertion", False).ret.endswith("AssertionError\n")
    assert minion.job("test.assertion", True).ret is None


def test_other_functions_can_be_called_from_these(minion: Caller) -> None:
    assert minion.call("test.cross_test", "test.echo", ["x"]) == "x"
    assert minion.call("test.attr_call")["os"] == "Debian"
    assert minion.call("test.try", module="test.exception") is None
    assert minion.call("test.try", module="test.exception", return_try_exception=True) == (
        "Test Exception"
    )
    assert minion.call("test.try", module="test.ping") is True


def test_the_modules_can_be_looked_at(minion: Caller) -> None:
    assert minion.call("test.provider", "cmd") == "cmd"
    assert minion.call("test.provider", "no-such") == ""
    assert minion.call("test.providers")["test"] == "test"
    report = minion.call("test.module_report")
    assert "test.ping" in report["functions"]
    assert "test" in report["modules"]
    assert "File" in minion.call("test.stack")


def test_settings_and_versions_are_told(minion: Caller) -> None:
    assert minion.call("test.get_opts")["id"] == "mouse"
    assert minion.call("test.opts_pkg")["grains"]["os"] == "Debian"
    assert minion.call("test.conf_test") == ""
    report = minion.call("test.versions_report")
    assert minion.call("test.versions") == report
    assert f"Greensalt: {greensalt.__version__}" in report
    assert "gevent" in report


def test_random_texts_differ(minion: Caller) -> None:
    first, second = minion.call("test.rand_str", 20), minion.call("test.random_hash", 20)
    assert len(first) == len(second) == 20
    assert first != second
    assert len(minion.call("test.random_hash", hash_type="sha256")) == 64


def test_what_moved_or_cannot_work_says_so(minion: Caller) -> None:
    assert minion.call("test.tty", "x") == "ERROR: This function has been moved to cmd.tty"
    assert minion.job("test.missing_func").ret.startswith("ERROR: ")
