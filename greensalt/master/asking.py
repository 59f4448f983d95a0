"""The master asks minions itself, on behalf of a run: publish, wait for the returns.

Of those that have not returned in time only those that still work on it (master/liveness.py) are
waited for any longer. Source: docs/protocol.md 8.4, 12.7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from greensalt.master.jobs import Jobs
from greensalt.master.liveness import FIND_JOB, Liveness
from greensalt.store.jobs import Return
from greensalt.wire.arguments import KWARG_MARK


class Answers(NamedTuple):
    """What minions have returned. Without any minion `jid` is "" and `error` says why."""

    jid: str
    minions: list[str]
    returns: dict[str, Return]
    error: str = ""

    @property
    def results(self) -> dict[str, Any]:
        """{minion: result} of those that have returned."""
        return {minion_id: row.ret for minion_id, row in self.returns.items()}

    @property
    def silent(self) -> list[str]:
        """Those that have not."""
        return sorted(set(self.minions) - self.returns.keys())


class Asking:
    """Asks minions. `user` of a question has the right to: it is checked nowhere here."""

    def __init__(self, jobs: Jobs, liveness: Liveness, timeout_s: float, gather_s: float) -> None:
        self._jobs = jobs
        self._liveness = liveness
        self._timeout_s = timeout_s
        self._gather_s = gather_s

    def ask(
        self,
        user: str,
        tgt: Any,
        fun: str,
        arg: Sequence[Any] = (),
        *,
        tgt_type: str = "glob",
        kwarg: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        gather_s: float | None = None,
        wait: Callable[[], bool] = lambda: True,
    ) -> Answers:
        """Run a function on minions and wait for their returns. Raises TargetError.

        `wait` is asked in each round whether those that still work are waited for.
        """
        args = [*arg, {**kwarg, KWARG_MARK: True}] if kwarg else list(arg)
        load = {"tgt": tgt, "tgt_type": tgt_type, "fun": fun, "arg": args, "ret": "", "kwargs": {}}
        published = self._jobs.publish_for(user, load)
        answers = Answers(published.jid, list(published.minions), {}, published.error)
        pending = set(answers.minions)
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        gather_s = self._gather_s if gather_s is None else gather_s
        while pending:
            for row in self._jobs.await_returns(answers.jid, pending, timeout_s):
                answers.returns[row.id] = row
                pending.discard(row.id)
            if pending and (fun == FIND_JOB or not wait()):
                break
            if pending:
                pending = self._liveness.running(answers.jid, pending, gather_s)
        # Those that were done between the two questions.
        silent = answers.silent
        for row in self._jobs.await_returns(answers.jid, silent, 0):
            answers.returns[row.id] = row
        return answers
