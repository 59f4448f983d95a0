"""Who is meant: `matches` on the minion, which decides, and `expected` on the master.

The master asks the same questions of what it knows: the ids of the accepted keys, and the grains
and pillar that minions have sent. Its answer is whom to wait for; whether a job runs is the
minion's own decision. Two things differ (spec 5.4): a glob of
the master may be several, separated by commas, and a minion that the master has no data of is in
no answer that needs them (but is in the answer to their `not`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from greensalt.errors import TargetError
from greensalt.target.expression import And, Node, Not, Term, parse, split
from greensalt.target.lookup import DEFAULT_DELIMITER
from greensalt.target.matchers import Check, compile_check
from greensalt.target.nodegroups import Nodegroups, expand_words

log = logging.getLogger(__name__)

NO_NODEGROUPS: Final[Nodegroups] = MappingProxyType({})

# With these instead, a minion can't find out another one's pillar by guessing patterns.
_EXACT: Final = {"pillar": "pillar_exact", "pillar_pcre": "pillar_exact"}


class Facts(Protocol):
    """What a minion knows of itself."""

    @property
    def id(self) -> str:
        """The minion's id."""

    @property
    def grains(self) -> Mapping[str, Any]:
        """Its grains."""

    @property
    def pillar(self) -> Mapping[str, Any]:
        """Its pillar."""


class Roster(Protocol):
    """What a master knows of its minions."""

    def ids(self) -> Collection[str]:
        """The ids of all accepted minions."""

    def grains(self, minion_id: str, /) -> Mapping[str, Any] | None:
        """The grains that a minion has sent, None if it has not."""

    def pillar(self, minion_id: str, /) -> Mapping[str, Any] | None:
        """The pillar that was last made for a minion, None if there is none."""


class Expectation(NamedTuple):
    """Whom a target means, as far as the master can tell.

    minions: sorted ids. missing: ids that the target names but no accepted minion has.
    """

    minions: list[str]
    missing: list[str]


class _View(NamedTuple):
    """A roster, and whether minions that it has no data of match here."""

    roster: Roster
    widest: bool
    unknown: bool

    def negated(self) -> _View:
        # Who counts as matched below a `not` is left out above it.
        return self._replace(unknown=self.widest and not self.unknown)


class Target:
    """A compiled target, to be asked as often as needed.

    Raises TargetError, which says what is wrong with the target. With `exact_pillar`, pillar is
    compared by equality in place of patterns: the rule for requests that minions make (spec 6.4).
    """

    __slots__ = ("_checks", "_tree")

    def __init__(
        self,
        tgt: object,
        tgt_type: str,
        *,
        delimiter: str = DEFAULT_DELIMITER,
        nodegroups: Nodegroups = NO_NODEGROUPS,
        exact_pillar: bool = False,
    ) -> None:
        self._checks: dict[Term, Check] = {}
        exact = _EXACT if exact_pillar else {}
        if tgt_type in ("compound", "nodegroup"):
            self._tree = parse(_compound_words(tgt, tgt_type, nodegroups))
            for term in _terms(self._tree):
                kind = exact.get(term.kind, term.kind)
                if term not in self._checks:
                    self._checks[term] = compile_check(
                        kind, term.pattern, term.delimiter or DEFAULT_DELIMITER
                    )
        else:
            only = Term(tgt_type, "")
            self._tree = only
            self._checks[only] = compile_check(exact.get(tgt_type, tgt_type), tgt, delimiter)

    def matches(self, facts: Facts) -> bool:
        """Whether the target means the minion with these facts."""
        return self._holds(self._tree, facts)

    def _holds(self, tree: Node, facts: Facts) -> bool:
        match tree:
            case Term():
                check = self._checks[tree]
                return check.holds(getattr(facts, check.subject))
            case Not(operand):
                return not self._holds(operand, facts)
            case And(operands):
                return all(self._holds(operand, facts) for operand in operands)
            case _:
                return any(self._holds(operand, facts) for operand in tree.operands)

    def select(self, roster: Roster, *, widest: bool = False) -> set[str]:
        """The ids of the roster that the target means.

        A minion that the master has no data of matches no term that needs them. With `widest` it
        is taken whenever it could be meant: nobody else can match.
        """
        return self._selected(self._tree, set(roster.ids()), _View(roster, widest, widest))

    def _selected(self, tree: Node, among: set[str], view: _View) -> set[str]:
        """Those `among` the ids that the tree means; data are fetched for as few as possible."""
        match tree:
            case Term():
                return _filtered(self._checks[tree], among, view)
            case Not(operand):
                return among - self._selected(operand, among, view.negated())
            case And(operands):
                for operand in sorted(operands, key=self._needs_data):
                    among = self._selected(operand, among, view)
                return among
            case _:
                found: set[str] = set()
                for operand in sorted(tree.operands, key=self._needs_data):
                    found |= self._selected(operand, among - found, view)
                return found

    def _needs_data(self, tree: Node) -> bool:
        return any(self._checks[term].subject != "id" for term in _terms(tree))

    def names(self) -> list[str]:
        """The ids that the target names one by one, but for lists that a `not` stands before."""
        names: dict[str, None] = {}
        for term in _terms(self._tree, negated=False):
            names.update(dict.fromkeys(self._checks[term].names))
        return list(names)


