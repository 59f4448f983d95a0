"""Runners and wheel functions: what the master itself does when it is asked to.

Each run has a jid and fires `salt/run/<jid>/new` and `/ret` (`salt/wheel/...`). Runs of runners are
jobs in the store, with the master as the one that returns, so that they can be followed and looked
up as all jobs can.

Source: docs/protocol.md 6.1, 7.2.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import gevent
from gevent.lock import BoundedSemaphore

from greensalt.errors import CommandExecutionError, SaltInvocationError, StoreError, Unstorable
from greensalt.functions.loader import Loader
from greensalt.green import Crew
from greensalt.master.context import MasterContext
from greensalt.master.runresult import RunOutcome, execute, failure
from greensalt.store.jobs import Job, Return
from greensalt.wire import tags
from greensalt.wire.arguments import KWARG_MARK
from greensalt.wire.jid import is_jid

log = logging.getLogger(__name__)

Kind = Literal["runner", "wheel"]

MOST_KNOWN: Final = 1000
"""Runs at work and waiting for their turn; what comes on top is refused."""
RECOVERED: Final = 1000
"""Of the newest jobs those that runs may have left unfinished are looked for, at a start."""
ENDED: Final = "This was ended before it was done."
STOPPED: Final = "The master was stopped while this was at work."


class Ended(gevent.GreenletExit):
    """Kills a run that somebody wants to end."""


class Run(NamedTuple):
    """A run that has begun. The events of it have the prefix `tag`."""

    jid: str
    tag: str


class RunResult(NamedTuple):
    """How a run ended."""

    jid: str
    ret: Any
    success: bool
    retcode: int


class _Task(NamedTuple):
    kind: Kind
    fun: str
    arg: Sequence[Any]
    kwarg: Mapping[str, Any]
    user: str
    eauth: str
    jid: str
    begun: float

    @property
    def full_name(self) -> str:
        return f"{self.kind}.{self.fun}"

    @property
    def tag(self) -> str:
        return tags.tag("run" if self.kind == "runner" else "wheel", self.jid)

    @property
    def fun_args(self) -> list[Any]:
        return [*self.arg, dict(self.kwarg)] if self.kwarg else list(self.arg)

    @property
    def event(self) -> dict[str, Any]:
        """What both events say."""
        return {
            "fun": self.full_name,
            "jid": self.jid,
            "user": self.user,
            "fun_args": self.fun_args,
        }


class Runs:
    """Starts runs and keeps those at work.

    `user` asks, whom the back end `eauth` knows ("" for a local one).

    At most `config.runners_at_once` work at the same time; others wait for their turn. Who calls is
    authorised already. `finished` and `failed` count runs.
    """

    def __init__(self, context: MasterContext) -> None:
        self._context = context
        context.runs = self
        config = context.config
        extensions = Path(config.extension_modules)
        self.loaders: dict[str, Loader] = {
            "runner": Loader(
                (*map(Path, config.runner_dirs), extensions / "runners"),
                package="greensalt.runners",
            ),
            "wheel": Loader(
                (*map(Path, config.wheel_dirs), extensions / "wheel"), package="greensalt.wheels"
            ),
        }
        self._lane = BoundedSemaphore(config.runners_at_once)
        self._known: dict[str, _Task] = {}
        self._crew = Crew("runs")
        self._greenlets: dict[str, gevent.Greenlet[..., Any]] = {}
        self.finished = self.failed = 0

    def start(
        self,
        kind: Kind,
        fun: str,
        arg: Sequence[Any] = (),
        kwarg: Mapping[str, Any] | None = None,
        user: str = "",
        eauth: str = "",
        jid: str = "",
    ) -> Run:
        """Begin a run and leave it to itself. Raises CommandExecutionError when there are too many.

        With a runner the job is in the store before this comes back. A `jid` that the caller made
        must not be that of another job (SaltInvocationError).
        """
        if jid and (not is_jid(jid) or self._context.store.job(jid) is not None):
            raise SaltInvocationError(f"{jid!r:.80} is not a job id, or that of another job")
        task = self._begin(kind, fun, arg, kwarg or {}, (user, eauth), jid)
        greenlet = self._crew.spawn(task.full_name, self._run, task)
        self._greenlets[task.jid] = greenlet
        greenlet.rawlink(lambda _: self._greenlets.pop(task.jid, None))
        return Run(task.jid, task.tag)

    def call(
        self,
        kind: Kind,
        fun: str,
        arg: Sequence[Any] = (),
        kwarg: Mapping[str, Any] | None = None,
        user: str = "",
        eauth: str = "",
    ) -> RunResult:
        """Run something to its end. Raises CommandExecutionError when there are too many."""
        task = self._begin(kind, fun, arg, kwarg or {}, (user, eauth))
        outcome = self._run(task)
        return RunResult(task.jid, outcome.ret, outcome.success, outcome.retcode)

    def part(
        self,
        context: MasterContext,
        kind: str,
        fun: str,
        arg: Sequence[Any],
        kwarg: Mapping[str, Any],
    ) -> RunOutcome:
        """Run something inside a run: in its turn, without events or a job of its own."""
        inner = context.for_run(kind, context.jid, context.user)
        return execute(self.loaders[kind], inner, kind, fun, arg, kwarg)

    def active(self) -> list[dict[str, Any]]:
        """The runs at work and waiting: what their events say, and `begun`, seconds since 1970."""
        return [{**task.event, "begun": task.begun} for task in self._known.values()]

    def end(self, jid: str) -> bool:
        """End a run that was started; False if it is not at work."""
        greenlet = self._greenlets.get(jid)
        if greenlet is None:
            return False
        greenlet.kill(Ended, block=False)
        return True

    def recover(self) -> None:
        """Have the runs of a master that was killed return that they are over."""
        store = self._context.store
        for job in store.list_jobs(limit=RECOVERED):
            if str(job.fun).startswith("runner.") and not store.returned(job.jid):
                fun = str(job.fun).removeprefix("runner.")
                task = _Task("runner", fun, job.arg, {}, job.user, "", job.jid, job.started)
                self._finish(task, failure(STOPPED))

    def stop(self) -> None:
        """End all runs: those at work return that the master was stopped."""
        self._crew.stop()

    # -- one run -----------------------------------------------------------------------------

    def _begin(
        self,
        kind: Kind,
        fun: str,
        arg: Sequence[Any],
        kwarg: Mapping[str, Any],
        who: tuple[str, str],
        jid: str = "",
    ) -> _Task:
        if len(self._known) >= MOST_KNOWN:
            raise CommandExecutionError(
                f"{MOST_KNOWN} runners and wheel functions are at work or waiting already"
            )
        jid = jid or self._context.jobs.next_jid()
        task = _Task(kind, fun, arg, kwarg, *who, jid, time.time())
        self._known[task.jid] = task
        try:
            if kind == "runner":
                self._context.store.add_job(self._job(task))
            self._context.bus.fire(f"{task.tag}/new", task.event)
        except BaseException:
            del self._known[task.jid]
            raise
        return task

    def _run(self, task: _Task) -> RunOutcome:
        context = self._context.for_run(task.kind, task.jid, task.user)
        loader = self.loaders[task.kind]
        try:
            with self._lane:
                outcome = execute(loader, context, task.kind, task.fun, task.arg, task.kwarg)
        except Ended:
            outcome = failure(ENDED)
        except gevent.GreenletExit:
            outcome = failure(STOPPED)
        finally:
            del self._known[task.jid]
        return self._finish(task, outcome)

    def _finish(self, task: _Task, outcome: RunOutcome) -> RunOutcome:
        self.finished += 1
        self.failed += not outcome.success
        if task.kind == "runner":
            outcome = self._keep(task, outcome)
        result: dict[str, Any] = {"return": outcome.ret, "success": outcome.success}
        if outcome.retcode:
            result["retcode"] = outcome.retcode
        if outcome.out:
            result["out"] = outcome.out
        self._context.bus.fire(f"{task.tag}/ret", {**task.event, **result})
        return outcome

    def _keep(self, task: _Task, outcome: RunOutcome) -> RunOutcome:
        """Put the result into the store; one that can't be kept is a failure that can."""
        try:
            self._context.store.add_return(self._return(task, outcome))
        except Unstorable as error:
            outcome = failure(f"The result of {task.full_name} can't be kept: {error}")
            self._context.store.add_return(self._return(task, outcome))
        except StoreError as error:
            log.error("the result of %s (%s) is lost: %s", task.full_name, task.jid, error)
        return outcome

    def _job(self, task: _Task) -> Job:
        name = self._context.config.id
        arg = list(task.arg)
        if task.kwarg:
            arg.append({**task.kwarg, KWARG_MARK: True})
        load: dict[str, Any] = {"fun": task.full_name, "arg": arg, "tgt": name, "tgt_type": "list"}
        if task.eauth:
            load["eauth"] = task.eauth
        return Job(
            jid=task.jid,
            fun=task.full_name,
            arg=arg,
            tgt=name,
            tgt_type="list",
            user=task.user,
            minions=[name],
            missing=[],
            load={**load, "jid": task.jid, "user": task.user},
            started=task.begun,
        )

    def _return(self, task: _Task, outcome: RunOutcome) -> Return:
        name = self._context.config.id
        load = {
            **task.event,
            "id": name,
            "return": outcome.ret,
            "success": outcome.success,
            "retcode": outcome.retcode,
        }
        if outcome.out:
            load["out"] = outcome.out
        return Return(
            seq=0,
            jid=task.jid,
            id=name,
            fun=task.full_name,
            ret=outcome.ret,
            retcode=outcome.retcode,
            success=outcome.success,
            received=time.time(),
            load=load,
        )
