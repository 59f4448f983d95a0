"""Whom a job is for: targets as one language for the master and the minion.

matches     the minion's decision: is it me?
expected    the master's expectation: who should answer?
Target      a compiled target, for asking more than once
parse       the tree of a compound expression, or a TargetError that says what is wrong
expand_nodegroup, expand_compound
            compound expressions without the names that only the master's configuration knows
"""

from __future__ import annotations

from greensalt.target.expression import parse
from greensalt.target.nodegroups import Nodegroups, expand_compound, expand_nodegroup
from greensalt.target.resolve import Expectation, Facts, Roster, Target, expected, matches

__all__ = [
    "Expectation",
    "Facts",
    "Nodegroups",
    "Roster",
    "Target",
    "expand_compound",
    "expand_nodegroup",
    "expected",
    "matches",
    "parse",
]
