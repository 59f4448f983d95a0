"""Runners and wheel functions from the asking side: RunnerClient and WheelClient.

A run is followed as a job is: the master's job store is read by cursor, the event bus only says
when to look. Source: docs/protocol.md 6.1, 12.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import gevent

from greensalt.client.jobclient import JobClient
from greensalt.client.link import Result
from greensalt.errors import RequestTimeout, SaltInvocationError, StoreError, TransportError
from greensalt.transport.bus import BusClient
from greensalt.wire import tags

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
FIRST_BLIND_POLL_S: Final = 0.05
"""Between the first two looks when there is no event bus; doubled until it is POLL_S."""
LOST_S: Final = 60.0
"""How long a master may be away in the middle of a run."""


class Event(NamedTuple):
    """An event of a run: `suffix` is what its tag has behind that of the run."""

    suffix: str
    data: dict[str, Any]


class RunWatch:
    """One run that has begun. Iterate over it for its events; then `result` is there."""

    def __init__(self, client: RunnerClient, jid: str, bus: BusClient | None) -> None:
        self.jid = jid
        self.tag = tags.tag("run", jid)
        self.result: Result | None = None
        self._client = client
        self._bus = bus
        self._due = bus is None
        self._look_at = time.monotonic() + POLL_S
        self._blind_poll_s = FIRST_BLIND_POLL_S
        self._lost_since: float | None = None

    def __iter__(self) -> Iterator[Event]:
        try:
            while self.result is None:
                yield from self.step()
        finally:
            self.close()

    def step(self, most_s: float = POLL_S) -> list[Event]:
        """Wait for the next events, at most `most_s` seconds.

        Raises TransportError when the master stays away for a minute.
        """
        events = self._wait(most_s) if not self._due else []
        if self._due:
            self._look()
        return events

    def close(self) -> None:
        """Let go of the event bus."""
        if self._bus is not None:
            self._bus.close()
            self._bus = None

    def _wait(self, most_s: float) -> list[Event]:
        wait_s = max(0.0, min(self._look_at, time.monotonic() + most_s) - time.monotonic())
        found: list[Event] = []
        if self._bus is None:
            gevent.sleep(wait_s)
        else:
            event = self._bus.next(wait_s)
            while event is not None:  # all that have arrived
                suffix = event[0].removeprefix(f"{self.tag}/")
                self._due = self._due or suffix == "ret"
                if suffix not in ("new", "ret"):
                    found.append(Event(suffix, event[1]))
                event = self._bus.next(0)
        self._due = self._due or time.monotonic() >= self._look_at
        return found

    def _look(self) -> None:
        """Ask the store for the result."""
        self._due = False
        try:
            page = self._client.link.follow(self.jid, 0)
        except (RequestTimeout, StoreError) as error:
            self._lost(error)
            return
        self._lost_since = None
        if page.results:
            self.result = page.results[0]
        pause_s = POLL_S
        if self._bus is None:
            pause_s = self._blind_poll_s
            self._blind_poll_s = min(POLL_S, 2 * pause_s)
        self._look_at = time.monotonic() + pause_s

    def _lost(self, error: Exception) -> None:
        now = time.monotonic()
        self._look_at = now + POLL_S
        if self._lost_since is None:
            self._lost_since = now
            log.warning("%s; waiting for the master to come back", error)
        elif now - self._lost_since > LOST_S:
            raise TransportError(
                f"the master has been away for {LOST_S:g} s while run {self.jid} was at work"
            ) from error


class RunnerClient(JobClient):
    """Has the master run runners, with the rights of the local user.

    `c_path` is the configuration directory, or the master's configuration file in it. Use it as a
    context manager, or `close` it. Raises AuthenticationError, AuthorizationError and
    TransportError.
    """

    def watch(
        self, fun: str, arg: Iterable[Any] = (), kwarg: Mapping[str, Any] | None = None
    ) -> RunWatch:
        """Begin a run and watch it; its events are received from the first one on."""
        jid = self.valid_jid()
        bus = self.subscribed(tags.tag("run", jid))
        try:
            self._begin(jid, fun, arg, kwarg)
        except BaseException:
            if bus is not None:
                bus.close()
            raise
        return RunWatch(self, jid, bus)

    def cmd(
        self,
        fun: str,
        arg: Iterable[Any] = (),
        kwarg: Mapping[str, Any] | None = None,
        *,
        full_return: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Run a runner to its end and return its result.

        With `full_return` a dict of fun, jid, return, success and retcode. RequestTimeout when it
        is not there in `timeout` seconds; it goes on all the same.
        """
        watch = self.watch(fun, arg, kwarg)
        until = None if timeout is None else time.monotonic() + timeout
        try:
            while watch.result is None:
                if until is not None and time.monotonic() > until:
                    raise RequestTimeout(f"{fun} ({watch.jid}) has not ended in {timeout:g} s")
                watch.step(POLL_S if until is None else max(0.0, until - time.monotonic()))
        finally:
            watch.close()
        result = watch.result
        if not full_return:
            return result.ret
        return {
            "fun": f"runner.{fun}",
            "jid": watch.jid,
            "return": result.ret,
            "success": result.success,
            "retcode": result.retcode,
        }

    def cmd_sync(
        self, low: Mapping[str, Any], timeout: float | None = None, full_return: bool = False
    ) -> Any:
        """As `cmd`, for a dict of `fun` and optionally `arg` and `kwarg`."""
        return self.cmd(*_of_low(low), full_return=full_return, timeout=timeout)

    def cmd_async(self, low: Mapping[str, Any]) -> dict[str, str]:
        """Begin a run and leave it to itself: {tag, jid}."""
        jid = self.valid_jid()
        self._begin(jid, *_of_low(low))
        return {"tag": tags.tag("run", jid), "jid": jid}

    def _begin(
        self, jid: str, fun: str, arg: Iterable[Any], kwarg: Mapping[str, Any] | None
    ) -> None:
        load = {"fun": fun, "arg": list(arg), "kwarg": dict(kwarg or {}), "jid": jid}
        self.link.run(load)


