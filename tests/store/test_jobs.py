"""What every job store does, whatever is behind it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import gevent
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from greensalt.errors import StoreError, UnknownJob, Unstorable
from greensalt.store.jobs import Job, JobStore
from greensalt.store.sqlite import SqliteStore
from tests.store._samples import a_job, a_return


def _sqlite(path: Path) -> JobStore:
    return SqliteStore(path / "jobs.db", max_value_bytes=1 << 20)


@pytest.fixture(params=[_sqlite])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobStore]:
    store: JobStore = request.param(tmp_path)
    yield store
    store.close()


FRESH_JIDS = (f"{number:020d}" for number in itertools.count(1))
KEPT = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(min_value=datetime(1000, 1, 1)),  # noqa: DTZ001  # the wire's are naive
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
loads = st.dictionaries(st.text(), values, max_size=4)
ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
functions = st.sampled_from(["test.ping", "cmd.run", "state.apply"])


# -- one job and its returns ---------------------------------------------------------------------


@KEPT
@given(
    fun=functions | st.lists(functions, min_size=1, max_size=3),
    arg=st.lists(values, max_size=3),
    tgt=st.text() | st.lists(ids, max_size=3),
    minions=st.lists(ids, unique=True, max_size=4),
    missing=st.lists(ids, unique=True, max_size=4),
    load=loads,
    started=st.floats(0, 4e9),
)
def test_a_job_comes_back_as_it_was(store: JobStore, **fields: Any) -> None:
    job = a_job(next(FRESH_JIDS), **fields)
    store.add_job(job)
    assert store.job(job.jid) == job


@KEPT
@given(
    minion_id=ids,
    fun=functions | st.lists(functions, max_size=3),
    ret=values,
    retcode=st.integers(-5, 300) | st.dictionaries(functions, st.integers(0, 3)),
    load=loads,
)
def test_a_return_comes_back_as_it_was(
    store: JobStore, minion_id: str, ret: Any, load: dict[str, Any], **fields: Any
) -> None:
    job = a_job(next(FRESH_JIDS))
    store.add_job(job)
    for whole in (load, {**load, "return": ret}):  # alike in the load, or not at all in it
        sent = a_return(job.jid, minion_id, received=12.5, load=whole, **fields)._replace(ret=ret)
        assert store.add_return(sent) is (whole is load)
    (kept,) = store.returns(job.jid)
    assert kept == a_return(job.jid, minion_id, received=12.5, load=load, **fields)._replace(
        ret=ret, seq=kept.seq
    )


@KEPT
@given(ret=values)
def test_a_value_that_is_the_same_object_in_the_load_is_kept_once(
    store: JobStore, ret: Any
) -> None:
    job = a_job(next(FRESH_JIDS))
    store.add_job(job)
    store.add_return(a_return(job.jid, "alpha", ret))
    (kept,) = store.returns(job.jid)
    assert kept.ret == ret
    assert kept.load == a_return(job.jid, "alpha", ret).load


def test_an_unknown_job_is_none_and_has_no_returns(store: JobStore) -> None:
    assert store.job("20260101000000000000") is None
    assert store.returns("20260101000000000000") == []
    assert store.returned("20260101000000000000") == []


def test_the_first_return_of_a_minion_stays(store: JobStore) -> None:
    store.add_job(a_job("1"))
    assert store.add_return(a_return("1", "alpha", "first")) is True
    assert store.add_return(a_return("1", "alpha", "second")) is False
    assert [ret.ret for ret in store.returns("1")] == ["first"]


def test_of_returns_that_arrive_together_the_first_of_each_minion_stays(store: JobStore) -> None:
    store.add_job(a_job("1"))
    attempts = [
        gevent.spawn(store.add_return, a_return("1", f"m{number % 7}", number))
        for number in range(300)
    ]
    gevent.joinall(attempts, raise_error=True)
    assert [attempt.value for attempt in attempts] == [True] * 7 + [False] * 293
    assert [(ret.id, ret.ret) for ret in store.returns("1")] == [(f"m{n}", n) for n in range(7)]


def test_the_same_minion_may_return_for_two_jobs(store: JobStore) -> None:
    for jid in ("1", "2"):
        store.add_job(a_job(jid))
        assert store.add_return(a_return(jid, "alpha", jid))
    assert [ret.ret for ret in store.returns("2")] == ["2"]
    assert store.returned("1") == ["alpha"]


def test_a_return_for_an_unknown_job_is_refused_and_those_beside_it_are_kept(
    store: JobStore,
) -> None:
    store.add_job(a_job("1"))
    attempts = [
        gevent.spawn(_outcome, store, a_return("1" if number % 3 else "9", f"m{number:02d}"))
        for number in range(30)
    ]
    gevent.joinall(attempts, raise_error=True)
    outcomes = [attempt.value for attempt in attempts]
    assert outcomes == [True if number % 3 else "UnknownJob 9" for number in range(30)]
    assert store.returned("1") == [f"m{number:02d}" for number in range(30) if number % 3]


def test_returns_that_are_kept_together_have_a_result_each(store: JobStore) -> None:
    store.add_job(a_job("1"))
    sent = [a_return("1", "a"), a_return("9", "a"), a_return("1", "a", 2), a_return("1", "b")]
    first, unknown, repeated, other = store.add_returns([store.packed_return(ret) for ret in sent])
    assert (first, repeated, other) == (True, False, True)
    assert isinstance(unknown, UnknownJob)
    assert [(ret.id, ret.ret) for ret in store.returns("1")] == [
        ("a", sent[0].ret),
        ("b", sent[3].ret),
    ]
    assert store.add_returns([]) == []


def _outcome(store: JobStore, ret: Any) -> bool | str:
    try:
        return store.add_return(ret)
    except UnknownJob as error:
        return f"UnknownJob {error.jid}"


@pytest.mark.parametrize("value", ["x" * (1 << 20), object(), "\ud800"])
def test_a_value_that_can_not_be_kept_is_refused_alone(store: JobStore, value: object) -> None:
    store.add_job(a_job("1"))
    with pytest.raises(Unstorable, match="can't be kept"):
        store.add_return(a_return("1", "alpha", value))
    with pytest.raises(Unstorable, match="can't be kept"):
        store.packed_return(a_return("1", "alpha", value))
    with pytest.raises(Unstorable, match="can't be kept"):
        store.add_job(a_job("2", load={"arg": value}))
    assert store.add_return(a_return("1", "beta"))
    assert store.returned("1") == ["beta"]
    assert store.job("2") is None


# -- following a job -----------------------------------------------------------------------------


def test_pages_follow_each_other_by_the_cursor(store: JobStore) -> None:
    store.add_job(a_job("1"))
    store.add_job(a_job("2"))
    for number in range(25):
        store.add_return(a_return("1", f"m{number}", number))
        store.add_return(a_return("2", f"m{number}", -number))
    seen: list[int] = []
    cursor = 0
    while page := store.returns("1", after=cursor, limit=10):
        assert len(page) <= 10
        seen += [ret.ret for ret in page]
        cursor = page[-1].seq
    assert seen == list(range(25))


def test_a_page_ends_before_it_is_too_large_but_has_one_return(store: JobStore) -> None:
    store.add_job(a_job("1"))
    for number in range(4):
        store.add_return(a_return("1", f"m{number}", bytes(100_000)))
    assert len(store.returns("1", max_bytes=1)) == 1
    assert len(store.returns("1", max_bytes=250_000)) == 2
    assert len(store.returns("1", max_bytes=1_000_000)) == 4


def test_a_follower_sees_every_return_once_while_many_write(store: JobStore) -> None:
    store.add_job(a_job("1"))
    cursors: list[int] = []
    seen: list[str] = []

    def follow() -> None:
        while len(seen) < 400:
            for ret in store.returns("1", after=cursors[-1] if cursors else 0, limit=30):
                cursors.append(ret.seq)
                seen.append(ret.id)

    def write(writer: int) -> None:
        for number in range(10):
            assert store.add_return(a_return("1", f"m{writer}-{number}"))

    with gevent.Timeout(60):
        following = gevent.spawn(follow)
        gevent.joinall([gevent.spawn(write, writer) for writer in range(40)], raise_error=True)
        following.get()
    assert cursors == sorted(set(cursors))
    assert sorted(seen) == sorted({f"m{writer}-{n}" for writer in range(40) for n in range(10)})


def test_a_question_that_makes_no_sense_is_an_error_of_the_store(store: JobStore) -> None:
    for ask in (
        lambda: store.returns("1", after=1 << 70),
        lambda: store.job("\udc80"),
        lambda: store.list_jobs(minion="\udc80"),
    ):
        with pytest.raises(StoreError, match="can't be asked"):
            ask()
    assert store.returns("1") == []


# -- expected minions ----------------------------------------------------------------------------


def test_a_job_that_is_published_again_expects_the_minions_of_both(store: JobStore) -> None:
    first = a_job("1", minions=["b", "a"], missing=["x", "c"], user="ann", started=5.0)
    store.add_job(first)
    assert store.job("1") == first
    store.add_job(a_job("1", minions=["c", "a"], missing=["y"], user="bob", started=9.0))
    assert store.job("1") == first._replace(minions=["a", "b", "c"], missing=["x", "y"])
    assert [job.user for job in store.list_jobs()] == ["ann"]


def test_minions_can_be_added_to_a_job(store: JobStore) -> None:
    store.add_job(a_job("1", minions=["a"]))
    store.extend_minions("1", ["c", "b"])
    store.extend_minions("1", ["b"])
    job = store.job("1")
    assert job is not None
    assert job.minions == ["a", "b", "c"]
    with pytest.raises(UnknownJob, match="no job 2"):
        store.extend_minions("2", ["a"])


# -- listing -------------------------------------------------------------------------------------

listed_jobs: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(
        dict,
        fun=functions | st.lists(functions, min_size=1, max_size=3),
        user=st.sampled_from(["root", "ann"]),
        started=st.integers(0, 9).map(float),
        minions=st.lists(st.sampled_from(["alpha", "beta"]), unique=True),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=30)
@given(
    jobs=listed_jobs,
    since=st.none() | st.floats(-1, 10),
    until=st.none() | st.floats(-1, 10),
    fun=st.none() | functions,
    user=st.none() | st.sampled_from(["root", "ann", "nobody"]),
    minion=st.none() | st.sampled_from(["alpha", "gamma"]),
    limit=st.integers(1, 12),
)
def test_listing_gives_the_newest_jobs_that_fit_all_filters(
    tmp_path_factory: pytest.TempPathFactory,
    jobs: list[dict[str, Any]],
    since: float | None,
    until: float | None,
    fun: str | None,
    user: str | None,
    minion: str | None,
    limit: int,
) -> None:
    store = SqliteStore(tmp_path_factory.mktemp("listing") / "jobs.db", sync="normal")
    added = []
    for number, fields in enumerate(jobs):
        job = a_job(str(number), **fields)
        added.append(job)
        store.add_job(job)
        for minion_id in job.minions:
            store.add_return(a_return(job.jid, minion_id))
    fitting = [
        job
        for job in added
        if (since is None or job.started >= since)
        and (until is None or job.started <= until)
        and (fun is None or fun in ([job.fun] if isinstance(job.fun, str) else job.fun))
        and user in (None, job.user)
        and (minion is None or minion in job.minions)
    ]
    fitting.sort(key=lambda job: (job.started, int(job.jid)), reverse=True)
    listed = store.list_jobs(since, until, fun, user, minion, limit)
    store.close()
    assert [entry.jid for entry in listed] == [job.jid for job in fitting[:limit]]
    for entry, job in zip(listed, fitting, strict=False):
        shown = {**job._asdict(), "options": job.load.get("kwargs", {})}
        assert entry._asdict() == {name: shown[name] for name in entry._fields}


# -- pruning -------------------------------------------------------------------------------------


def _with_jobs(store: JobStore, ages_s: list[float], returns: int = 3, size: int = 1) -> None:
    now = time.time()
    for number, age_s in enumerate(ages_s):
        store.add_job(a_job(str(number), started=now - age_s))
        tasks = [
            gevent.spawn(store.add_return, a_return(str(number), f"m{n}", bytes(size)))
            for n in range(returns)
        ]
        gevent.joinall(tasks, raise_error=True)


def test_jobs_beyond_an_age_are_removed_with_their_returns(store: JobStore) -> None:
    _with_jobs(store, [500, 50, 400, 0])
    assert store.prune(100, 0) == 2
    assert {job.jid for job in store.list_jobs()} == {"1", "3"}
    for jid in ("0", "2"):
        assert store.job(jid) is None
        assert store.returns(jid) == []
        assert store.returned(jid) == []
        with pytest.raises(UnknownJob):
            store.add_return(a_return(jid, "late"))
    assert len(store.returns("1")) == 3
    assert store.prune(100, 0) == 0


def test_without_limits_nothing_is_removed(store: JobStore) -> None:
    _with_jobs(store, [1e9, 5])
    assert store.prune(0, 0) == 0
    assert len(store.list_jobs()) == 2


def test_a_jid_that_was_removed_can_be_used_again(store: JobStore) -> None:
    _with_jobs(store, [500])
    assert store.prune(100, 0) == 1
    store.add_job(a_job("0", minions=["z"]))
    assert store.returns("0") == []
    assert store.add_return(a_return("0", "m0", "new"))
    assert [ret.ret for ret in store.returns("0")] == ["new"]


def test_the_oldest_jobs_go_until_the_store_is_small_enough(store: JobStore) -> None:
    _with_jobs(store, [float(age) for age in range(40, 0, -1)], returns=10, size=5_000)
    removed = store.prune(0, 1 << 20)
    # 40 jobs of 50 kB each: 20 of them are about 1 MB.
    assert 15 <= removed <= 25
    assert [job.jid for job in store.list_jobs()] == [str(n) for n in range(39, removed - 1, -1)]
    assert store.prune(0, 1 << 20) == 0


def test_returns_are_committed_while_old_jobs_are_removed(store: JobStore) -> None:
    _with_jobs(store, [500] * 4, returns=800)
    store.add_job(a_job("new", started=time.time()))
    pruning = gevent.spawn(store.prune, 100, 0)
    during = 0
    while not pruning.ready():
        assert store.add_return(a_return("new", f"n{during}"))
        during += 1
    assert pruning.get() == 4
    assert during >= 4  # slices in between, several for each job
    assert len(store.returned("new")) == during


def test_no_half_removed_job_is_ever_seen(store: JobStore) -> None:
    _with_jobs(store, [500] * 3, returns=800)
    pruning = gevent.spawn(store.prune, 100, 0)
    while not pruning.ready():
        for jid in ("0", "1", "2"):
            assert len(store.returns(jid, limit=2000)) in (0, 800)
    assert store.list_jobs() == []


# -- the end -------------------------------------------------------------------------------------


def test_closing_finishes_what_was_begun_and_refuses_what_comes_later(
    store: JobStore, tmp_path: Path
) -> None:
    store.add_job(a_job("1"))
    pending = [
        gevent.spawn(store.add_return, a_return("1", f"m{number:03d}")) for number in range(500)
    ]
    gevent.sleep(0)  # they are all in the queue now
    store.close()
    gevent.joinall(pending, raise_error=True)
    assert all(attempt.value for attempt in pending)
    with pytest.raises(StoreError, match="closed"):
        store.add_return(a_return("1", "late"))
    with pytest.raises(StoreError, match="closed"):
        store.job("1")
    store.close()
    again = _sqlite(tmp_path)
    assert again.returned("1") == [f"m{number:03d}" for number in range(500)]
    again.close()


def test_a_killed_writer_harms_nobody_else(store: JobStore) -> None:
    store.add_job(a_job("1"))
    pending = [gevent.spawn(store.add_return, a_return("1", f"m{n}")) for n in range(20)]
    gevent.sleep(0)
    pending[7].kill()
    gevent.joinall(pending)
    others = [attempt for number, attempt in enumerate(pending) if number != 7]
    assert all(attempt.value is True for attempt in others)


def test_jobs_are_whole_after_a_restart(store: JobStore, tmp_path: Path) -> None:
    job: Job = a_job("1", minions=["a", "b"])
    store.add_job(job)
    store.add_return(a_return("1", "a"))
    (before,) = store.returns("1")
    store.close()
    again = _sqlite(tmp_path)
    assert again.job("1") == job
    assert again.returns("1") == [before]
    assert again.add_return(a_return("1", "a")) is False
    assert again.add_return(a_return("1", "b")) is True
    assert [ret.id for ret in again.returns("1", after=before.seq)] == ["b"]
    again.close()