def matches(
    tgt: object,
    tgt_type: object,
    facts: Facts,
    *,
    delimiter: object = DEFAULT_DELIMITER,
    nodegroups: Nodegroups = NO_NODEGROUPS,
) -> bool:
    """Whether a job for this target is for the minion with these facts.

    The target is taken as it came from the wire. One that can't be understood matches nobody.
    """
    if not isinstance(tgt_type, str) or not isinstance(delimiter, str):
        return False
    try:
        target = Target(tgt, tgt_type, delimiter=delimiter, nodegroups=nodegroups)
    except TargetError as error:
        log.error("target of type %s matches nothing: %s", tgt_type, error)
        return False
    return target.matches(facts)


def expected(
    tgt: object,
    tgt_type: str,
    roster: Roster,
    *,
    delimiter: str = DEFAULT_DELIMITER,
    nodegroups: Nodegroups = NO_NODEGROUPS,
    exact_pillar: bool = False,
    widest: bool = False,
) -> Expectation:
    """The minions of the roster that a target means, and the named ones that are not there.

    With `widest`, minions whose data the master lacks count wherever they could match: what a
    permission must be checked against. Raises TargetError for a target that can't be understood;
    stock Salt expects nobody then.
    """
    if tgt_type == "glob" and isinstance(tgt, str) and "," in tgt:
        return Expectation(sorted(_any_glob(tgt, roster)), [])
    target = Target(
        tgt, tgt_type, delimiter=delimiter, nodegroups=nodegroups, exact_pillar=exact_pillar
    )
    known = roster.ids()
    known = known if isinstance(known, set | frozenset | Mapping) else frozenset(known)
    missing = [name for name in target.names() if name not in known]
    return Expectation(sorted(target.select(roster, widest=widest)), missing)


def _any_glob(tgt: str, roster: Roster) -> set[str]:
    """The ids that one of several globs matches; the minions themselves know no commas."""
    globs = [Target(glob, "glob") for glob in dict.fromkeys(tgt.split(",")) if glob]
    if not globs:
        raise TargetError("the target is empty")
    return set().union(*[glob.select(roster) for glob in globs])


def _compound_words(tgt: object, tgt_type: str, nodegroups: Nodegroups) -> Sequence[str]:
    if tgt_type == "nodegroup":
        if not isinstance(tgt, str) or not tgt:
            raise TargetError("a nodegroup target is the name of a nodegroup")
        return expand_words([f"N@{tgt}"], nodegroups)
    if not isinstance(tgt, str | list | tuple):
        raise TargetError(f"a compound target is a text, not {type(tgt).__name__}")
    return expand_words(split(tgt), nodegroups)


def _terms(tree: Node, *, negated: bool = True) -> Iterator[Term]:
    """All terms of a tree, or without those that a `not` stands right before."""
    match tree:
        case Term():
            yield tree
        case Not(operand):
            if negated or not isinstance(operand, Term):
                yield from _terms(operand, negated=negated)
        case _:
            for operand in tree.operands:
                yield from _terms(operand, negated=negated)


def _filtered(check: Check, among: set[str], view: _View) -> set[str]:
    """Those of the ids that the check holds for."""
    if check.subject == "id":
        if check.names:
            return among.intersection(check.names)
        return set(filter(check.holds, among))
    fetch: Callable[[str], Mapping[str, Any] | None] = (
        view.roster.grains if check.subject == "grains" else view.roster.pillar
    )
    found: set[str] = set()
    for minion_id in among:
        data = fetch(minion_id)
        if view.unknown if data is None else check.holds(data):
            found.add(minion_id)
    return found
