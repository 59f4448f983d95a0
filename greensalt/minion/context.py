"""What an execution module may know and do besides its arguments.

A function that needs it declares a keyword-only `context: Context`; the executor hands it in, it
can't come from a request and no argspec shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.functions.names import inside
from greensalt.functions.threads import Home

if TYPE_CHECKING:
    from greensalt.config import MinionConfig
    from greensalt.functions.function import LoadedFunction
    from greensalt.functions.loader import Loader


class JobRegistry(Protocol):
    """The jobs that run on this minion."""

    def running(self) -> list[dict[str, Any]]:
        """The load of each running job, plus its `pid`."""

    def find(self, jid: str) -> dict[str, Any]:
        """The load of one running job, plus its `pid`; empty if it does not run."""

    def signal(self, jid: str, signum: int) -> str:
        """End a job or signal it; a sentence about what was done, empty if it does not run."""


class Uplink(Protocol):
    """The way from a job to its minion's bus and to the master."""

    def fire_event(self, tag: str, data: Mapping[str, Any]) -> bool:
        """Fire an event on the minion's own bus."""

    def fire_master(self, tag: str, data: Mapping[str, Any]) -> bool:
        """Fire an event on the master's bus."""

    def request(self, load: dict[str, Any]) -> Any:
        """Send an encrypted request to the master and give back its reply."""

    def refresh(self, what: str) -> bool:
        """Load "modules", "pillar" or "grains" anew."""


class Schedule(Protocol):
    """The jobs that the minion begins by itself. Raises ConfigError for what can't be one."""

    def listed(self, where: str | None = None) -> dict[str, Any]: ...

    def put(self, name: str, config: Mapping[str, Any]) -> None: ...

    def drop(self, name: str) -> None: ...

    def switch(self, name: str | None, *, on: bool) -> None: ...

    def run_now(self, name: str) -> None: ...

    def reload(self) -> None: ...

    def save(self) -> None: ...


class NoUplink:
    """Stands in where there is no master: a function called on its own."""

    def fire_event(self, tag: str, data: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Say that nobody listens."""
        return False

    def fire_master(self, tag: str, data: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Say that nobody listens."""
        return False

    def request(self, load: dict[str, Any]) -> Any:
        """Refuse: there is nobody to ask."""
        raise CommandExecutionError(f"not connected to a master: can't ask it for {load['cmd']}")

    def refresh(self, what: str) -> bool:  # noqa: ARG002
        """Say that nothing was done."""
        return False


class NoJobs:
    """A registry that knows of no job."""

    def running(self) -> list[dict[str, Any]]:
        return []

    def find(self, jid: str) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def signal(self, jid: str, signum: int) -> str:  # noqa: ARG002
        return ""


@dataclass
class Context:
    """The surroundings of one job.

    `retcode` is the job's exit code if a function sets it; None lets the result decide. `scratch`
    lives as long as the job. All methods may be called from native threads as well: they do their
    work on the minion's hub and wait for it.
    """

    id: str
    opts: MinionConfig
    loader: Loader
    grains: Mapping[str, Any] = field(default_factory=dict)
    pillar: Mapping[str, Any] = field(default_factory=dict)
    jobs: JobRegistry = field(default_factory=NoJobs)
    uplink: Uplink = field(default_factory=NoUplink)
    schedule: Schedule | None = None
    jid: str = ""
    user: str = ""
    retcode: int | None = None
    scratch: MutableMapping[str, Any] = field(default_factory=dict)
    home: Home = field(default_factory=Home)

    def for_job(self, jid: str, user: str = "") -> Context:
        """A context for one job: its own retcode and scratch, everything else shared."""
        return replace(self, jid=jid, user=user, retcode=None, scratch={})

    def find(self, fun: str) -> LoadedFunction | None:
        """Look an execution function up by its full name; None if there is none."""
        # A module that is not imported yet may do anything when it is.
        known = self.loader.known(fun)
        return known or self.home.aside(inside, self, self.loader.function, fun)

    def call(self, fun: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call another execution function by its name, as part of this job."""
        function = self.find(fun)
        if function is None:
            raise CommandExecutionError(self.home.aside(self.loader.missing_text, fun))
        if "context" in kwargs:
            raise SaltInvocationError("The following keyword arguments are not valid: context")
        return function.call(self, args, kwargs)

    def fire_event(self, tag: str, data: Mapping[str, Any] | None = None) -> bool:
        """Fire an event on the minion's own bus."""
        return self.home.run(self.uplink.fire_event, tag, data or {})

    def fire_master(self, tag: str, data: Mapping[str, Any] | None = None) -> bool:
        """Fire an event on the master's bus; True if it is on its way."""
        return self.home.run(self.uplink.fire_master, tag, data or {})

    def request(self, load: dict[str, Any]) -> Any:
        """Send an encrypted request (a dict with `cmd`) to the master; its reply, decoded."""
        return self.home.run(self.uplink.request, load)

    def begin_request(self, load: dict[str, Any]) -> Callable[[], Any]:
        """As `request`, and go on: what is given back waits for the reply when it is called."""
        return self.home.begin(self.uplink.request, load)

    def refresh(self, what: str) -> bool:
        """Load "modules", "pillar" or "grains" anew."""
        return self.home.run(self.uplink.refresh, what)
