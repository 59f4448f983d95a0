"""Publishing a job and watching it: what LocalClient and the command line are made of."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from greensalt.client.arguments import add_kwargs
from greensalt.client.findjob import FIND_JOB
from greensalt.client.link import MasterLink, Published
from greensalt.client.masterbatch import MasterBatch
from greensalt.client.proof import Proof, take_proof
from greensalt.client.watch import JobWatch
from greensalt.config import ClientConfig
from greensalt.errors import (
    ConfigError,
    MalformedMessage,
    SaltInvocationError,
    TargetError,
    TransportError,
)
from greensalt.transport.addresses import master_event_pub
from greensalt.transport.bus import BusClient
from greensalt.wire import tags
from greensalt.wire.jid import JidClock, is_jid

log = logging.getLogger(__name__)

SYNC_S: Final = 1.0

Target = str | Sequence[str]
Function = str | Sequence[str]
Arguments = Iterable[Any]


class JobClient:
    """Publishes jobs and watches them, with the rights of the local user.

    `c_path` is the configuration directory, or the master's configuration file in it. Use it as a
    context manager, or `close` it. Every job takes:

    tgt, tgt_type   the target; glob, pcre, list, grain, grain_pcre, pillar, pillar_pcre,
                    pillar_exact, ipcidr, compound or nodegroup
    fun, arg        a function and its typed positional arguments, or a list of functions and as
                    many lists of arguments
    kwarg           keyword arguments of one function
    options         for the master: metadata, delimiter, module_executors, executor_opts,
                    ret_config, ret_kwargs, start_event; for the client: gather_job_timeout, and
                    eauth, username and password, or token, of whom else it is for

    Raises AuthenticationError, AuthorizationError, TargetError and TransportError.
    """

    def __init__(
        self, c_path: str | Path | None = None, config: ClientConfig | None = None
    ) -> None:
        if config is None:
            config = ClientConfig.load(_directory(c_path))
        self.config = config
        self._clock = JidClock()
        self.link = MasterLink(
            config.interface,
            config.ret_port,
            Path(config.cachedir),
            config.user,
            request_timeout_s=config.publish_timeout,
            serializer=config.serializer,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.link.close()

    def as_caller(self, proof: Proof | None) -> Self:
        """The same client for whom a password or a token proves; closing one closes both."""
        if proof is None:
            return self
        other = copy.copy(self)
        other.link = self.link.as_caller(proof)
        return other

    def start(
        self,
        tgt: Target,
        fun: Function,
        arg: Arguments = (),
        tgt_type: str = "glob",
        *,
        timeout_s: float | None = None,
        ret: str = "",
        jid: str = "",
        kwarg: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        ask_silent: bool = True,
    ) -> JobWatch:
        """Publish a job and watch it.

        The subscription to the job's events is live before the job is sent. Minions that have not
        returned after `timeout_s` are asked whether they still run it, or else given up.
        """
        options = dict(options or {})
        if proof := take_proof(options):
            return self.as_caller(proof).start(
                *(tgt, fun, arg, tgt_type),
                timeout_s=timeout_s,
                ret=ret,
                jid=jid,
                kwarg=kwarg,
                options=options,
                ask_silent=ask_silent,
            )
        jid = self.valid_jid(jid)
        bus = self.subscribed(tags.job(jid))
        try:
            published = self.publish(
                tgt, fun, arg, tgt_type, ret=ret, jid=jid, kwarg=kwarg, options=options
            )
        except BaseException:
            if bus is not None:
                bus.close()
            raise
        if not published.jid and bus is not None:
            bus.close()
            bus = None
        gather_s = options.get("gather_job_timeout")
        return self._watch(published, bus, timeout_s, gather_s, ask_silent=ask_silent)

    def follow(self, jid: str, timeout_s: float | None = None) -> JobWatch:
        """Watch a job that was published before: its results so far, then those to come."""
        if not is_jid(jid):
            raise TargetError(f"{jid!r} is not a job id")
        bus = self.subscribed(tags.job(jid))
        page = self.link.follow(jid, 0)
        known = Published(jid, page.minions, page.missing)
        return self._watch(known, bus, timeout_s, None, look_first=True)

    def batch_of(self, jid: str) -> MasterBatch | None:
        """A batch that was begun before and that the master leads; None if the job is none."""
        if not is_jid(jid):
            raise TargetError(f"{jid!r} is not a job id")
        status = self.link.follow(jid, 0, minions=False).batch
        if status is None:
            return None
        batch = MasterBatch(self, jid)
        batch.status = status
        return batch

    def publish(
        self,
        tgt: Target,
        fun: Function,
        arg: Arguments = (),
        tgt_type: str = "glob",
        *,
        ret: str = "",
        jid: str = "",
        kwarg: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Published:
        """Publish a job and leave it to itself."""
        options = dict(options or {})
        proof = take_proof(options)
        link = self.link if proof is None else self.link.as_caller(proof)
        tgt, tgt_type = self._target(tgt, tgt_type)
        args = _arguments(fun, arg, kwarg)
        return link.publish(_load(tgt, fun, args, tgt_type, ret, self.valid_jid(jid), options))

    def batch(
        self,
        tgt: Target,
        fun: Function,
        arg: Arguments,
        tgt_type: str,
        batch: dict[str, Any],
        *,
        ret: str = "",
        kwarg: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> MasterBatch | None:
        """Begin a batch that the master leads (docs/protocol.md 12.6); None if it leads none."""
        tgt, tgt_type = self._target(tgt, tgt_type)
        begun = MasterBatch(self)
        args = _arguments(fun, arg, kwarg)
        load = _load(tgt, fun, args, tgt_type, ret, begun.jid, dict(options or {}))
        try:
            begun.begin(load, batch)
        except MalformedMessage as error:
            log.info("%s; leading the batch from here", error)
            return None
        return begun

    def _watch(
        self,
        published: Published,
        bus: BusClient | None,
        timeout_s: float | None,
        gather_s: float | None,
        *,
        look_first: bool = False,
        ask_silent: bool = True,
    ) -> JobWatch:
        return JobWatch(
            published,
            self.link.follow,
            self._find_job if ask_silent else None,
            bus,
            timeout_s=self.config.timeout if timeout_s is None else timeout_s,
            gather_s=self.config.gather_job_timeout if gather_s is None else float(gather_s),
            look_first=look_first,
        )

    def _find_job(self, jid: str, minions: list[str]) -> Published:
        load = _load(minions, FIND_JOB, [jid], "list", "", self.valid_jid(), {})
        return self.link.publish_once(load)

    def subscribed(self, prefix: str) -> BusClient | None:
        """A live subscription to the events below a tag; None when this user can't have one.

        Then the results are looked for, which is slower but loses nothing either. Raises
        TransportError when there is no master at all.
        """
        address = master_event_pub(self.config.sock_dir)
        if not os.access(address.removeprefix("ipc://"), os.R_OK | os.W_OK):
            self.link.probe()
            log.info("%s is not open to this user; looking for results instead", address)
            return None
        bus = BusClient(address)
        bus.subscribe(f"{prefix}/")
        try:
            bus.sync(SYNC_S)
        except TransportError as error:
            bus.close()
            self.link.probe()
            log.info("%s; looking for results instead", error)
            return None
        return bus

    def valid_jid(self, jid: str = "") -> str:
        """`jid` if it is one, a new one for ""; raises TargetError."""
        if not jid:
            return self._clock.next(datetime.now(UTC))
        if not is_jid(jid):
            raise TargetError(f"{jid!r} is not a job id")
        return jid

    def _target(self, tgt: Target, tgt_type: str) -> tuple[Target, str]:
        """A list as a list, and nodegroups as what they stand for: minions don't know them."""
        groups = self.config.nodegroups
        if tgt_type == "nodegroup":
            from greensalt.target import expand_nodegroup

            if tgt not in groups:
                raise TargetError(
                    f"Node group {tgt} unavailable in {self.config.config_dir}/master"
                )
            return expand_nodegroup(str(tgt), groups), "compound"
        if tgt_type == "compound" and "N@" in tgt:
            from greensalt.target import expand_compound

            return expand_compound(tgt, groups), "compound"
        if tgt_type == "list" and isinstance(tgt, str):
            return [each for each in tgt.replace(",", " ").split() if each], "list"
        return (tgt if isinstance(tgt, str) else list(tgt)), tgt_type