class WheelClient(JobClient):
    """Has the master run wheel functions; otherwise as RunnerClient."""

    def cmd(
        self,
        fun: str,
        arg: Iterable[Any] = (),
        kwarg: Mapping[str, Any] | None = None,
        *,
        full_return: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Run a wheel function to its end and return its result.

        With `full_return` a dict of fun, jid, tag, user, return and success.
        """
        load = {"fun": fun, "arg": list(arg), "kwarg": dict(kwarg or {})}
        data = self.link.wheel(load, timeout)
        return data if full_return else data.get("return")

    def cmd_sync(
        self, low: Mapping[str, Any], timeout: float | None = None, full_return: bool = False
    ) -> Any:
        """As `cmd`, for a dict of `fun` and its keyword arguments, or `arg` and `kwarg`."""
        fun, arg, kwarg = _of_low(low)
        return self.cmd(fun, arg, kwarg, full_return=full_return, timeout=timeout)

    def call_func(self, fun: str, **kwargs: Any) -> Any:
        """Run a wheel function with keyword arguments."""
        return self.cmd(fun, kwarg=kwargs)


ABOUT_THE_CALL: Final = frozenset({"fun", "arg", "kwarg", "client", "full_return", "timeout"})


def _of_low(low: Mapping[str, Any]) -> tuple[str, list[Any], dict[str, Any]]:
    fun = low.get("fun")
    if not isinstance(fun, str):
        raise SaltInvocationError("the dict of a call has no `fun`")
    arg = low.get("arg") or []
    others = {key: low[key] for key in low if key not in ABOUT_THE_CALL}
    return fun, list(arg), {**others, **(low.get("kwarg") or {})}
