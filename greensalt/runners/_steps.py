"""The steps of an orchestration: what an SLS file may say, and in which order they run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from greensalt.errors import CommandExecutionError

KINDS: Final = ("state", "function", "runner", "wheel")
REQUISITES: Final = ("require", "watch", "onchanges", "onfail")
OF_THE_STEP: Final = frozenset({*REQUISITES, "name", "failhard", "order"})
OF_THE_TARGET: Final = frozenset(
    {"tgt", "tgt_type", "timeout", "ret", "expect_minions", "fail_minions", "allow_fail"}
)
OF_STATES: Final = frozenset(
    {"pillar", "saltenv", "pillarenv", "concurrent", "test", "exclude", "queue"}
)
OPTIONS: Final = {
    "state": OF_THE_STEP | OF_THE_TARGET | OF_STATES | {"sls", "highstate"},
    "function": OF_THE_STEP | OF_THE_TARGET | {"arg", "kwarg"},
}
"""What a step may say, where the rest is not for a function."""
ELSEWHERE: Final = frozenset(
    {
        *(f"{each}_in" for each in (*REQUISITES, "prereq", "listen", "use")),
        *(f"{each}_any" for each in REQUISITES),
        *("prereq", "listen", "use", "unless", "onlyif", "creates", "check_cmd", "retry"),
        *("parallel", "fire_event", "reload_modules", "runas", "umask", "aggregate"),
    }
)
"""What any state of Salt may say, and no step of an orchestration here."""
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


def steps_of(sls: str, data: Mapping[str, Any]) -> list[Step]:
    """The steps of one rendered file; raises CommandExecutionError for what is none."""
    found = []
    for step_id, body in data.items():
        if not isinstance(body, Mapping):
            raise CommandExecutionError(f"ID {step_id} in SLS {sls} is not a dictionary")
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
    unknown = sorted(
        options.keys() & ELSEWHERE or options.keys() - OPTIONS.get(kind, options.keys())
    )
    if unknown:
        words = ", ".join(unknown)
        raise CommandExecutionError(f"'{step_id}' in SLS '{sls}': {words}: not supported")
    requisites = {
        requisite: [_required(each) for each in as_list(options.get(requisite))]
        for requisite in REQUISITES
        if options.get(requisite)
    }
    return Step(step_id, sls, kind, options, requisites)


def _required(reference: Any) -> str:
    """The id that `salt: some_id`, or the bare id, refers to."""
    if isinstance(reference, Mapping) and len(reference) == 1:
        return str(next(iter(reference.values())))
    return str(reference)


def as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def in_order(steps: list[Step]) -> list[Step]:
    """As written, but none before those that it refers to. Raises CommandExecutionError."""
    known = {each for step in steps for each in (step.id, step.name)}
    for step in steps:
        for requisite in step.requisites:
            for given in as_list(step.options[requisite]):
                if _required(given) not in known:
                    kind = next(iter(given)) if isinstance(given, Mapping) else "id"
                    raise CommandExecutionError(
                        "Referenced state does not exist for requisite "
                        f"[{requisite}: ({kind}: {_required(given)})] in state [{step.name}] "
                        f"in SLS [{step.sls}]"
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
