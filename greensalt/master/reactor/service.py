"""The reactor: takes events, renders their SLS files one event after the other, and has them done.

Jobs are sent in the order of the events. Runners and wheel functions wait in a queue of their own
for `reactor_worker_threads` workers, so that a long run holds up neither jobs nor other events.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

from gevent.queue import Full, Queue

from greensalt.errors import GreensaltError, ReactorError
from greensalt.green import Crew
from greensalt.master.context import MasterContext
from greensalt.master.reactor import doing
from greensalt.master.reactor.reaction import Reaction, in_order, reactions_of
from greensalt.master.reactor.sls import SlsFiles
from greensalt.master.reactor.table import Table
from greensalt.wire import tags
from greensalt.wire.dialect import pack_bin

log = logging.getLogger(__name__)

MOST_BYTES: Final = 64 << 20
"""Of the data of all events that wait."""
TELL_S: Final = 1.0
_RUNS: Final = ("salt/run/", "salt/wheel/")
_NOT_HERE: Final = (
    "caller reactions run on a minion that has a reactor of its own; the master has local, runner "
    "and wheel"
)

T = TypeVar("T")


class _Event(NamedTuple):
    tag: str
    data: bytes  # packed: others may change what they got


class _Task(NamedTuple):
    tag: str
    reaction: Reaction


class _Waiting(Generic[T]):
    """A bounded queue that counts what it can't take, and tells it in the log once a second."""

    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._queue: Queue[T] = Queue(maxsize=most)
        self.dropped = 0
        self._told = 0
        self._told_at = -TELL_S

    def __len__(self) -> int:
        return self._queue.qsize()

    def put(self, item: T, name: str) -> bool:
        """Queue something; False, and it is told by its name, if there is no room."""
        try:
            self._queue.put_nowait(item)
        except Full:
            self.drop(name)
            return False
        return True

    def drop(self, name: str) -> None:
        """Count something that is not queued."""
        self.dropped += 1
        if time.monotonic() - self._told_at >= TELL_S:
            self._tell(name)

    def get(self) -> T:
        """The next one, as soon as there is one."""
        item: T = self._queue.get()
        if self.dropped > self._told and time.monotonic() - self._told_at >= TELL_S:
            self._tell("others")
        return item

    def _tell(self, name: str) -> None:
        log.error(
            "the reactor's queue of %s is full: %d more dropped, %s among them",
            self._what,
            self.dropped - self._told,
            name,
        )
        self._told, self._told_at = self.dropped, time.monotonic()


