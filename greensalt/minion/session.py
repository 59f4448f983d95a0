"""The minion's relation to its master: sign-in, trust, and requests under the session key.

Source: docs/protocol.md 2, 4.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import gevent
import gevent.socket
from gevent.lock import BoundedSemaphore

from greensalt.config import MinionConfig
from greensalt.crypto.crypticle import Crypticle, new_nonce
from greensalt.crypto.handshake import (
    Accepted,
    Full,
    MasterTrust,
    Pending,
    Rejected,
    SignInAttempt,
    open_pillar_reply,
    sign_in_request,
    tok,
    verify_reply,
)
from greensalt.crypto.keypair import PrivateKey, PublicKey, public_key
from greensalt.crypto.signing import sign_load
from greensalt.errors import (
    AuthenticationError,
    CryptoError,
    MalformedMessage,
    RequestRefused,
    RequestTimeout,
    SignInFailed,
    SignInRefused,
    TransportError,
)
from greensalt.green import offload
from greensalt.serializers import MSGPACK, Codec, find, served
from greensalt.store.minionkeys import MinionKeys
from greensalt.transport.addresses import tcp
from greensalt.transport.request import ReqChannel
from greensalt.transport.sockets import Context
from greensalt.wire.envelope import (
    BAD_LOAD,
    EncryptedReply,
    PillarReply,
    RefusedReply,
    clear_request,
    encrypted_request,
    parse_reply,
)

log = logging.getLogger(__name__)

SMALL_BYTES = 8192  # of a reply that the hub itself opens
SECRET_BYTES = 48  # fits under OAEP with either hash


class MasterSession:
    """Signs in and asks. One per minion; several greenlets may use it.

    `refused(reason)` is called when the key is rejected and that is final. After `sign_in`:
    `publish_port`, `master_key`, `aes` that opens publishes, and `codec` that requests are packed
    in; the master may send any of `codecs`. `sign_ins` counts the accepted; after each `settled()`
    is called. Raises SerializerUnusable when the configured serializer can't be used.
    """

    def __init__(
        self,
        config: MinionConfig,
        keys: MinionKeys,
        context: Context,
        grains: Callable[[], Mapping[str, Any]],
        refused: Callable[[str], object],
    ) -> None:
        self._config = config
        self._keys = keys
        self._context = context
        self._grains = grains
        self._refused = refused
        self._masters = list(config.masters)
        self._secret = os.urandom(SECRET_BYTES)
        self._one_sign_in = BoundedSemaphore(1)
        self._key: PrivateKey | None = None
        self._tok = b""
        self._channel: ReqChannel | None = None
        self._session: Crypticle | None = None
        self.address = ""  # the master's, resolved
        self.publish_port = 0
        self.master_key: PublicKey | None = None
        self.aes: Crypticle | None = None
        self.last_serial = 0
        self._aes_key = ""
        self._wanted = find(config.serializer)
        self._missed = False
        self.codec: Codec = MSGPACK
        self.codecs = served([config.serializer])
        self.sign_ins = 0
        self.settled: Callable[[], object] = lambda: None

    # -- the way to the master ---------------------------------------------------------------

    def connect(self) -> None:
        """Load the own key, resolve the master's name, and make a channel to it.

        Waits `retry_dns` seconds between tries; raises TransportError when that is 0.
        """
        if self._key is None:
            self._key = offload(self._keys.own)
            self._tok = offload(tok, self._key)
        while True:
            try:
                self.resolve()
                return
            except TransportError as error:
                if not self._config.retry_dns:
                    raise
                log.error("%s; again in %g s", error, self._config.retry_dns)
                gevent.sleep(self._config.retry_dns)

    def resolve(self) -> bool:
        """Look the master's name up; True when its address is another one than before."""
        master = self._masters[0]
        family = 0 if self._config.ipv6 else gevent.socket.AF_INET
        try:
            found = gevent.socket.getaddrinfo(
                master.host, master.port, family, gevent.socket.SOCK_STREAM
            )
        except OSError as error:
            raise TransportError(f"the master {master.host!r} can't be resolved: {error}") from None
        host = str(found[0][4][0])
        changed = host != self.address
        self.address = host
        address = tcp(host, master.port)
        if self._channel is None:
            self._channel = ReqChannel(address, self._context, ipv6=bool(self._config.ipv6))
        elif self._channel.address != address:
            self._channel.move(address)
        return changed

    def next_master(self) -> None:
        """Turn to the next of several masters."""
        self._masters.append(self._masters.pop(0))

    def hurry(self) -> None:
        """The master was away and is back: what waits for a reply of before is sent again."""
        if self._channel is not None:
            self._channel.interrupt()

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()

    # -- sign-in -----------------------------------------------------------------------------

    def sign_in(self) -> None:
        """Present the key until the master accepts it.

        Raises SignInRefused when it is rejected (unless rejected_retry), AuthenticationError when
        the master can't be trusted.
        """
        with self._one_sign_in:
            self._sign_in()

    def renew(self, failed: Crypticle | None) -> None:
        """Sign in anew because `failed`, a session or publish key, opened nothing.

        Greenlets that find out together sign in once.
        """
        with self._one_sign_in:
            if failed is None or failed in (self._session, self.aes):
                log.info("signing in anew: the master does not accept the present keys")
                self._sign_in()

    def _sign_in(self) -> None:
        config = self._config
        wait_s, tries = config.acceptance_wait_time, 0
        while True:
            try:
                answer = self._attempt()
            except (TransportError, SignInFailed) as error:
                tries += 1
                log.warning("sign-in: %s", error)
                gevent.sleep(0.1 if isinstance(error, RequestTimeout) else 1.0)
                if tries % config.auth_tries == 0:
                    self._give_up_or_go_on(tries // config.auth_tries)
                continue
            if isinstance(answer, Accepted):
                self._settle(answer)
                return
            self._explain(answer)
            gevent.sleep(wait_s)
            if wait_s < config.acceptance_wait_time_max:
                wait_s = min(wait_s + config.acceptance_wait_time, config.acceptance_wait_time_max)

    def _attempt(self) -> Accepted | Pending | Rejected | Full:
        config, key, channel = self._config, self._key, self._channel
        assert key is not None  # connect() came first
        assert channel is not None
        attempt = SignInAttempt(
            id=config.id,
            key=key,
            nonce=new_nonce(),
            secret=self._secret,
            trust=self._trust(),
            enc_algo=config.encryption_algorithm,
            sig_algo=config.signing_algorithm,
            serializer=None if self._wanted is MSGPACK else self._wanted.name,
        )
        grains = self._grains()
        autosign = {name: grains.get(name) for name in config.autosign_grains}
        load = offload(sign_in_request, attempt, autosign)
        body = channel.request(clear_request(load), config.auth_timeout or 60)
        return offload(verify_reply, body, attempt)

    def _trust(self) -> MasterTrust:
        config = self._config
        cached, signing_key = (
            self._keys.master_pem(),
            self._keys.sign_key(config.master_sign_key_name),
        )
        return MasterTrust(
            cached=public_key(cached) if cached else None,
            signing_key=signing_key,
            verify_signature=config.verify_master_pubkey_sign,
            always_verify=config.always_verify_signature,
            finger=config.master_finger,
            hash_type=config.hash_type,
        )

    def _settle(self, answer: Accepted) -> None:
        if answer.is_new:
            self._keys.trust_master(answer.master_key.pem)
            log.info("the master's key has the fingerprint %s", answer.master_key.fingerprint())
        self.master_key = answer.master_key
        self._session = Crypticle(answer.session)
        if answer.aes != self._aes_key:  # serials belong to the key
            self._aes_key, self.aes, self.last_serial = answer.aes, _publish_key(answer.aes), 0
        self.publish_port = self._config.publish_port or answer.publish_port
        self._agree(answer)
        self.sign_ins += 1
        log.info("signed in at %s", self.address)
        self.settled()

    def _agree(self, answer: Accepted) -> None:
        """The codec of this link: the configured one where the master grants it."""
        if answer.serializer is not None:
            self.codec, self._missed = self._wanted, False
            return
        self.codec = MSGPACK
        if self._wanted is not MSGPACK and not self._missed:
            self._missed = True
            log.warning("the master does not serve %s: msgpack it is", self._wanted.name)

    def _explain(self, answer: Pending | Rejected | Full) -> None:
        wait = f"; again in {self._config.acceptance_wait_time:g} s"
        if isinstance(answer, Rejected):
            message = (
                f"the master rejected the public key of {self._config.id}; an administrator of the"
                " master has to remove it there before this minion can join"
            )
            if not self._config.rejected_retry:
                self._refused(message)
                raise SignInRefused(message)
            log.error("%s%s", message, wait)
        elif isinstance(answer, Full):
            log.error("the master takes no more minions (max_minions)%s", wait)
        else:
            log.warning("the master has not accepted the key of %s yet%s", self._config.id, wait)

    def _give_up_or_go_on(self, rounds: int) -> None:
        """After auth_tries without an answer: another master, another address, or the end."""
        config = self._config
        if config.master_tries > 0 and rounds >= config.master_tries:
            raise AuthenticationError(f"no master answered after {rounds} rounds of sign-in")
        self.next_master()
        gevent.sleep(random.uniform(0, config.random_reauth_delay))
        self.connect()

    # -- requests ----------------------------------------------------------------------------

    def request(self, load: Mapping[str, Any], timeout_s: float = 0, tries: int = 0) -> Any:
        """The master's result for `load`; `id`, `nonce`, `ts` and `tok` are added.

        Raises RequestTimeout after `tries` times `timeout_s` seconds (0: as configured),
        RequestRefused when the master can't serve it.
        """
        return self._exchange(load, timeout_s, tries, self._open_result)

    def pillar(self, load: Mapping[str, Any]) -> dict[str, Any]:
        """The pillar for a `_pillar` load, proven to be the master's for this request."""
        result = self._exchange(load, 0, 0, self._open_pillar)
        assert isinstance(result, dict)
        return result

    def _exchange(
        self,
        load: Mapping[str, Any],
        timeout_s: float,
        tries: int,
        open_reply: Callable[[Any, str], Any],
    ) -> Any:
        timeout_s = timeout_s or self._config.request_channel_timeout
        tries = tries or self._config.request_channel_tries
        signed_in_anew = False
        while True:
            session, nonce = self._session, new_nonce()
            try:
                reply = self._send(load, nonce, timeout_s)
                if isinstance(reply, RefusedReply) and reply.reason != BAD_LOAD:
                    raise RequestRefused(f"the master refused {load.get('cmd')}: {reply.reason}")
                if not isinstance(reply, RefusedReply):
                    return open_reply(reply, nonce)
                trouble: Exception = RequestRefused(f"the master answered {reply.reason!r}")
            except RequestTimeout:
                tries -= 1
                if not tries:
                    raise
                continue
            except CryptoError as error:
                trouble = error
            if signed_in_anew:
                raise RequestRefused(f"{load.get('cmd')}: {trouble}") from trouble
            signed_in_anew = True
            self.renew(session)

    def _send(self, load: Mapping[str, Any], nonce: str, timeout_s: float) -> Any:
        config, channel = self._config, self._channel
        if self._session is None or channel is None or self._key is None:
            raise RequestRefused("not signed in")
        full = {**load, "ts": int(time.time()), "id": config.id}
        if config.minion_sign_messages:
            full["sig"] = offload(sign_load, self._key, full, config.signing_algorithm)
        full["nonce"], full["tok"] = nonce, self._tok
        packet = self._session.dumps(full, codec=self.codec)
        body = encrypted_request(
            config.id, packet, config.encryption_algorithm, config.signing_algorithm
        )
        return parse_reply(channel.request(body, timeout_s))

    def _open_result(self, reply: Any, nonce: str) -> Any:
        if not isinstance(reply, EncryptedReply) or self._session is None:
            raise MalformedMessage("the reply is not encrypted")
        if len(reply.packet) <= SMALL_BYTES:
            return self._session.loads(reply.packet, nonce, self.codecs)
        # A box of its own: the session's belongs to the hub's thread.
        box = Crypticle(self._session.key_string)
        return offload(box.loads, reply.packet, nonce, self.codecs)

    def _open_pillar(self, reply: Any, nonce: str) -> dict[str, Any]:
        if not isinstance(reply, PillarReply):
            raise RequestRefused("the master sent no pillar")
        assert self._key is not None
        assert self.master_key is not None
        return offload(
            open_pillar_reply,
            reply,
            nonce,
            minion_key=self._key,
            master_key=self.master_key,
            enc_algo=self._config.encryption_algorithm,
            sig_algo=self._config.signing_algorithm,
        )


@lru_cache(maxsize=2)
def _publish_key(key_string: str) -> Crypticle:
    """What opens publishes, the same object for all minions of this process."""
    return Crypticle(key_string)