def _load(
    tgt: Target,
    fun: Function,
    arg: list[Any],
    tgt_type: str,
    ret: str,
    jid: str,
    options: dict[str, Any],
) -> dict[str, Any]:
    """A publish request (docs/protocol.md 8.3) without its user and key."""
    return {
        "tgt": tgt,
        "tgt_type": tgt_type,
        "fun": fun if isinstance(fun, str) else list(fun),
        "arg": arg,
        "ret": ret,
        "jid": jid,
        "kwargs": options,
    }


def _arguments(fun: Function, arg: Arguments, kwarg: Mapping[str, Any] | None) -> list[Any]:
    """The arguments of one function, or a list of them for each of several."""
    if isinstance(arg, str | bytes | Mapping):
        arg = [arg]
    if isinstance(fun, str):
        return add_kwargs(arg, kwarg)
    lists = [add_kwargs(each, None) for each in arg] or [[] for _ in fun]
    if len(lists) != len(fun):
        raise SaltInvocationError(
            f"{len(fun)} functions need as many lists of arguments, not {len(lists)}"
        )
    return lists


def _directory(c_path: str | Path | None) -> Path | None:
    """The configuration directory, from it or from the master's file in it, as Salt takes it."""
    if c_path is None:
        return None
    path = Path(c_path)
    if path.is_dir() or path.name != "master":
        return path
    if path.exists() or path.parent.is_dir():
        return path.parent
    raise ConfigError(f"there is no configuration at {path}")
