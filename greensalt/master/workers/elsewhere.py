"""The master's side of the worker processes: what is given away, and what is done with answers.

Only commands that read and need the processor are given away. What a pillar request leaves behind,
the cached grains and pillar and the event about them, is the master's part, so that it happens once
however often the request was tried.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from greensalt.errors import MalformedMessage
from greensalt.master.sessions import Peer
from greensalt.master.workers.handover import Refused, pack_ask, read_answer
from greensalt.transport.outside import Outside

log = logging.getLogger(__name__)

GIVEN_AWAY: Final = frozenset(
    {
        "_pillar",
        "_serve_file",
        "_file_list",
        "_file_list_emptydirs",
        "_dir_list",
        "_symlink_list",
        "_file_hash",
        "_file_hash_and_stat",
    }
)


class Elsewhere:
    """Gives requests to worker processes. `served` counts by command, `refused` what came back.

    `keep(minion_id, grains, pillar)` gets, packed, what a minion told and was told.
    """

    def __init__(
        self, outside: Outside, stamp: bytes, keep: Callable[[str, bytes, bytes], object]
    ) -> None:
        self.commands = GIVEN_AWAY
        self._outside = outside
        self._stamp = stamp
        self._keep = keep
        self.served: Counter[str] = Counter()
        self.refused = 0

    def reserve(self) -> bool:
        """Whether a worker has room for one more; then `serve` must be called."""
        return self._outside.reserve()

    def is_there(self) -> bool:
        """Whether any worker process is connected."""
        return self._outside.workers > 0

    def serve(self, command: str, peer: Peer, load: dict[str, Any]) -> bytes | None:
        """The finished reply; None when the work has to be done here. Raises StoreError."""
        try:
            body = pack_ask(self._stamp, command, peer, load)
        except MalformedMessage:
            body = b""  # refused by the worker: so the place that was reserved is used up
        raw = self._outside.ask(body)
        if raw is None:
            return None
        try:
            answer = read_answer(raw)
        except MalformedMessage as error:
            answer = Refused(str(error))
        if isinstance(answer, Refused):
            self.refused += 1
            log.warning("a worker process did not do %s: %s", command, answer.why)
            return None
        self.served[command] += 1
        if command == "_pillar":
            self._keep(peer.id, answer.grains, answer.pillar)
        return answer.reply
