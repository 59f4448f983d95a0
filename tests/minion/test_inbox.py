"""Publishes: verified, opened, numbered, matched, in this order (docs/protocol.md 5.3, 9.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from greensalt.crypto.crypticle import Crypticle, generate_key_string
from greensalt.crypto.keypair import PrivateKey, PublicKey
from greensalt.errors import RequestTimeout
from greensalt.minion.inbox import Inbox
from greensalt.minion.journal import Journal
from greensalt.serializers import served
from greensalt.wire.dialect import pack
from greensalt.wire.envelope import publish_frame

JID = "20260101000000000000"
ALGO = "PKCS1v15-SHA1"


@cache
def key(number: int) -> PrivateKey:
    assert number >= 0
    return PrivateKey.generate(1024)


class Session:
    """The part of a MasterSession that the inbox uses."""

    def __init__(self) -> None:
        self.aes = Crypticle(generate_key_string())
        self.master_key: PublicKey = key(0).public
        self.codecs = served(["orjson"])
        self.last_serial = 0
        self.renewed = 0
        self.next_aes: Crypticle | None = None
        self.is_down = False

    def renew(self, failed: Crypticle | None) -> None:
        assert failed is self.aes
        self.renewed += 1
        if self.is_down:
            raise RequestTimeout("no master")
        if self.next_aes is not None:
            self.aes, self.last_serial = self.next_aes, 0


class Facts:
    id = "web1"
    grains: Mapping[str, Any] = {"os": "Debian"}
    pillar: Mapping[str, Any] = {}


class Bench:
    """An inbox and its master."""

    def __init__(self, **options: Any) -> None:
        self.session = Session()
        self.jobs: list[dict[str, Any]] = []
        self.journal = journal = Journal(Path("/nowhere/jobs"), 3)  # never opened, never written
        wanted = {"verify": True, "topics": frozenset({b""}), "journal": journal, **options}
        self.inbox = Inbox(self.session, Facts(), self.jobs.append, **wanted)  # type: ignore[arg-type]  # only what the inbox uses
        self.serial = 0

    def load(self, **fields: Any) -> dict[str, Any]:
        self.serial += 1
        full = {
            "fun": "test.ping",
            "arg": [],
            "tgt": "*",
            "tgt_type": "glob",
            "jid": JID,
            "ret": "",
            "user": "root",
            "serial": self.serial,
            **fields,
        }
        return {name: value for name, value in full.items() if value is not None}

    def frame(
        self, load: Any, aes: Crypticle | None = None, signer: int | None = 0, algo: str = ALGO
    ) -> bytes:
        packet = (aes or self.session.aes).dumps(load)
        if signer is None:
            return publish_frame(packet, None, None)
        return publish_frame(packet, key(signer).sign(packet, ALGO), algo)

    def take(self, *frames: bytes) -> str:
        """Give the inbox one message; what it counted it as."""
        before = dict(self.inbox.counts)
        self.inbox.take(list(frames))
        return next(
            name for name, count in self.inbox.counts.items() if count != before.get(name, 0)
        )


def test_a_job_for_this_minion_is_taken_without_its_serial() -> None:
    bench = Bench()
    assert bench.take(bench.frame(bench.load())) == "taken"
    (job,) = bench.jobs
    assert (job["jid"], job["fun"]) == (JID, "test.ping")
    assert "serial" not in job


@pytest.mark.parametrize("signer", [None, 1])
def test_cve_2017_7893_a_publish_that_the_master_did_not_sign_is_refused(
    signer: int | None,
) -> None:
    """Every minion has the publish key; only the signature tells the master from a minion."""
    bench = Bench()
    assert bench.take(bench.frame(bench.load(), signer=signer)) == "refused"
    assert bench.jobs == []
    assert bench.session.renewed == 0


def test_a_signature_of_other_bytes_is_refused() -> None:
    bench = Bench()
    packet, other = (bench.session.aes.dumps(bench.load()) for _ in range(2))
    assert bench.take(publish_frame(packet, key(0).sign(other, ALGO), ALGO)) == "refused"


def test_a_signature_by_an_algorithm_that_is_not_allowed_is_refused() -> None:
    bench = Bench()
    assert bench.take(bench.frame(bench.load(), algo="none")) == "refused"


def test_without_sign_pub_messages_an_unsigned_publish_is_taken() -> None:
    bench = Bench(verify=False)
    assert bench.take(bench.frame(bench.load(), signer=None)) == "taken"


def test_a_publish_under_a_new_key_is_read_after_signing_in_anew() -> None:
    bench = Bench()
    bench.session.next_aes = Crypticle(generate_key_string())
    frame = bench.frame(bench.load(), bench.session.next_aes)
    assert bench.take(frame) == "taken"
    assert bench.session.renewed == 1


def test_a_publish_under_a_foreign_key_is_refused_after_one_sign_in() -> None:
    bench = Bench()
    foreign = Crypticle(generate_key_string())
    assert bench.take(bench.frame(bench.load(), foreign)) == "refused"
    assert bench.session.renewed == 1


def test_a_master_that_is_away_while_its_key_changed_costs_the_job_and_no_more() -> None:
    bench = Bench()
    bench.session.is_down = True
    assert bench.take(bench.frame(bench.load(), Crypticle(generate_key_string()))) == "failed"
    assert bench.take(bench.frame(bench.load())) == "taken"


def test_cve_2022_22936_a_publish_is_not_taken_twice() -> None:
    bench = Bench()
    frame = bench.frame(bench.load())
    assert bench.take(frame) == "taken"
    assert bench.take(frame) == "replayed"
    assert bench.take(bench.frame(bench.load(serial=1, jid=JID[:-1] + "1"))) == "replayed"
    assert bench.take(bench.frame(bench.load(serial="x"))) == "replayed"


def test_a_new_key_begins_a_new_row_of_serials() -> None:
    bench = Bench()
    assert bench.take(bench.frame(bench.load(serial=500))) == "taken"
    bench.session.next_aes = Crypticle(generate_key_string())
    fresh = bench.load(serial=1, jid=JID[:-1] + "1")
    assert bench.take(bench.frame(fresh, bench.session.next_aes)) == "taken"


def test_the_target_is_matched_before_the_jid_is_remembered() -> None:
    """One jid may be published to several lists (docs/protocol.md 8.4)."""
    bench = Bench()
    assert bench.take(bench.frame(bench.load(tgt="db*"))) == "not meant"
    assert bench.take(bench.frame(bench.load(tgt="web*"))) == "taken"
    assert bench.take(bench.frame(bench.load(tgt="web*"))) == "seen before"


def test_only_the_last_jids_are_remembered() -> None:
    bench = Bench()
    for number in range(4):
        assert bench.take(bench.frame(bench.load(jid=f"{JID[:-1]}{number}"))) == "taken"
    assert bench.take(bench.frame(bench.load(jid=f"{JID[:-1]}0"))) == "taken"


@pytest.mark.parametrize(
    ("tgt", "tgt_type"),
    [
        ("os:Debian", "grain"),
        (["web1", "x"], "list"),
        ("web\\d", "pcre"),
        ("G@os:Deb*", "compound"),
    ],
)
def test_other_kinds_of_target_match_by_the_minions_own_facts(tgt: Any, tgt_type: str) -> None:
    bench = Bench()
    assert bench.take(bench.frame(bench.load(tgt=tgt, tgt_type=tgt_type))) == "taken"


@pytest.mark.parametrize(
    "fields",
    [
        {"jid": "../../etc/passwd"},
        {"jid": None},
        {"jid": 7},
        {"fun": None},
        {"fun": 7},
        {"arg": "x"},
        {"arg": None},
        {"tgt": None},
        {"tgt": {}},
    ],
)
def test_what_is_no_job_is_not_run(fields: dict[str, Any]) -> None:
    bench = Bench()
    assert bench.take(bench.frame(bench.load(**fields))) == "not a job"


@pytest.mark.parametrize("load", [[], "text", 7, None])
def test_a_load_that_is_no_dictionary_is_refused(load: Any) -> None:
    bench = Bench()
    assert bench.take(bench.frame(load)) == "refused"


@pytest.mark.parametrize("body", [b"", b"\xc1", pack({"enc": "clear", "load": {}}), pack([])])
def test_garbage_is_counted_and_harms_nothing(body: bytes) -> None:
    bench = Bench()
    assert bench.take(body) == "refused"
    assert bench.take(b"a", b"b", b"c") == "other topic"
    assert bench.take(bench.frame(bench.load())) == "taken"


def test_with_zmq_filtering_other_topics_are_left_alone() -> None:
    bench = Bench(topics=frozenset({b"broadcast", b"mine"}))
    frame = bench.frame(bench.load())
    assert bench.take(b"theirs", frame) == "other topic"
    assert bench.take(b"mine", frame) == "taken"


def test_an_error_in_the_executor_is_counted_and_harms_nothing() -> None:
    bench = Bench()

    def broken(load: dict[str, Any]) -> None:
        raise OSError(load["jid"])

    submit: Callable[[dict[str, Any]], object] = broken
    bench.inbox._submit = submit
    assert bench.take(bench.frame(bench.load())) == "failed"


def test_a_missed_job_is_taken_once_whichever_way_it_comes() -> None:
    bench = Bench()
    load = bench.load(serial=None)
    assert bench.inbox.take_missed(dict(load))
    assert not bench.inbox.take_missed(dict(load))
    assert bench.take(bench.frame(bench.load())) == "seen before"
    assert len(bench.jobs) == 1


@pytest.mark.parametrize("fields", [{"tgt": "db*"}, {"jid": "x"}, {"arg": None}, {"fun": 3}])
def test_a_missed_job_passes_the_same_checks(fields: dict[str, Any]) -> None:
    bench = Bench()
    assert not bench.inbox.take_missed(bench.load(**fields))
    assert bench.jobs == []


def test_a_skipped_serial_says_that_a_job_was_missed() -> None:
    told: list[str] = []
    bench = Bench(missed=lambda: told.append("missed"))
    for serial, count in ((7, 0), (8, 0), (10, 1), (11, 1)):
        bench.take(bench.frame(bench.load(serial=serial, jid=f"2026010100000000{serial:04}")))
        assert len(told) == count
