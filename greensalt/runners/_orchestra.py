"""Plays the steps of an orchestration, and tells how each ended as a state does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from greensalt.errors import CommandExecutionError, GreensaltError
from greensalt.master.asking import Answers
from greensalt.master.context import MasterContext
from greensalt.runners._steps import OF_STATES, OF_THE_STEP, Step, as_list, in_order
from greensalt.store.jobs import Return


class Done(NamedTuple):
    """How a step ended: `result` is None if it would have changed something, in a test."""

    result: bool | None
    comment: str
    changes: dict[str, Any] = {}
    jid: str = ""
    ran: bool = True


class Orchestra:
    """Runs steps one after the other and keeps their results in the form of states'."""

    def __init__(self, context: MasterContext, *, test: bool = False) -> None:
        self._context = context
        self._test = test
        self._done: dict[str, Done] = {}
        self.results: dict[str, dict[str, Any]] = {}

    def play(self, steps: list[Step]) -> None:
        """Run all steps; after a failure with `failhard` no other one."""
        for number, step in enumerate(in_order(steps)):
            begun, clock = datetime.now(), time.monotonic()  # noqa: DTZ005  # for people
            done = self._hindered(step) or self._run(step)
            self._done[step.id] = self._done[step.name] = done
            self.results[step.key] = {
                "name": step.name,
                "changes": done.changes,
                "comment": done.comment,
                "result": done.result,
                **({"__jid__": done.jid} if done.jid else {}),
                **({} if done.ran else {"__state_ran__": False}),
                "__sls__": step.sls,
                "__run_num__": number,
                "start_time": f"{begun:%H:%M:%S.%f}",
                "duration": round((time.monotonic() - clock) * 1e3, 3),
                "__id__": step.id,
            }
            if done.result is False and step.options.get("failhard"):
                return

    def _hindered(self, step: Step) -> Done | None:
        """The end of a step that must not run, by its requisites."""
        failed = [
            each
            for kind in ("require", "watch", "onchanges")
            for each in step.requisites.get(kind, ())
            if self._done[each].result is False
        ]
        if failed:
            text = ", ".join(f"{step.sls}.{each}" for each in failed)
            return Done(False, f"One or more requisite failed: {text}", ran=False)
        onfail = step.requisites.get("onfail", ())
        if onfail and all(self._done[each].result is not False for each in onfail):
            return Done(True, "State was not run because onfail req did not change", ran=False)
        onchanges = step.requisites.get("onchanges", ())
        if onchanges and not any(self._done[each].changes for each in onchanges):
            text = "State was not run because none of the onchanges reqs changed"
            return Done(True, text, ran=False)
        return None

    def _run(self, step: Step) -> Done:
        try:
            match step.kind:
                case "state":
                    return self._state(step)
                case "function":
                    return self._function(step)
            return self._part(step)
        except GreensaltError as error:
            return Done(False, str(error))

    def _part(self, step: Step) -> Done:
        """A runner or a wheel function."""
        word = "Runner" if step.kind == "runner" else "Wheel"
        if self._test:
            return Done(None, f"{word} function '{step.name}' would be executed.")
        given = dict(step.options)
        arg = as_list(given.pop("arg", None))
        kwarg = given.pop("kwarg", None) or {}
        named = {key: value for key, value in given.items() if key not in OF_THE_STEP}
        outcome = self._context.runs.part(
            self._context, step.kind, step.name, arg, {**named, **kwarg}
        )
        success = outcome.success and not (isinstance(outcome.ret, dict) and "Error" in outcome.ret)
        said = "executed" if success else "failed"
        text = f"{word} function '{step.name}' {said}."
        return Done(success, text, {"return": outcome.ret}, self._context.jid)

    def _function(self, step: Step) -> Done:
        name, options = step.name, step.options
        if self._test:
            target = _target(step)
            return Done(None, f"Function {name} would be executed on target {target}")
        answers = self._ask(step, name, as_list(options.get("arg")), options.get("kwarg") or {})
        found: dict[str, Any] = answers.results
        if options.get("expect_minions"):
            found.update(dict.fromkeys(answers.silent, False))
        if not found:
            return Done(False, "No minions responded", jid=answers.jid)
        forgiven = _forgiven(step)
        failed = [
            each
            for each, ret in found.items()
            if (ret is False and each not in forgiven)
            or (each in answers.returns and _has_failed(answers.returns[each]))
        ]
        said = f"Running function {name} failed on minions: {', '.join(sorted(failed))}"
        text = f"{said if failed else 'Function ran successfully.'} Function {name} ran on "
        return Done(not failed, f"{text}{', '.join(found)}.", {"ret": found}, answers.jid)

    def _state(self, step: Step) -> Done:
        options = step.options
        kwarg = {key: options[key] for key in OF_STATES if key in options}
        if self._test and kwarg.get("test") is None:
            kwarg["test"] = True
        fun, arg = "state.highstate", []
        if not options.get("highstate"):
            if not options.get("sls"):
                return Done(False, "No highstate or sls specified, no execution made")
            fun, arg = "state.sls", [",".join(map(str, as_list(options["sls"])))]
        answers = self._ask(step, fun, arg, kwarg)
        is_expected = options.get("expect_minions", True)
        if not answers.minions and is_expected:
            return Done(False, "No minions returned")
        silent = answers.silent if is_expected else []
        bad = [each for each, row in answers.returns.items() if not _is_applied(row)]
        changed = [each for each, row in answers.returns.items() if _has_changes(row.ret)]
        ret = {
            **{each: row for each, row in answers.results.items() if each in {*bad, *changed}},
            **dict.fromkeys(silent, False),
        }
        changes = {"out": "highstate", "ret": ret} if ret else {}
        forgiven = _forgiven(step)
        failed = sorted(each for each in {*bad, *silent} if each not in forgiven)
        if len(failed) > int(options.get("allow_fail") or 0):
            lines = [f"Run failed on minions: {', '.join(failed)}"]
            lines += filter(None, (_why(each, answers.returns.get(each)) for each in failed))
            return Done(False, "\n".join(lines), changes, answers.jid)
        same = [each for each in answers.returns if each not in ret]
        updating = f" Updating {', '.join(ret)}." if ret else ""
        idle = f" No changes made to {', '.join(same)}." if same else ""
        result = None if kwarg.get("test") and changes else True
        return Done(result, f"States ran successfully.{updating}{idle}", changes, answers.jid)

    def _ask(self, step: Step, fun: str, arg: list[Any], kwarg: Mapping[str, Any]) -> Answers:
        options = step.options
        return self._context.ask(
            _target(step),
            fun,
            arg,
            tgt_type=str(options.get("tgt_type", "glob")),
            kwarg=kwarg,
            timeout_s=options.get("timeout"),
        )


