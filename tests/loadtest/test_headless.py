from __future__ import annotations

import csv
import os
import re
import signal
from pathlib import Path

import pytest

from loadtest import _codecs
from tests._daemons import NEWEST, GreensaltMaster, free_port, stock_bin
from tests._locust import Locust

SHORT = ("--headless", "-u", "3", "-r", "3", "--pause", "0.05")
JOB_ROWS = (
    "publish acknowledged",
    "first return",
    "median return",
    "last return",
    "return accepted",
)
CODECS = _codecs.available()


def names(*payloads: str) -> set[str]:
    jobs = {f"{payload}: {what}" for payload in payloads for what in JOB_ROWS}
    return {*jobs, "event on the bus", "sign-in"}


@pytest.fixture(name="done", scope="module")
def _done(tmp_path_factory: pytest.TempPathFactory) -> Locust:
    """One run with every serializer that has ended by itself."""
    where = tmp_path_factory.mktemp("run")
    took = f"{10 + 2 * len(CODECS)}s"  # every user does everything at least once
    options = ("--payload", "ping", "binary", "--minions", "3", "-t", took)
    with Locust(where, *SHORT, *options) as locust:
        locust.wait_started()
        assert locust.child.wait(60) == 0, locust.child.tail()
        return locust


def test_a_run_without_preparation_fills_every_row_of_every_serializer(done: Locust) -> None:
    expected = {(codec, name) for codec in CODECS for name in names("ping", "binary")}
    assert set(done.rows()) == expected
    for row in done.rows().values():
        assert row["failures"] == 0
        assert row["requests"] >= 1


def test_every_job_counts_one_return_of_each_minion(done: Locust) -> None:
    rows = done.rows()
    for codec in CODECS:
        jobs = rows[codec, "ping: last return"]["requests"]
        # The last users' jobs are cut off by the end of the run, before or after their returns.
        assert abs(rows[codec, "ping: return accepted"]["requests"] - 3 * jobs) <= 3 * 3


def test_latencies_are_plausible(done: Locust) -> None:
    rows = done.rows()
    for (codec, name), row in rows.items():
        assert 0.1 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] < 5_000, (codec, name)
    for codec in CODECS:
        first = rows[codec, "ping: first return"]
        last = rows[codec, "ping: last return"]
        assert first["least_ms"] < last["most_ms"]
        assert first["p50_ms"] <= last["p50_ms"]
        # Larger by what 256 KiB of bytes are larger than True.
        small = rows[codec, "ping: return accepted"]["size"]
        large = rows[codec, "binary: return accepted"]["size"]
        assert small < 1_000 < 256 << 10 < large < 500_000


def test_times_keep_three_significant_digits_instead_of_whole_milliseconds(done: Locust) -> None:
    with Path(f"{done.csv}_stats.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["Name"] != "Aggregated"]
    assert len(rows) == len(done.rows())
    # Locust cuts the percentiles of its CSV files off, but not its own medians.
    times = [float(row["Median Response Time"]) for row in rows]
    times += [row[column] for row in done.rows().values() for column in ("p95_ms", "p99_ms")]
    for time in times:
        assert float(f"{time:.3g}") == time
    rounded = [time for time in times if time < 100 and time == round(time)]
    assert len(rounded) < len(times) / 3


def test_the_record_tells_who_used_the_machine_and_where_the_time_went(done: Locust) -> None:
    record = done.record()
    usages = {each["name"]: each for each in record["usages"]}
    assert set(usages) == {"locust", "greensalt master", "greensalt fleet"}
    for each in usages.values():
        assert each["cpu_percent"] > 0
        assert each["memory_mib"] > 5
    assert {(part["lane"], part["payload"]) for part in record["parts"]} == {
        (codec, payload) for codec in CODECS for payload in ("ping", "binary")
    }
    for part in record["parts"]:
        shares = [part[name] for name in ("serializer", "crypto", "zmq", "store", "rest")]
        assert sum(shares) == pytest.approx(100, abs=1)
        assert min(shares) >= 0


def test_nothing_is_left_of_a_run_that_has_ended(done: Locust) -> None:
    assert len(done.started) == 2
    assert done.living() == []
    for process_dir in _directories(done):
        assert not process_dir.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_was_interrupted(tmp_path: Path, number: int) -> None:
    with Locust(tmp_path, *SHORT, "-t", "60s") as locust:
        locust.wait_started()
        directories = _directories(locust)
        locust.find("loadtest._fleet").parent().send_signal(number)  # type: ignore[union-attr]
        locust.child.wait(20)
        locust.wait_gone()
    assert directories
    assert not any(directory.exists() for directory in directories)


def test_workers_measure_for_one_table(tmp_path: Path) -> None:
    options = ("--processes", "2", "-t", "5s", "--payload", "ping")
    with Locust(tmp_path, *SHORT, *options, "--serializer", "msgpack") as locust:
        locust.wait_started()
        assert locust.child.wait(60) == 0, locust.child.tail()
        locust.wait_gone()
    assert {name for _, name in locust.rows()} == names("ping")
    assert all(row["failures"] == 0 for row in locust.rows().values())
    times = [row["p50_ms"] for row in locust.rows().values()]
    assert any(time != round(time) for time in times)
    workers = [each for each in locust.record()["usages"] if "worker" in each["name"]]
    assert len(workers) == 2


def test_a_worker_that_was_started_by_itself_measures_for_its_master(tmp_path: Path) -> None:
    port = str(free_port())
    at_master = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port)
    at_worker = ("--worker", "--master-host", "127.0.0.1", "--master-port", port)
    options = ("-t", "5s", "--payload", "ping", "--serializer", "msgpack", "--expect-workers", "1")
    (tmp_path / "worker").mkdir()
    with (
        Locust(tmp_path, *SHORT, *at_master, *options) as master,
        Locust(tmp_path / "worker", *at_worker) as worker,
    ):
        master.wait_started()
        assert master.child.wait(60) == 0, master.child.tail()
        assert worker.child.wait(20) == 0, worker.child.tail()
        master.wait_gone()
    assert set(master.rows()) == {("msgpack", name) for name in names("ping")}
    for row in master.rows().values():
        assert row["failures"] == 0
        assert row["requests"] >= 1
    workers = [each for each in master.record()["usages"] if "worker" in each["name"]]
    assert len(workers) == 1
    assert not worker.record_path.exists()  # what a worker has measured is in its master's record


