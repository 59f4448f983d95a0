"""A job on few minions at a time, led by the client: for masters that have no batches.

The whole run has one jid: a look-up of it shows every result, one cursor follows all steps. Who is
up is learned by `test.ping`; as soon as one minion is done, the next one begins. Source:
docs/protocol.md 8.4.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from greensalt.target.batchsize import batch_size

if TYPE_CHECKING:
    from greensalt.client.jobclient import JobClient
    from greensalt.client.link import Result
    from greensalt.client.watch import JobWatch

log = logging.getLogger(__name__)

IDLE_STEP_S: Final = 1.0


class Batch:
    """One batch run. Iterate over it for the results, each as soon as the master has it.

    `down` are the minions of the target that did not answer the ping: no job was sent to them.
    After the end `silent` holds those that got the job and did not return, and `unsent` those that
    a stop after a failure (`failhard`) spared. `wait_s` is the pause between the end of one
    minion's job and the next in its place. `on_start` is called with the minions of each step.
    """

    def __init__(
        self,
        client: JobClient,
        tgt: str | Sequence[str],
        fun: str | Sequence[str],
        arg: Iterable[Any] = (),
        tgt_type: str = "glob",
        *,
        size: str | int,
        ret: str = "",
        kwarg: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        wait_s: float = 0.0,
        failhard: bool = False,
        on_start: Callable[[list[str]], object] | None = None,
    ) -> None:
        batch_size(size, 1)  # what can't be read is said before anything runs
        self._client = client
        self._target = (tgt, tgt_type)
        self._ret = ret
        self._kwarg = kwarg
        self._options = options
        self._fun = fun
        self._arg = list(arg) if not isinstance(arg, str | bytes | Mapping) else [arg]
        self._size = size
        self._timeout_s = timeout_s
        self._wait_s = wait_s
        self._failhard = failhard
        self._on_start = on_start
        self._freed: deque[float] = deque()
        self.jid = ""
        self.up: list[str] = []
        self.down: list[str] = []
        self.unsent: list[str] = []
        self.silent: set[str] = set()
        self.stopped = False

    def find_minions(self) -> None:
        """Learn by a ping which minions of the target are up."""
        tgt, tgt_type = self._target
        watch = self._client.start(
            tgt,
            "test.ping",
            (),
            tgt_type,
            timeout_s=self._client.config.gather_job_timeout,
            ask_silent=False,
        )
        self.up = sorted(result.id for result in watch)
        self.down = sorted(watch.silent.union(watch.missing))

    def __iter__(self) -> Iterator[Result]:
        if not self.up and not self.down:
            self.find_minions()
        queue = deque(self.up)
        if not queue:
            return
        slots = batch_size(self._size, len(queue))
        watch = self._first_step([queue.popleft() for _ in range(min(slots, len(queue)))])
        if watch is None:
            self.unsent = [*self.up]
            return
        try:
            yield from self._run(watch, queue, slots)
        finally:
            watch.close()
            self.silent = watch.silent
            self.unsent = list(queue)

    def _run(self, watch: JobWatch, queue: deque[str], slots: int) -> Iterator[Result]:
        busy = set(watch.waiting)
        while queue or not watch.done:
            results = watch.step(self._pause_s(len(queue)))
            yield from results
            if self._failhard and any(result.failed for result in results):
                self.stopped = True
            if self.stopped:
                # Those that work already are awaited; nobody else begins.
                if watch.done:
                    return
                continue
            still = watch.waiting
            now = time.monotonic()
            self._freed.extend(now + self._wait_s for _ in busy - still)
            busy = set(still)
            while self._freed and self._freed[0] <= now:
                self._freed.popleft()
            free = slots - len(busy) - len(self._freed)
            if queue and free > 0:
                step = [queue.popleft() for _ in range(min(free, len(queue)))]
                self._publish(watch, step)
                busy = set(watch.waiting)

    def _pause_s(self, queued: int) -> float | None:
        if not queued:
            return None
        if not self._freed:
            return IDLE_STEP_S
        return max(0.0, min(IDLE_STEP_S, self._freed[0] - time.monotonic()))

    def _first_step(self, minions: list[str]) -> JobWatch | None:
        self._tell(minions)
        self.jid = self._client.valid_jid()
        watch = self._client.start(
            minions,
            self._fun,
            self._arg,
            "list",
            jid=self.jid,
            timeout_s=self._timeout_s,
            ret=self._ret,
            kwarg=self._kwarg,
            options=self._options,
        )
        if not watch.jid:
            log.error("the master refused the batch: %s", watch.error)
            self.jid = ""
            return None
        return watch

    def _publish(self, watch: JobWatch, minions: list[str]) -> None:
        self._tell(minions)
        published = self._client.publish(
            minions,
            self._fun,
            self._arg,
            "list",
            jid=watch.jid,
            ret=self._ret,
            kwarg=self._kwarg,
            options=self._options,
        )
        watch.expect(published.minions)
        self.down += sorted(set(minions) - set(published.minions))

    def _tell(self, minions: list[str]) -> None:
        if self._on_start is not None:
            self._on_start(minions)
