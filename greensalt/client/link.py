"""The client's side of the Ret interface: publish a job, follow its returns.

Every request is clear and carries the user's key. Source: docs/protocol.md 6.1, 8.3, 12.
"""

from __future__ import annotations

import copy
import logging
import time
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import gevent

from greensalt import errors
from greensalt.client.identity import key_path, local_user, read_key
from greensalt.client.proof import Proof
from greensalt.errors import (
    AuthenticationError,
    GreensaltError,
    MalformedMessage,
    RequestTimeout,
    SerializerUnusable,
    TransportError,
)
from greensalt.serializers import MSGPACK, find
from greensalt.transport.addresses import tcp
from greensalt.transport.request import ReqChannel
from greensalt.wire.dialect import unpack
from greensalt.wire.envelope import (
    BAD_LOAD,
    ROUTING_ERROR,
    as_bytes,
    clear_request,
    packed_request,
)

log = logging.getLogger(__name__)

FOLLOW_TIMEOUT_S: Final = 5.0
PUBLISH_TRIES: Final = 3
RESTART_S: Final = 3.0
"""How long a master that does not listen may be just restarting."""


class Result(NamedTuple):
    """What one minion returned. `out` names the outputter that the function asks for."""

    id: str
    ret: Any
    retcode: int
    success: bool
    out: str | None
    fun: str | list[str]
    jid: str

    @property
    def failed(self) -> bool:
        return self.retcode != 0 or not self.success


class Published(NamedTuple):
    """A job that the master took: whom it expects, and who is not there at all.

    Without any minion `jid` is "" and `error` says why.
    """

    jid: str
    minions: list[str]
    missing: list[str]
    error: str = ""


class Ask(NamedTuple):
    """The question who works on a job: what changed after a number of the master's (12.7).

    `gather_s` is how long a minion has for its answer.
    """

    after: int
    gather_s: float


class Liveness(NamedTuple):
    """What the master says of minions, and the number of its last word.

    A state is `running`, or else `idle` (it does not run the job), `silent` (no answer) or `gone`
    (not connected).
    """

    number: int
    minions: dict[str, str]


class Page(NamedTuple):
    """Some returns of a job in the order the master stored them, and the cursor behind them."""

    minions: list[str]
    missing: list[str]
    results: list[Result]
    cursor: int
    more: bool
    batch: dict[str, Any] | None = None
    """How a batch stands that the master leads under this jid (12.6)."""
    liveness: Liveness | None = None
    """Who works on the job, if that was asked and the master knows."""