def test_a_return_that_does_not_come_is_a_failure(tmp_path: Path) -> None:
    options = ("--payload", "ping", "--serializer", "msgpack", "--job-timeout", "0.5")
    missed = ("ping: first return", "ping: last return", "ping: return accepted")
    with Locust(tmp_path, *SHORT, *options) as locust:
        locust.wait_started()
        table = Path(f"{locust.csv}_stats.csv")
        locust.child.wait_until(lambda: "last return" in table.read_text(), "a row", 20)
        locust.find("loadtest._fleet").suspend()
        failures = Path(f"{locust.csv}_failures.csv")
        # A job that was out when the fleet stopped may lack only its last return.
        locust.child.wait_until(
            lambda: all(name in failures.read_text() for name in missed), "the failures", 30
        )
        locust.child.terminate()
        assert locust.child.wait(30) == 1
        locust.wait_gone()
    rows = locust.rows()
    for name in missed:
        assert rows["msgpack", name]["failures"] > 0
    assert rows["msgpack", "ping: publish acknowledged"]["failures"] == 0


def test_a_running_master_is_driven_from_outside(short_dir: Path, tmp_path: Path) -> None:
    with GreensaltMaster(short_dir, auto_accept=True) as master:
        key = master.cache_dir / f".{master.config['user']}_key"
        target = ("--target", f"tcp://127.0.0.1:{master.ret_port}", "--key-file", str(key))
        options = ("-t", "3s", "--payload", "ping", "--serializer", "msgpack")
        with Locust(tmp_path, *SHORT, *target, *options) as locust:
            assert locust.child.wait(60) == 0, locust.child.tail()
    # The bus of a master is a unix socket: out of reach when only an address is known.
    assert {name for _, name in locust.rows()} == names("ping") - {"event on the bus"}
    assert all(row["failures"] == 0 for row in locust.rows().values())


def test_a_fleet_signs_in_again_when_the_master_renews_its_keys(
    short_dir: Path, tmp_path: Path
) -> None:
    with GreensaltMaster(short_dir, auto_accept=True, loop_interval=1) as master:
        key = master.cache_dir / f".{master.config['user']}_key"
        target = ("--target", f"tcp://127.0.0.1:{master.ret_port}", "--key-file", str(key))
        options = (
            "-t",
            "12s",
            "--payload",
            "ping",
            "--serializer",
            "msgpack",
            "--job-timeout",
            "2",
        )
        with Locust(tmp_path, *SHORT, *target, *options) as locust:
            table = Path(f"{locust.csv}_stats.csv")
            locust.child.wait_until(
                lambda: table.exists() and "last return" in table.read_text(), "a row", 40
            )
            (master.cache_dir / ".dfn").touch()  # as `greensalt key -d` does
            master.child.wait_for("the publish key was rotated", 20)
            assert locust.child.wait(60) == 0, locust.child.tail()
    assert {name for _, name in locust.rows()} >= {"ping: last return", "ping: return accepted"}
    assert all(row["failures"] == 0 for row in locust.rows().values())


