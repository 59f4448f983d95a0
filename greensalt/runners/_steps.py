"""The steps of an orchestration: what each does, and in which order they run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from greensalt.errors import CommandExecutionError, GreensaltError
from greensalt.master.asking import Answers
from greensalt.master.context import MasterContext
from greensalt.store.jobs import Return

KINDS: Final = ("state", "function", "runner", "wheel")
REQUISITES: Final = ("require", "watch", "onchanges", "onfail")
OF_THE_STEP: Final = frozenset({*REQUISITES, "name", "failhard", "order"})
OF_THE_TARGET: Final = frozenset({"tgt", "tgt_type", "timeout", "ret", "expect_minions"})
MOST_STEPS: Final = 1000


class Step(NamedTuple):
    """One step as it is written. `requisites` are ids, by the kind of requisite."""

    id: str
    sls: str
    kind: str
    options: dict[str, Any]
    requisites: dict[str, list[str]]

    @property
    def name(self) -> str:
        return str(self.options.get("name", self.id))

    @property
    def key(self) -> str:
        """The key under which results of states are kept."""
        return f"salt_|-{self.id}_|-{self.name}_|-{self.kind}"


class Done(NamedTuple):
    """How a step ended."""

    result: bool
    comment: str
    changes: dict[str, Any]


def steps_of(sls: str, data: Mapping[str, Any]) -> list[Step]:
    """The steps of one rendered file; raises CommandExecutionError for what is none."""
    found = []
    for step_id, body in data.items():
        if not isinstance(body, Mapping):
            raise CommandExecutionError(f"ID '{step_id}' in SLS '{sls}' is not a dictionary")
        for function, given in body.items():
            found.append(_step(str(step_id), sls, str(function), given))
    if len(found) > MOST_STEPS:
        raise CommandExecutionError(f"SLS '{sls}' has more than {MOST_STEPS} steps")
    return found


def _step(step_id: str, sls: str, function: str, given: Any) -> Step:
    module, _, kind = function.partition(".")
    items = list(given) if isinstance(given, list) else [given] if given else []
    if not kind and items and isinstance(items[0], str):
        kind = items.pop(0)
    if module != "salt" or kind not in KINDS:
        known = ", ".join(f"salt.{each}" for each in KINDS)
        raise CommandExecutionError(f"'{function}' of '{step_id}' in SLS '{sls}': only {known}")
    options: dict[str, Any] = {}
    for item in items:
        if not isinstance(item, Mapping):
            raise CommandExecutionError(f"'{step_id}' in SLS '{sls}': {item!r} is no option")
        options.update(item)
    requisites = {
        requisite: [_required(each) for each in _as_list(options.get(requisite))]
        for requisite in REQUISITES
        if options.get(requisite)
    }
    return Step(step_id, sls, kind, options, requisites)


def _required(reference: Any) -> str:
    """The id that `salt: some_id`, or the bare id, refers to."""
    if isinstance(reference, Mapping) and len(reference) == 1:
        return str(next(iter(reference.values())))
    return str(reference)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def in_order(steps: list[Step]) -> list[Step]:
    """As written, but none before those that it refers to. Raises CommandExecutionError."""
    known = {each for step in steps for each in (step.id, step.name)}
    for step in steps:
        for each in _references(step):
            if each not in known:
                raise CommandExecutionError(
                    f"'{step.id}' in SLS '{step.sls}' refers to '{each}', which is not there"
                )
    ready, waiting = [], list(steps)
    while waiting:
        held = {each for step in waiting for each in (step.id, step.name)}
        following = next((step for step in waiting if not held & _references(step)), None)
        if following is None:
            circle = ", ".join(step.id for step in waiting)
            raise CommandExecutionError(f"A recursive requisite was found: {circle}")
        waiting.remove(following)
        ready.append(following)
    return ready


def _references(step: Step) -> set[str]:
    return {each for ids in step.requisites.values() for each in ids}


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
                "result": done.result,
                "comment": done.comment,
                "__id__": step.id,
                "__sls__": step.sls,
                "__run_num__": number,
                "start_time": f"{begun:%H:%M:%S.%f}",
                "duration": round((time.monotonic() - clock) * 1e3, 3),
            }
            if not done.result and step.options.get("failhard"):
                return

    def _hindered(self, step: Step) -> Done | None:
        """The end of a step that must not run, by its requisites."""
        failed = [
            each
            for kind in ("require", "watch", "onchanges")
            for each in step.requisites.get(kind, ())
            if not self._done[each].result
        ]
        if failed:
            text = ", ".join(f"{step.sls}.{each}" for each in failed)
            return Done(False, f"One or more requisite failed: {text}", {})
        onfail = step.requisites.get("onfail", ())
        if onfail and all(self._done[each].result for each in onfail):
            return Done(True, "State was not run because onfail req did not change", {})
        onchanges = step.requisites.get("onchanges", ())
        if onchanges and not any(self._done[each].changes for each in onchanges):
            return Done(True, "State was not run because none of the onchanges reqs changed", {})
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
            return Done(False, str(error), {})

    def _part(self, step: Step) -> Done:
        """A runner or a wheel function."""
        given = dict(step.options)
        arg = _as_list(given.pop("arg", None))
        kwarg = given.pop("kwarg", None) or {}
        named = {key: value for key, value in given.items() if key not in OF_THE_STEP}
        outcome = self._context.runs.part(
            self._context, step.kind, step.name, arg, {**named, **kwarg}
        )
        word = "Runner" if step.kind == "runner" else "Wheel"
        said = "executed" if outcome.success else "failed"
        changes = {"return": outcome.ret}
        return Done(outcome.success, f"{word} function '{step.name}' {said}.", changes)

    def _function(self, step: Step) -> Done:
        options = step.options
        answers = self._ask(
            step, step.name, _as_list(options.get("arg")), options.get("kwarg") or {}
        )
        failed = [each for each, row in answers.returns.items() if row.retcode or not row.success]
        changes = {"ret": answers.results} if answers.returns else {}
        return self._judged(answers, failed, changes, f"Function {step.name} ran on")

    def _state(self, step: Step) -> Done:
        options = step.options
        kwarg: dict[str, Any] = {
            key: options[key]
            for key in ("pillar", "saltenv", "pillarenv", "concurrent", "test", "exclude", "queue")
            if key in options
        }
        if self._test:
            kwarg["test"] = True
        fun, arg = "state.highstate", []
        if options.get("sls"):
            fun, arg = "state.sls", [",".join(map(str, _as_list(options["sls"])))]
        elif not options.get("highstate"):
            return Done(False, "No highstate or sls specified, no execution made", {})
        answers = self._ask(step, fun, arg, kwarg)
        failed = [each for each, row in answers.returns.items() if not _is_applied(row)]
        changed = any(_has_changes(row.ret) for row in answers.returns.values())
        changes = {"out": "highstate", "ret": answers.results} if changed or failed else {}
        return self._judged(answers, failed, changes, "States ran successfully. Updating")

    def _ask(self, step: Step, fun: str, arg: list[Any], kwarg: Mapping[str, Any]) -> Answers:
        options = step.options
        if not options.get("tgt"):
            raise CommandExecutionError("No target specified, no execution made")
        answers = self._context.ask(
            options["tgt"],
            fun,
            arg,
            tgt_type=str(options.get("tgt_type", "glob")),
            kwarg=kwarg,
            timeout_s=options.get("timeout"),
        )
        if not answers.jid:
            raise CommandExecutionError(answers.error or "No minions matched the target")
        return answers

    @staticmethod
    def _judged(answers: Answers, failed: list[str], changes: dict[str, Any], good: str) -> Done:
        comments = []
        if failed:
            comments.append(f"Run failed on minions: {', '.join(sorted(failed))}")
        if answers.silent:
            comments.append(f"No return from minions: {', '.join(answers.silent)}")
        if not comments:
            return Done(True, f"{good} {', '.join(sorted(answers.returns))}.", changes)
        return Done(False, "\n".join(comments), changes)


def _is_applied(row: Return) -> bool:
    """Whether a minion's states went well: a list is of reasons why none was even tried."""
    if not isinstance(row.ret, dict) or row.retcode:
        return False
    return all(state.get("result") is not False for state in _states(row.ret))


def _has_changes(ret: Any) -> bool:
    return isinstance(ret, dict) and any(state.get("changes") for state in _states(ret))


def _states(ret: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [state for state in ret.values() if isinstance(state, Mapping)]