def _target(step: Step) -> Any:
    if not step.options.get("tgt"):
        raise CommandExecutionError(f"Missing parameter tgt for state salt.{step.kind}")
    return step.options["tgt"]


def _forgiven(step: Step) -> list[str]:
    """The minions that may fail."""
    given = step.options.get("fail_minions") or []
    return [each.strip() for each in given.split(",")] if isinstance(given, str) else list(given)


def _has_failed(row: Return) -> bool:
    return bool(row.retcode) or not row.success


def _why(minion_id: str, row: Return | None) -> str:
    """What states say of themselves need not be said again."""
    if row is None:
        return f"Minion {minion_id} did not return a state result."
    if isinstance(row.ret, dict):
        return ""
    if isinstance(row.ret, list):
        return f"Minion {minion_id} returned errors: {'; '.join(map(str, filter(None, row.ret)))}"
    return f"Minion {minion_id} returned {row.ret!r} instead of a state result."


def _is_applied(row: Return) -> bool:
    """Whether a minion's states went well: a list is of reasons why none was even tried."""
    if not isinstance(row.ret, dict) or row.retcode:
        return False
    return all(state.get("result") is not False for state in _states(row.ret))


def _has_changes(ret: Any) -> bool:
    return isinstance(ret, dict) and any(state.get("changes") for state in _states(ret))


def _states(ret: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [state for state in ret.values() if isinstance(state, Mapping)]
