"""What a runner or a wheel function may know and do besides its arguments.

A function that needs it declares a keyword-only `context: MasterContext`; it is handed in, and
can't come from a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from greensalt.errors import CommandExecutionError
from greensalt.functions.threads import Home
from greensalt.master.asking import Answers, Asking
from greensalt.target import expected
from greensalt.wire import tags

if TYPE_CHECKING:
    from greensalt.config import MasterConfig
    from greensalt.master.access import Access
    from greensalt.master.fileserver.server import FileServer
    from greensalt.master.jobs import Jobs
    from greensalt.master.liveness import Liveness
    from greensalt.master.pillar import PillarService
    from greensalt.master.presence import Presence
    from greensalt.master.reactor import Reactor
    from greensalt.master.returners import Returners
    from greensalt.master.roster import MasterRoster
    from greensalt.master.runs import Runs
    from greensalt.store.jobs import JobStore
    from greensalt.store.keys import KeyStore
    from greensalt.store.minions import MinionCache
    from greensalt.transport.bus import EventPublisher

MOST_THREADS = 32
"""Runners and wheel functions that may block at once in native threads; others wait for one."""


@dataclass
class MasterContext:
    """The surroundings of a run: the parts of the master, and `jid` and `user` of this run.

    Modules that say `GREEN = True` run in a greenlet of the master and may use all parts, but must
    not block. All others run in native threads and use the methods, which do their work on the
    master's hub and wait for it. `retcode` is the run's exit code if a function sets it; None lets
    the result decide. `reactor`, `batches` and `returners` are None where the master
    has none.
    """

    config: MasterConfig
    store: JobStore
    cache: MinionCache
    keys: KeyStore
    roster: MasterRoster
    bus: EventPublisher
    jobs: Jobs
    access: Access
    files: FileServer
    pillars: PillarService
    presence: Presence
    liveness: Liveness
    reactor: Reactor | None = None
    batches: Any = None
    returners: Returners | None = None
    runs: Runs = field(init=False)
    kind: str = "runner"
    jid: str = ""
    user: str = ""
    retcode: int | None = None
    home: Home = field(default_factory=lambda: Home(MOST_THREADS))

    def for_run(self, kind: str, jid: str, user: str) -> MasterContext:
        """A context for one run: its own exit code, everything else shared."""
        own = replace(self, kind=kind, jid=jid, user=user, retcode=None)
        own.runs = self.runs
        return own

    def runner(self, fun: str, *args: Any, **kwargs: Any) -> Any:
        """Call another runner as part of this run; raises CommandExecutionError if it fails."""
        return self._part("runner", fun, args, kwargs)

    def wheel(self, fun: str, *args: Any, **kwargs: Any) -> Any:
        """Call a wheel function as part of this run; raises CommandExecutionError if it fails."""
        return self._part("wheel", fun, args, kwargs)

    def _part(self, kind: str, fun: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        outcome = self.home.run(self.runs.part, self, kind, fun, args, kwargs)
        if not outcome.success:
            raise CommandExecutionError(str(outcome.ret))
        return outcome.ret

    def ask(
        self,
        tgt: Any,
        fun: str,
        arg: Sequence[Any] = (),
        *,
        tgt_type: str = "glob",
        kwarg: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        gather_s: float | None = None,
    ) -> Answers:
        """Run a function on minions, with this run's user, and wait for them; see Asking.ask."""

        def asked() -> Answers:
            config = self.config
            asking = Asking(self.jobs, self.liveness, config.timeout, config.gather_job_timeout)
            return asking.ask(
                self.user,
                tgt,
                fun,
                arg,
                tgt_type=tgt_type,
                kwarg=kwarg,
                timeout_s=timeout_s,
                gather_s=gather_s,
            )

        return self.home.run(asked)

    def chosen(self, tgt: Any, tgt_type: str = "glob") -> list[str]:
        """The accepted minions that a target means, sorted; raises TargetError."""
        groups = self.config.nodegroups
        return sorted(expected(tgt, tgt_type, self.roster, nodegroups=groups).minions)

    def fire_event(self, tag: str, data: Mapping[str, Any] | None = None) -> bool:
        """Fire an event on the master's bus."""
        self.home.run(self.bus.fire, tag, dict(data or {}))
        return True

    def progress(self, data: Mapping[str, Any]) -> bool:
        """Show something on the screen of whoever waits for this run.

        With `outputter` in `data` it is data["data"] that is shown, in that form; the outputter
        "line" is a line of text.
        """
        kind = "run" if self.kind == "runner" else self.kind
        return self.fire_event(tags.tag(kind, self.jid, "progress"), data)
