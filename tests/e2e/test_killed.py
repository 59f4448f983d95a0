"""kill -9, again and again, of the master and its minions: no job is lost and none runs twice.

`python -m tests._killing 1000` does the same for longer.
"""

from __future__ import annotations

from tests._killing import battle


def test_jobs_survive_the_killing_of_master_and_minions() -> None:
    with battle(minions=2, seed=2) as fight:
        fight.fight(jobs=40)
        books = fight.settle()
    assert books.counts["done"] > 0
    assert (books.lost, books.twice, books.untrue, books.undelivered) == ([], [], [], [])
