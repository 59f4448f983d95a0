"""What minions have other minions or the master do: peer publish and peer run.

    peer:                       peer_run:
      web.*:                      web.*:
        - test.*                    - manage.up

Both map regular expressions of ids to those of functions, matched from the start. Nothing is
allowed by default. Source: docs/protocol.md 6.2, 6.4; docs/peer.md.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from greensalt.config import MasterConfig
from greensalt.errors import MalformedMessage, TargetError
from greensalt.master.access.rules import allowed_to, at_start, may_publish
from greensalt.master.jobs import Jobs
from greensalt.master.runs import Runs
from greensalt.master.sessions import Peer
from greensalt.store.jobs import JobStore, Return, returns_of
from greensalt.target import Roster, expand_compound, expand_nodegroup, expected
from greensalt.wire.ids import check_minion_id
from greensalt.wire.jid import is_jid
from greensalt.wire.words import parse_args

log = logging.getLogger(__name__)

TARGET_MOST_CHARS: Final = 4096
FUNCTIONS_MOST: Final = 20
OF_PEERS: Final = "peer"  # who knows the user of such a run: no back end of users does
NEEDED: Final = ("fun", "arg", "tgt", "ret")
PUBLISHERS_KEPT: Final = 1000  # in memory; the job store knows the others
RATE: Final = 5.0  # publishes and runs of one minion in a second, in the long run
BURST: Final = 30.0
AT_ONCE: Final = 4  # requests of one minion that the master waits for something in
AT_ONCE_OF_ALL: Final = 100
WAIT_MOST_S: Final = 60.0  # a stock minion gives its request up then

PILLAR_TYPES: Final = frozenset({"pillar", "pillar_pcre", "compound"})


class PeerRequests:
    """The handlers of `minion_pub`, `pub_ret`, `minion_publish` and `minion_runner`.

    `counts` counts what was done and what was refused, by reason.
    """

    def __init__(
        self,
        config: MasterConfig,
        jobs: Jobs,
        store: JobStore,
        roster: Roster,
        runs: Runs,
    ) -> None:
        self._config = config
        self._jobs = jobs
        self._store = store
        self._roster = roster
        self._runs = runs
        self._publishers: OrderedDict[str, str] = OrderedDict()  # jid: who published it
        self._pace = Pace()
        self.counts: Counter[str] = Counter()

    # -- publish -----------------------------------------------------------------------------

    def publish(self, peer: Peer, load: dict[str, Any]) -> dict[str, Any]:
        """`minion_pub`: {jid, minions}, or {} when it is not allowed or nobody matches."""
        job = self._allowed(peer, load)
        if job is None or not self._in_pace(peer):
            return {}
        try:
            published = self._jobs.publish_for(self._config.user, job)
        except TargetError as error:
            return self._refused(peer, "target", str(error))
        if not published.jid:
            return self._refused(peer, "nobody", f"nobody matches {job['tgt']!r:.100}")
        self.counts["published"] += 1
        self._publishers[published.jid] = peer.id
        while len(self._publishers) > PUBLISHERS_KEPT:
            self._publishers.popitem(last=False)
        return {"jid": published.jid, "minions": published.minions}

    def returns(self, peer: Peer, load: dict[str, Any]) -> dict[str, Any]:
        """`pub_ret`: {minion: {ret, [out]}} so far, for who published the job and nobody else.

        The jid never becomes part of a path (CVE-2025-22242).
        """
        jid = load.get("jid")
        if not isinstance(jid, str) or not is_jid(jid) or self._publisher(jid) != peer.id:
            return self._refused(peer, "not its job", f"it did not publish the job {jid!r:.40}")
        return {row.id: _shown(row) for row in returns_of(self._store, jid)}

    def publish_and_wait(self, peer: Peer, load: dict[str, Any]) -> dict[str, Any]:
        """`minion_publish`, of old minions: {minion: value} once all have returned, or in time.

        With `form: full` a value is the whole return, and `__jid__` names the job.
        """
        timeout_s = _seconds(load.get("timeout", load.get("tmo")), self._config.timeout)
        if timeout_s is None:
            return self._refused(peer, "timeout", "its timeout is no number")
        with self._waiting(peer) as may_wait:
            published = self.publish(peer, load) if may_wait else {}
            if not published:
                return {}
            jid = published["jid"]
            rows = self._jobs.await_returns(jid, published["minions"], timeout_s)
            if load.get("form") == "full":
                return {**{row.id: {**row.load, "ret": row.ret} for row in rows}, "__jid__": jid}
            return {row.id: row.ret for row in rows}

    def _allowed(self, peer: Peer, load: Mapping[str, Any]) -> dict[str, Any] | None:
        """The job that a request asks for, if the minion may have it published."""
        job = self._job(peer, load)
        if job is None:
            return None
        functions, args = [job["fun"]], [job["arg"]]
        if isinstance(job["fun"], list):
            functions, args = job["fun"], job["arg"]
        if any(fun.lstrip().startswith("publish.") for fun in functions):
            self._refused(peer, "recursion", "a published job may not publish")
            return None
        rules = allowed_to(self._config.peer, peer.id)
        try:
            minions = expected(job["tgt"], job["tgt_type"], self._roster, widest=True).minions
            if not all(
                may_publish(rules, fun, arg, minions, self._resolve, at_start)
                for fun, arg in zip(functions, args, strict=True)
            ):
                self._refused(peer, "not allowed", f"`peer` does not allow {load['fun']!r:.100}")
                return None
            if not self._is_exact(job["tgt"], job["tgt_type"]):
                self._refused(peer, "pillar pattern", "pillar must be named exactly")
                return None
        except TargetError as error:
            self._refused(peer, "target", str(error))
            return None
        return job

    def _job(self, peer: Peer, load: Mapping[str, Any]) -> dict[str, Any] | None:
        """The publish load of a request; whose it is says the session."""
        if any(name not in load for name in NEEDED):
            self._refused(peer, "malformed", f"a publish needs {', '.join(NEEDED)}")
            return None
        fun, arg, tgt = load["fun"], load["arg"], load["tgt"]
        if (
            not isinstance(fun, str)
            or not isinstance(arg, list)
            or len(str(tgt)) > TARGET_MOST_CHARS
        ):
            raise MalformedMessage(f"{peer.id}: not a job to publish")
        no_parse = load.get("no_parse")
        no_parse = [str(name) for name in no_parse] if isinstance(no_parse, list) else []
        job = {
            "cmd": "minion_pub",
            "fun": fun,
            "arg": parse_args(arg, no_parse),
            "tgt": tgt,
            "tgt_type": str(load.get("tgt_type") or load.get("expr_form") or "glob"),
            "ret": str(load["ret"] or ""),
            "id": check_minion_id(peer.id),
            "kwargs": {},
        }
        if "," in fun:
            job["fun"] = [each.strip() for each in fun.split(",")]
            if len(job["fun"]) > FUNCTIONS_MOST or len(arg) != len(job["fun"]):
                self._refused(peer, "malformed", "several functions need an argument text for each")
                return None
            job["arg"] = [parse_args(_words(each), no_parse) for each in arg]
        return self._with_nodegroups(peer, job)

    def _with_nodegroups(self, peer: Peer, job: dict[str, Any]) -> dict[str, Any] | None:
        """Nodegroups as what they stand for: minions don't know them."""
        groups = self._config.nodegroups
        try:
            if job["tgt_type"].startswith("node"):
                return {
                    **job,
                    "tgt": expand_nodegroup(str(job["tgt"]), groups),
                    "tgt_type": "compound",
                }
            if job["tgt_type"] == "compound" and "N@" in str(job["tgt"]):
                return {**job, "tgt": expand_compound(job["tgt"], groups)}
        except TargetError as error:
            self._refused(peer, "target", str(error))
            return None
        return job

    def _is_exact(self, tgt: Any, tgt_type: str) -> bool:
        """Whether patterns for pillar find no more than the same texts taken literally.

        Else a minion could find out another one's pillar, character by character.
        """
        if tgt_type not in PILLAR_TYPES:
            return True
        loose = expected(tgt, tgt_type, self._roster).minions
        exact = expected(tgt, tgt_type, self._roster, exact_pillar=True).minions
        return set(exact).issuperset(loose)

    def _resolve(self, target: str) -> Sequence[str]:
        return expected(
            target, "compound", self._roster, nodegroups=self._config.nodegroups
        ).minions

    def _publisher(self, jid: str) -> str | None:
        publisher = self._publishers.get(jid)
        if publisher is None:
            job = self._store.job(jid)
            # Only jobs of this room have that command; the master wrote it, not the minion.
            if job is not None and job.load.get("cmd") == "minion_pub":
                publisher = str(job.load.get("id"))
        return publisher

    # -- run ---------------------------------------------------------------------------------

    def run(self, peer: Peer, load: dict[str, Any]) -> Any:
        """`minion_runner`: what a runner returns, or {} when it is not allowed."""
        fun, arg = load.get("fun"), load.get("arg")
        if not isinstance(fun, str) or not isinstance(arg, list):
            return self._refused(peer, "malformed", "a run needs fun and arg")
        rules = allowed_to(self._config.peer_run, peer.id)
        if not any(isinstance(rule, str) and at_start(rule, fun) for rule in rules):
            return self._refused(peer, "not allowed", f"`peer_run` does not allow {fun!r:.100}")
        no_parse = load.get("no_parse")
        words = parse_args(arg, no_parse if isinstance(no_parse, list) else [])
        named: dict[str, Any] = {}
        if words and isinstance(words[-1], dict) and words[-1].pop("__kwarg__", None):
            named = words.pop()
        with self._waiting(peer) as may_wait:
            if not may_wait or not self._in_pace(peer):
                return {}
            self.counts["run"] += 1
            return self._runs.call("runner", fun, words, named, peer.id, OF_PEERS).ret

    # -- limits ------------------------------------------------------------------------------

    def _in_pace(self, peer: Peer) -> bool:
        if self._pace.take(peer.id):
            return True
        self._refused(peer, "too many", "it asks for too much; see docs/peer.md")
        return False

    @contextmanager
    def _waiting(self, peer: Peer) -> Iterator[bool]:
        """A place among the requests that the master waits in; False when there is none."""
        free = self._pace.enter(peer.id)
        if not free:
            self._refused(peer, "too many at once", "it waits for too much at once")
        try:
            yield free
        finally:
            if free:
                self._pace.leave(peer.id)

    def _refused(self, peer: Peer, reason: str, text: str) -> dict[str, Any]:
        self.counts[f"refused/{reason}"] += 1
        log.warning("a peer request of %s is refused: %s", peer.id, text)
        return {}