@pytest.mark.interop
@pytest.mark.timeout(240)
def test_stock_salt_and_greensalt_stand_side_by_side_in_one_run(tmp_path: Path) -> None:
    if not (stock_bin(NEWEST) / "salt-master").exists():
        reason = "no stock Salt: run tools/stock-venvs"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    options = ("--target", "both", "-t", "8s", "--payload", "ping", "--serializer", "msgpack")
    with Locust(tmp_path, *SHORT, *options) as locust:
        locust.wait_started()
        assert locust.child.wait(120) == 0, locust.child.tail()
        locust.wait_gone()
    rows = locust.rows()
    assert set(rows) == {
        (lane, name) for lane in ("msgpack", "stock msgpack") for name in names("ping")
    }
    assert all(row["failures"] == 0 for row in rows.values())
    assert {each["name"] for each in locust.record()["usages"]} >= {"stock master", "stock fleet"}


def test_a_sign_in_storm_only_signs_in(tmp_path: Path) -> None:
    options = ("-t", "3s", "--model", "storm", "--serializer", "msgpack", "orjson")
    with Locust(tmp_path, *SHORT, *options) as locust:
        assert locust.child.wait(60) == 0, locust.child.tail()
    rows = locust.rows()
    assert set(rows) == {("msgpack", "sign-in"), ("orjson", "sign-in")}
    assert all(row["failures"] == 0 for row in rows.values())
    # Each of the three users goes on as soon as it is in: more than one storm of them all.
    assert min(row["requests"] for row in rows.values()) > 3
    assert sum(row["requests"] for row in rows.values()) > 20


def test_users_of_a_fixed_rate_take_as_many_steps_as_they_were_told(tmp_path: Path) -> None:
    users, rate, seconds = 3, 2, 8
    options = ("-t", f"{seconds}s", "--model", "rate", "--rate", str(rate), "--pause", "0")
    with Locust(tmp_path, *SHORT, *options, "--payload", "ping", "--serializer", "msgpack") as run:
        run.wait_started()
        assert run.child.wait(60) == 0, run.child.tail()
    rows = {name: row for (_, name), row in run.rows().items()}
    assert set(rows) == names("ping")
    assert all(row["failures"] == 0 for row in rows.values())
    steps = ("ping: publish acknowledged", "event on the bus", "sign-in")
    took = sum(rows[name]["requests"] for name in steps)
    asked = users * rate * seconds
    # The first step of each user comes at once. A closed model would take hundreds of steps.
    assert asked * 2 / 3 <= took <= asked + users
    # All lanes and steps have their turn: each a third, but for the round that is not over.
    assert max(rows[name]["requests"] for name in steps) <= took / 3 + users


def test_a_ramp_ends_by_itself(tmp_path: Path) -> None:
    ramp = ("--model", "ramp", "--step-users", "1", "--step-time", "2", "-u", "3")
    options = ("--headless", "--pause", "0.05", "--payload", "ping", "--serializer", "msgpack")
    with Locust(tmp_path, *ramp, *options) as locust:
        assert locust.child.wait(60) == 0, locust.child.tail()
    assert set(locust.rows()) == {("msgpack", name) for name in names("ping")}
    assert all(row["failures"] == 0 for row in locust.rows().values())
    steps = re.findall(r"(\d) users: (\d+\.\d) jobs/s", locust.child.text())
    assert [int(users) for users, _ in steps] == [1, 2, 3][: len(steps)]
    assert all(float(jobs_per_s) > 0 for _, jobs_per_s in steps)
    # All users were there for a step, or the one before the last step was the knee.
    knee = locust.record()["knee"]
    assert "no knee up to 3 users" in knee if len(steps) == 3 else "the knee is at 1 users" in knee


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--target", "salt"), "--target 'salt' is none of greensalt, stock, both"),
        (("--target", "tcp://127.0.0.1:4506"), "--key-file"),
        (("--minions", "0"), "--minions must be more than 0"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    with Locust(tmp_path, *SHORT, "-t", "2s", *options) as locust:
        assert locust.child.wait(30) == 1
    last = locust.child.text().splitlines()[-1]
    assert "the load test can't start: " in last
    assert reason in last


def _directories(locust: Locust) -> set[Path]:
    """The directories of a run's files, from the command lines of its processes."""
    words = [word for each in locust.living() for word in each.cmdline()]
    paths = [Path(word) for word in words if word.startswith("/tmp/greensalt-load-")]
    return {Path(*path.parts[:3]) for path in paths}
