"""The last step of a job through the master: numbered, packed, encrypted, signed, sent.

Source: docs/protocol.md 5.1, 5.2, 9.3, 12.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gevent.lock import BoundedSemaphore

from greensalt.crypto.keypair import PrivateKey
from greensalt.crypto.signing import signed_publish
from greensalt.green import offload
from greensalt.master.codecs import ServedCodecs
from greensalt.master.publishkey import PublishKey
from greensalt.transport.publish import Pusher


class Dispatch:
    """Hands jobs to the Publishers, of which `pushers` has one per codec, by its name.

    `sign` is the key to sign with, or None. `sent` counts jobs.
    """

    def __init__(
        self,
        pushers: Mapping[str, Pusher],
        codecs: ServedCodecs,
        publish_key: PublishKey,
        sign: PrivateKey | None,
        algo: str,
    ) -> None:
        self._pushers = pushers
        self._codecs = codecs
        self._publish_key = publish_key
        self._sign = sign
        self._algo = algo
        self._in_order = BoundedSemaphore(1)  # serials leave in the order they were taken
        self.sent = 0

    def send(self, publish: dict[str, Any], topics: Sequence[bytes]) -> None:
        """Publish a job, once per codec in use, under one serial: a minion listens to one.

        It goes to each of `topics`, of which b"" means that there are none.
        All are signed before the first is sent, so that no link has the job earlier.
        """
        with self._in_order:
            numbered = {**publish, "serial": self._publish_key.next_serial()}
            crypticle = self._publish_key.crypticle
            # At once: a rotation can't come between the serial and its key.
            packets = {
                codec.name: crypticle.dumps(numbered, codec=codec)
                for codec in self._codecs.publishing()
            }
            frames = {
                name: signed_publish(packet, None, self._algo)
                if self._sign is None
                else offload(signed_publish, packet, self._sign, self._algo)
                for name, packet in packets.items()
            }
            for name, frame in frames.items():
                for topic in topics:
                    self._pushers[name].push([topic, frame] if topic else [frame])
            self.sent += 1