class Pace:
    """What one minion may ask for: some at once, then so many a second (a token bucket)."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # id: (left, when)
        self._inside: Counter[str] = Counter()

    def take(self, minion_id: str) -> bool:
        now = time.monotonic()
        left, when = self._buckets.pop(minion_id, (BURST, now))
        left = min(BURST, left + (now - when) * RATE)
        allowed = left >= 1
        self._buckets[minion_id] = (left - allowed, now)
        while self._buckets:  # those that are full again need not be remembered
            oldest, (left, when) = next(iter(self._buckets.items()))
            if left + (now - when) * RATE < BURST:
                break
            del self._buckets[oldest]
        return allowed

    def enter(self, minion_id: str) -> bool:
        if self._inside[minion_id] >= AT_ONCE or self._inside.total() >= AT_ONCE_OF_ALL:
            return False
        self._inside[minion_id] += 1
        return True

    def leave(self, minion_id: str) -> None:
        self._inside[minion_id] -= 1
        if not self._inside[minion_id]:
            del self._inside[minion_id]


def _words(text: Any) -> list[Any]:
    """The arguments of one of several functions, which come as one text or as a list."""
    if isinstance(text, str):
        return text.split()
    return list(text) if isinstance(text, list) else [text]


def _shown(row: Return) -> dict[str, Any]:
    return {"ret": row.ret, **({"out": row.load["out"]} if row.load.get("out") else {})}


def _seconds(value: Any, default_s: float) -> float | None:
    if value is None:
        return default_s
    try:
        return max(0.0, min(float(value), WAIT_MOST_S))
    except (TypeError, ValueError):
        return None
