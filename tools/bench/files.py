"""What minions get from a master besides jobs: states, files and pillar.

    python -m tools.bench.files [--rounds N] [--size MIB] [--minions N] [--out FILE]

Stock minions of the newest release are the clients of both masters where the client counts;
emulated ones that open no reply where only the master does. Compare the ratios.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from greensalt.config import MinionConfig
from greensalt.minion.grains import core_grains
from tests._daemons import GreensaltMinion, Master, Minion, StockMaster, StockMinion, short_dir
from tests._peer import Peer
from tests.interop._states import sha256, write_pillar, write_states
from tools.bench import fleet, processes
from tools.bench.fetchers import ask
from tools.bench.masters import KINDS, settle
from tools.bench.proxy import Proxy
from tools.bench.report import percentile, write

JOB_S = 180.0
FETCHERS = 20
FETCH_PART = 4  # each of them fetches a file of a quarter of the size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="state runs, and large files (3)")
    parser.add_argument("--size", type=int, default=200, help="MiB of the large file (200)")
    parser.add_argument("--minions", type=int, default=1000, help="that want their pillar (1000)")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    args = parser.parse_args()
    settle()
    figures: dict[str, dict[str, float]] = {}
    for name, kind in KINDS.items():
        with short_dir() as where:
            figures[name] = measure(where, kind, args)
    write("States, files and pillar", figures, args.out)
    return 0


def measure(where: Path, kind: type[Master], args: argparse.Namespace) -> dict[str, float]:
    """All figures of one kind of master."""
    srv = write_states(where)
    (srv / "large.bin").unlink()
    write_random(srv / "whole.bin", args.size << 20)
    write_random(srv / "part.bin", (args.size << 20) // FETCH_PART)
    options: dict[str, Any] = {
        "auto_accept": True,
        "timeout": int(JOB_S),
        "file_roots": {"base": [str(srv)]},
        "pillar_roots": {"base": [str(write_pillar(where))]},
    }
    figures: dict[str, float] = {}
    with kind(where, **options) as master, Proxy(master.ret_port) as proxy:
        made = {"where": str(where / "made")}
        with StockMinion(where, "m1", proxy.port, grains=made) as minion:
            figures.update(states(master, minion, proxy, args.rounds))
        with StockMinion(where, "m2", master.ret_port) as minion:
            figures.update(large_file(master, minion, "stock", srv / "whole.bin", args.rounds))
        if not isinstance(master, StockMaster):
            with GreensaltMinion(where, "m3", master.ret_port) as ours:
                figures.update(
                    large_file(master, ours, "greensalt", srv / "whole.bin", args.rounds)
                )
        figures.update(many_files(master, (args.size << 20) // FETCH_PART))
        figures.update(pillars(master, args.minions))
    return figures


def write_random(place: Path, size: int) -> None:
    """A file that nothing can compress."""
    source = random.Random(6)
    with place.open("wb") as file:
        for _ in range(0, size, 1 << 20):
            file.write(source.randbytes(1 << 20))
        file.truncate(size)


# -- one minion ---------------------------------------------------------------------------------


def states(master: Master, minion: StockMinion, proxy: Proxy, rounds: int) -> dict[str, float]:
    """How long a state run waits for the master: the first one, and the later ones."""
    waits, requests = [], 0
    for _ in range(rounds + 1):
        proxy.waited()
        done = master.run_cli("--out=quiet", minion.id, "state.apply", timeout_s=JOB_S)
        assert (minion.root.parents[1] / "made/message").exists(), done.stdout + done.stderr
        seen = proxy.waited()
        waits.append(seen.seconds)
        requests = seen.requests
    return {
        "state.apply: waiting for the master, first run, ms": waits[0] * 1e3,
        "state.apply: waiting for the master, later runs, ms": statistics.median(waits[1:]) * 1e3,
        "state.apply: requests of a later run": requests,
    }


def large_file(
    master: Master, minion: Minion, kind: str, source: Path, rounds: int
) -> dict[str, float]:
    """A large file to one minion, without a proxy: MiB per second of the whole job."""
    size = source.stat().st_size
    rates, cpu = [], processes.cpu_s(master.child.pid)
    for number in range(rounds):
        copy = minion.dir / f"copy{number}"
        begun = time.perf_counter()
        job = ("cp.get_file", f"salt://{source.name}", str(copy))
        done = master.run_cli("--out=json", "--static", minion.id, *job, timeout_s=JOB_S)
        took = time.perf_counter() - begun - overhead(master, minion)
        assert copy.exists(), done.stdout + done.stderr
        assert sha256(copy) == sha256(source)
        copy.unlink()
        rates.append(size / took / (1 << 20))
    used = processes.cpu_s(master.child.pid) - cpu
    return {
        f"large file to one {kind} minion, MiB/s": statistics.median(rates),
        f"the same, {kind} minion: CPU of the master, ms per MiB": used
        / rounds
        / (size >> 20)
        * 1e3,
    }


def overhead(master: Master, minion: Minion) -> float:
    """The seconds of a command and a job that do nothing."""
    begun = time.perf_counter()
    master.run_cli("--out=json", "--static", minion.id, "test.ping", timeout_s=JOB_S)
    return time.perf_counter() - begun


# -- emulated minions ----------------------------------------------------------------------------


def many_files(master: Master, size: int) -> dict[str, float]:
    """FETCHERS minions fetch a file at once; what becomes of returns meanwhile."""
    peer = fleet.sign_in(1, master.ret_port, "returner")[0]
    key = (master.cache_dir / ".root_key").read_text()
    fleet.run_job([peer], key)
    module = [sys.executable, "-m", "tools.bench.fetchers", "--port", str(master.ret_port)]
    what = ["--minions", str(FETCHERS), "--path", "part.bin", "--bytes", str(size)]
    with subprocess.Popen(
        [*module, *what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        before = processes.cpu_s(master.child.pid)
        child.stdin.write("go\n")
        child.stdin.flush()
        times = return_times(peer, key, child)
        told = json.loads(child.stdout.readline())
        used = processes.cpu_s(master.child.pid) - before
    peer.close()
    total = FETCHERS * size / (1 << 20)
    return {
        f"{FETCHERS} minions fetch at once, MiB/s": total / told["seconds"],
        f"{FETCHERS} minions fetch at once: CPU of the master, ms per MiB": used / total * 1e3,
        "a return meanwhile, median, ms": statistics.median(times) * 1e3,
        "a return meanwhile, p99, ms": percentile(times, 99) * 1e3,
    }


def return_times(peer: Peer, key: str, child: subprocess.Popen[str]) -> list[float]:
    """Return after return as long as the child runs: the seconds until each is acknowledged."""
    times: list[float] = []
    while child.poll() is None and len(times) < 100_000:
        jid = fleet.publish([peer], key)
        begun = time.perf_counter()
        peer.returns(jid)
        times.append(time.perf_counter() - begun)
    return times


def pillars(master: Master, count: int) -> dict[str, float]:
    """CPU of the master for the pillar of each minion: the first time, and once more."""
    peers = fleet.sign_in(count, master.ret_port, "pillar")
    grains = json.loads(json.dumps(core_grains(MinionConfig(id="pillar"))))
    figures = {}
    for name in ("first time", "again"):
        before = processes.cpu_s(master.child.pid)
        for peer in peers:
            load = peer.load(
                "_pillar",
                grains={**grains, "id": peer.id, "nodename": peer.id},
                saltenv="base",
                pillarenv=None,
                pillar_override={},
                extra_minion_data={},
                ver="2",
            )
            reply = ask(peer, load)
            assert b"pillar" in reply, reply[:100]
        used = processes.cpu_s(master.child.pid) - before
        figures[f"pillar of {count} minions, {name}: CPU of the master each, ms"] = (
            used / count * 1e3
        )
    for peer in peers:
        peer.close()
    return figures


if __name__ == "__main__":
    sys.exit(main())