class Reactor:
    """Reacts to the events of the bus as the option `reactor` says, as long as it is the leader.

    A file that can't be rendered and a reaction that fails are told in the log and by an event
    `salt/reactor/error`; they harm no other. Raises ConfigError for an option that is wrong.
    """

    def __init__(self, context: MasterContext) -> None:
        config = context.config
        self._context = context
        self.table = Table(config.reactor)
        self.is_leader = True
        self._files = SlsFiles(config, context.files)
        self._workers = config.reactor_worker_threads
        self._events: _Waiting[_Event] = _Waiting("events", config.reactor_worker_hwm)
        self._runs: _Waiting[_Task] = _Waiting("runs", config.reactor_worker_hwm)
        self._bytes = 0
        self._counts = dict.fromkeys(("events", "reactions", "failed"), 0)
        self._at_work = 0
        self._crew = Crew("reactor")
        self._deaf: Callable[[], None] = lambda: None

    @property
    def failed(self) -> Any:
        """Set to the reason when it can't go on."""
        return self._crew.failed

    def start(self) -> None:
        """Listen from now on."""
        self._deaf = self._context.bus.listen(self._is_wanted, self._take)
        self._crew.spawn_vital("events", self._react_to_all)
        for number in range(self._workers):
            self._crew.spawn_vital(f"worker {number}", self._run_all)

    def stop(self) -> None:
        """At once; what still waits is told and lost."""
        self._deaf()
        self._crew.stop()
        left = len(self._events) + len(self._runs)
        if left:
            log.warning("%d events and runs were waiting for the reactor, and are lost", left)

    def figures(self) -> dict[str, int]:
        """What happened since the start, and what waits and works now."""
        return {
            **self._counts,
            "dropped": self._events.dropped + self._runs.dropped,
            "events_waiting": len(self._events),
            "events_bytes": self._bytes,
            "runs_waiting": len(self._runs),
            "runs_at_work": self._at_work,
        }

    # -- events ------------------------------------------------------------------------------

    def _is_wanted(self, tag: str) -> bool:
        if not self.is_leader or tag.startswith(tags.SYNC_PREFIX):
            return False
        return self.table.wanted(tag)

    def _take(self, tag: str, data: dict[str, Any]) -> None:
        """Queue an event; those of the reactor's own runs would have it react to itself."""
        if data.get("user") == doing.USER and tag.startswith(_RUNS):
            return
        packed = pack_bin(data)
        if self._bytes + len(packed) > MOST_BYTES:
            self._events.drop(tag)
        elif self._events.put(_Event(tag, packed), tag):
            self._bytes += len(packed)
            self._counts["events"] += 1

    def _react_to_all(self) -> None:
        while True:
            event = self._events.get()
            self._bytes -= len(event.data)
            try:
                self._react(event)
            except Exception as error:
                log.exception("the reactor failed on %s", event.tag)
                self._failed(event.tag, "", doing.explained(error))

    def _react(self, event: _Event) -> None:
        high: dict[str, list[Reaction]] = {}  # as in Salt, an id in a later file replaces it
        for rendered in self._files.render(self.table.files(event.tag), event.tag, event.data):
            try:
                if rendered.error:
                    raise ReactorError(rendered.error)
                high.update(reactions_of(rendered.sls, rendered.data))
            except ReactorError as error:
                self._failed(event.tag, rendered.sls, str(error))
        for reaction in in_order(each for some in high.values() for each in some):
            if reaction.kind in ("runner", "wheel"):
                self._queue_run(_Task(event.tag, reaction))
            else:
                self._do(_Task(event.tag, reaction))

    # -- reactions ---------------------------------------------------------------------------

    def _queue_run(self, task: _Task) -> None:
        name = f"{task.reaction.full_name} of {task.reaction.id}"
        if not self._runs.put(task, name):
            self._counts["failed"] += 1

    def _run_all(self) -> None:
        while True:
            task = self._runs.get()
            self._at_work += 1
            try:
                self._do(task)
            finally:
                self._at_work -= 1

    def _do(self, task: _Task) -> None:
        """Carry a reaction out. What goes wrong ends nothing but itself."""
        reaction = task.reaction
        self._counts["reactions"] += 1
        try:
            if reaction.kind == "caller":
                raise ReactorError(_NOT_HERE)
            if reaction.kind == "local":
                jid = doing.publish(self._context, reaction)
                log.debug("%s: %s is job %s", task.tag, reaction.full_name, jid)
            else:
                doing.run(self._context, reaction)
        except Exception as error:
            if not isinstance(error, GreensaltError):
                log.exception("%s of %s", reaction.full_name, reaction.sls)
            self._failed(task.tag, reaction.sls, doing.explained(error), reaction)

    def _failed(self, tag: str, sls: str, error: str, reaction: Reaction | None = None) -> None:
        """Tell a failure; that of a reaction to such an event in the log alone."""
        self._counts["failed"] += 1
        name = reaction.full_name if reaction else ""
        own_id = reaction.id if reaction else ""
        where = f"{sls}: {own_id}: {name}" if reaction else sls
        log.error("the reaction to %s has failed: %s: %s", tag, where, error)
        if tag != tags.REACTOR_ERROR:
            told = {"tag": tag, "sls": sls, "id": own_id, "reaction": name, "error": error}
            self._context.bus.fire(tags.REACTOR_ERROR, told)