class MasterLink:
    """Asks the master's Ret interface on behalf of the local user, or of whom a proof names.

    `serializer` names the codec of the loads, in both directions; msgpack takes its place when the
    master does not serve it. Raises SerializerUnusable when it can't be used here.
    """

    def __init__(
        self,
        host: str,
        port: int,
        cachedir: Path,
        master_user: str,
        *,
        request_timeout_s: float,
        serializer: str = MSGPACK.name,
    ) -> None:
        self._codec = find(serializer)
        self._host = host
        self._port = port
        self._channel = ReqChannel(tcp(host, port), ipv6=":" in host)
        self.user = local_user()
        self._key_path = key_path(cachedir, self.user, master_user)
        self._key = ""
        self.proof: Proof | None = None  # instead of the key
        self._request_timeout_s = request_timeout_s

    @property
    def address(self) -> str:
        return self._channel.address

    def close(self) -> None:
        self._channel.close()

    def as_caller(self, proof: Proof) -> Self:
        """The same link for somebody else: a password or a token proves who it is."""
        other = copy.copy(self)
        other.proof = dict(proof)
        return other

    def has_key(self) -> bool:
        """Whether the local user has a key that proves it."""
        try:
            self._key = read_key(self._key_path, self.user)
        except AuthenticationError:
            return False
        return True

    def make_token(self, proof: Proof) -> str:
        """A token for a password; raises AuthenticationError."""
        self.probe()
        reply = self._exchange({"cmd": "mk_token", **proof}, self._request_timeout_s)
        if isinstance(reply, dict) and isinstance(reply.get("error"), dict):
            raise _raised(reply["error"])
        if not isinstance(reply, dict) or not isinstance(reply.get("token"), str):
            raise AuthenticationError('Authentication failure of type "eauth" occurred.')
        return str(reply["token"])

    def token(self, token: str) -> dict[str, Any]:
        """What a token stands for (name, eauth, expire, ...); {} when it is none."""
        self.probe()
        reply = self._exchange({"cmd": "get_token", "token": token}, FOLLOW_TIMEOUT_S)
        return reply if isinstance(reply, dict) and "name" in reply else {}

    def publish(self, load: dict[str, Any]) -> Published:
        """Have the master publish `load`, which has a jid of ours.

        A request without a reply may have been taken all the same: then the job is in the store,
        and is not sent again. Raises AuthenticationError, AuthorizationError, TransportError.
        """
        jid = str(load["jid"])
        for _ in range(PUBLISH_TRIES):
            try:
                return self.publish_once(load, self._request_timeout_s)
            except RequestTimeout as error:
                log.info("%s; asking whether it has the job", error)
                self.probe()
            if (page := self._page_or_none(jid)) is not None and page.minions:
                return Published(jid, page.minions, page.missing)
        raise TransportError(f"the master at {self.address} listens but does not answer")

    def publish_once(self, load: dict[str, Any], timeout_s: float = FOLLOW_TIMEOUT_S) -> Published:
        """As `publish`, but RequestTimeout when there is no reply in time."""
        return _published(self._ask({"cmd": "publish", **load}, timeout_s))

    def begin_batch(self, load: dict[str, Any]) -> dict[str, Any]:
        """Have the master begin a batch under a jid of ours: how it stands.

        MalformedMessage is of a master that has no batches.
        """
        for _ in range(PUBLISH_TRIES):
            try:
                return self._ask({"cmd": "batch", **load}, self._request_timeout_s)
            except RequestTimeout as error:  # the same request once more begins nothing twice
                log.info("%s; asking once more", error)
                self.probe()
        raise TransportError(f"the master at {self.address} listens but does not answer")

    def run(self, load: dict[str, Any]) -> None:
        """Have the master begin a runner, under a jid of ours; see `publish`."""
        jid = str(load["jid"])
        for _ in range(PUBLISH_TRIES):
            try:
                self._ask_outer({"cmd": "runner", **load}, self._request_timeout_s)
                return
            except RequestTimeout as error:
                log.info("%s; asking whether it has the run", error)
                self.probe()
            if (page := self._page_or_none(jid)) is not None and page.minions:
                return
        raise TransportError(f"the master at {self.address} listens but does not answer")

    def wheel(self, load: dict[str, Any], timeout_s: float | None = None) -> dict[str, Any]:
        """Have the master run a wheel function: what it says of it, with `return` and `success`.

        It is sent once only: who gets RequestTimeout can't know what was done.
        """
        self.probe()
        timeout_s = self._request_timeout_s if timeout_s is None else timeout_s
        data = self._ask_outer({"cmd": "wheel", **load}, timeout_s).get("data")
        if not isinstance(data, dict):
            raise MalformedMessage(f"the master at {self.address} answered without `data`")
        return data

    def follow(self, jid: str, after: int, ask: Ask | None = None, *, minions: bool = True) -> Page:
        """The returns of a job behind the cursor `after`; its minions, too, if they are wanted."""
        load: dict[str, Any] = {"cmd": "follow_job", "jid": jid, "after": after}
        if not minions:
            load["minions"] = False
        if ask is not None:
            load.update(liveness=ask.after, gather_job_timeout=ask.gather_s)
        return _page(jid, self._ask(load, FOLLOW_TIMEOUT_S))

    def probe(self) -> None:
        """Raise TransportError unless something listens at the master's address.

        A master that restarts is given some seconds.
        """
        from gevent import socket

        until = time.monotonic() + RESTART_S
        while True:
            try:
                socket.create_connection((self._host, self._port), timeout=RESTART_S).close()
                return
            except OSError as error:
                if time.monotonic() > until:
                    raise TransportError(
                        f"no master listens at {self.address} ({error.strerror or error}): is it"
                        " running, and is this its configuration directory (-c)?"
                    ) from error
            gevent.sleep(0.1)

    def _page_or_none(self, jid: str) -> Page | None:
        try:
            return self.follow(jid, 0)
        except RequestTimeout:
            return None

    def _ask(self, load: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """The load of the reply; an error in it is raised as ours."""
        inner = self._ask_outer(load, timeout_s).get("load")
        if not isinstance(inner, dict):
            raise self._unknown(load)
        if isinstance(error := inner.get("error"), dict):
            raise _raised(error)
        return inner

    def _ask_outer(self, load: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """The whole reply; an error in it is raised as ours."""
        if self.proof is not None:
            return self._ask_once(load, timeout_s)
        fresh = not self._key
        if fresh:
            self._key = read_key(self._key_path, self.user)
        try:
            return self._ask_once(load, timeout_s)
        except AuthenticationError:
            key = read_key(self._key_path, self.user)
            if fresh or key == self._key:
                raise
            self._key = key  # the master has made a new one since we read it
            return self._ask_once(load, timeout_s)

    def _ask_once(self, load: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        who = {"key": self._key} if self.proof is None else self.proof
        full = {**load, "user": self.user, **who}
        reply = self._exchange(full, timeout_s)
        if not isinstance(reply, dict):
            raise MalformedMessage(f"the master at {self.address} answered {reply!r:.80}")
        if isinstance(error := reply.get("error"), dict):
            raise _raised(error)
        if not reply:
            raise self._unknown(load)
        return reply

    def _unknown(self, load: dict[str, Any]) -> MalformedMessage:
        return MalformedMessage(
            f"the master at {self.address} does not know the command {load['cmd']}: it is no"
            " greensalt master, or one of another version"
        )

    def _exchange(self, load: dict[str, Any], timeout_s: float) -> Any:
        """The reply, whose load is unpacked. A master that refuses our codec gets msgpack."""
        codec = self._codec
        if codec is not MSGPACK:
            body = packed_request(codec.name, codec.dumps(load))
            reply = unpack(self._channel.request(body, timeout_s))
            if not _refuses_codec(reply):
                if isinstance(reply, dict) and reply.get("serializer") == codec.name:
                    reply["load"] = codec.loads(as_bytes(reply.get("load"), "load of a reply"))
                return reply
            log.warning("the master does not serve %s: msgpack it is", codec.name)
            self._codec = MSGPACK
        return unpack(self._channel.request(clear_request(load), timeout_s))


def _refuses_codec(reply: Any) -> bool:
    """Whether a master could not even read a packed request, so that nothing was done."""
    if not isinstance(reply, dict):
        return bool(reply == BAD_LOAD)
    error = reply.get("error")
    if isinstance(error, dict):
        return error.get("name") == SerializerUnusable.__name__
    return error == ROUTING_ERROR  # of a master that knows nothing of serializers


def _raised(error: dict[str, Any]) -> GreensaltError:
    """The error of ours that the master names."""
    kind = getattr(errors, str(error.get("name", "")), None)
    message = str(error.get("message") or "the master gave no reason")
    if isinstance(kind, type) and issubclass(kind, GreensaltError):
        try:
            return kind(message)
        except TypeError:  # one that wants other arguments
            pass
    return GreensaltError(message)


def _published(load: dict[str, Any]) -> Published:
    jid, minions = load.get("jid"), _texts(load.get("minions"))
    if not jid or not minions:
        return Published("", [], _texts(load.get("missing")), str(load.get("error") or ""))
    return Published(str(jid), minions, _texts(load.get("missing")))


def _page(jid: str, load: dict[str, Any]) -> Page:
    rows = load.get("returns")
    if not isinstance(rows, list) or not isinstance(load.get("cursor"), int):
        raise MalformedMessage("the master's answer to follow_job has no returns or no cursor")
    return Page(
        minions=_texts(load.get("minions")),
        missing=_texts(load.get("missing")),
        results=[_result(jid, row) for row in rows if isinstance(row, dict)],
        cursor=load["cursor"],
        more=bool(load.get("more")),
        batch=load["batch"] if isinstance(load.get("batch"), dict) else None,
        liveness=_liveness(load.get("liveness")),
    )


def _liveness(told: object) -> Liveness | None:
    if not isinstance(told, dict) or not isinstance(told.get("minions"), dict):
        return None
    number = told.get("number")
    states = {str(minion_id): str(state) for minion_id, state in told["minions"].items()}
    return Liveness(number if isinstance(number, int) else 0, states)


def _result(jid: str, row: dict[str, Any]) -> Result:
    retcode = row.get("retcode")
    return Result(
        id=str(row.get("id")),
        ret=row.get("return"),
        retcode=_worst(retcode),
        success=bool(row.get("success", True)),
        out=row.get("out") if isinstance(row.get("out"), str) else None,
        fun=row.get("fun", ""),
        jid=jid,
    )


def _worst(retcode: object) -> int:
    """One exit code; a job of several functions has one for each."""
    if isinstance(retcode, dict):
        return max((_worst(each) for each in retcode.values()), default=0)
    return retcode if isinstance(retcode, int) else int(bool(retcode))


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
