"""Real daemons for the tests: greensalt's and stock Salt's, as child processes on loopback.

Each daemon has a directory of its own below a short path in /tmp (unix sockets allow about 100
characters), a configuration file in it, free ports, and a log that the report of a failing test
quotes. `start()` returns once the daemon itself has said that it is ready.
"""

from __future__ import annotations

import itertools
import json
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml

from greensalt.cli.children import Child

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
STOCK_VERSIONS = ("3008.3", "3007.17", "3006.30")
NEWEST = STOCK_VERSIONS[0]
# Longer than any daemon needs on two busy cores; a test never waits for it to pass.
READY_S = 60.0
# A stock minion takes 8 s to end on SIGTERM, and hangs if its master has just gone.
STOCK_GRACE_S = 1.0
PORTS = (10_000, 32_000)
PORT_BLOCK = 100


def stock_bin(version: str) -> Path:
    """Where the commands of one stock Salt are; tools/stock-venvs has put them there."""
    cache = Path(os.environ.get("GREENSALT_STOCK_VENVS") or ROOT / ".venvs")
    return cache / f"salt-{version}" / "bin"


class Ports:
    """TCP ports of 127.0.0.1 that nobody else is given, in this process or another one.

    From below those that the kernel gives to outgoing connections: one of these could be taken
    again before a daemon binds it. They are shared out in blocks, and a process has a block while
    it has the block's first port bound, which ends however the process ends.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._turn: Iterator[int] = iter(())
        self._claim: socket.socket | None = None

    def next(self) -> int:
        """A port that is free, and that was not given for as many turns as a block has."""
        if self._pid != os.getpid():  # also in a process that was forked
            self._turn = itertools.cycle(self._block())
            self._pid = os.getpid()
        for port in itertools.islice(self._turn, PORT_BLOCK):
            # A process that is being started meanwhile may keep the socket for a moment longer: it
            # must not be in the way of the daemon, which allows this as well.
            if sock := _bound(port, shared=True):
                sock.close()
                return port
        raise AssertionError("no port of 127.0.0.1 is free")

    def _block(self) -> range:
        firsts = list(range(*PORTS, PORT_BLOCK))
        random.shuffle(firsts)
        for first in firsts:
            if claim := _bound(first):
                self._claim = claim
                return range(first + 1, first + PORT_BLOCK)
        raise AssertionError("no block of ports of 127.0.0.1 is free")


def _bound(port: int, *, shared: bool = False) -> socket.socket | None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shared)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:
        sock.close()
        return None
    return sock


free_port = Ports().next


@contextmanager
def short_dir() -> Iterator[Path]:
    """A temporary directory whose path leaves room for the names of unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Daemon:
    """A daemon that a test owns: a context manager that starts and stops it.

    `dir` is its configuration directory, `root` the `root_dir` of its files.
    """

    program: ClassVar[str]
    config_name: ClassVar[str]
    # Every daemon of the test session that was made and not yet forgotten, for failure reports.
    all: ClassVar[list[Daemon]] = []

    def __init__(self, where: Path, name: str, config: Mapping[str, Any]) -> None:
        self.name = name
        self.dir = where / name
        self.root = self.dir / "r"
        self.log = self.dir / "log"
        self.dir.mkdir(parents=True)
        self.config: dict[str, Any] = {
            "root_dir": str(self.root),
            "user": pwd.getpwuid(os.geteuid()).pw_name,
            **config,
        }
        self.write_config()
        self.child = Child(name, self.argv(), self.log)
        Daemon.all.append(self)

    def argv(self) -> list[str]:
        raise NotImplementedError

    def wait_ready(self) -> None:
        raise NotImplementedError

    def write_config(self) -> None:
        (self.dir / self.config_name).write_text(yaml.safe_dump(self.config))

    @property
    def grace_s(self) -> float:
        return 5.0

    def start(self, *, wait: bool = True) -> Self:
        self.child.start()
        if wait:
            self.wait_ready()
        return self

    def stop(self) -> int | None:
        return self.child.stop(self.grace_s)

    def kill(self) -> None:
        self.child.kill()

    def restart(self) -> Self:
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(*argv: str | Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as a user would from a shell, and take its output as text."""
    command = [str(word) for word in argv]
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
    )


class Master(Daemon):
    """What both kinds of master share: ports, keys and the commands that talk to them."""

    config_name = "master"
    cli: ClassVar[tuple[Path, ...]]
    key_cli: ClassVar[tuple[Path | str, ...]]

    def __init__(self, where: Path, name: str = "m", **config: Any) -> None:
        self.publish_port, self.ret_port = free_port(), free_port()
        ports = {"publish_port": self.publish_port, "ret_port": self.ret_port}
        super().__init__(where, name, {"interface": "127.0.0.1", **ports, **config})

    @property
    def pki_dir(self) -> Path:
        return self.root / "etc/salt/pki/master"

    @property
    def cache_dir(self) -> Path:
        return self.root / "var/cache/salt/master"

    def run_cli(self, *args: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        return run(*self.cli, "-c", self.dir, *args, timeout_s=timeout_s)

    def ask(self, target: str, *job: str, options: tuple[str, ...] = ()) -> dict[str, Any]:
        """Run a job through the command line; the results by minion id."""
        done = self.run_cli(*options, "--out=json", "--static", target, *job)
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            words = " ".join(job)
            raise AssertionError(
                f"no JSON from {self.name} for {target!r} {words!r}, "
                f"exit code {done.returncode}:\n{done.stdout}\n{done.stderr}"
            ) from None
        return answer

    def key(self, *args: str) -> str:
        """Run the key command; its output. It must succeed."""
        done = run(*self.key_cli, "-c", self.dir, *args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def keys(self) -> dict[str, list[str]]:
        """Minion ids by the state of their keys, read from the files."""
        states = {
            "accepted": "minions",
            "pending": "minions_pre",
            "rejected": "minions_rejected",
            "denied": "minions_denied",
        }
        return {
            state: sorted(path.name for path in (self.pki_dir / folder).glob("*"))
            for state, folder in states.items()
        }

    def wait_pending(self, *minions: str) -> None:
        self.child.wait_until(
            lambda: set(minions) <= set(self.keys()["pending"]),
            f"pending keys of {', '.join(minions)}",
            READY_S,
        )


class GreensaltMaster(Master):
    """`greensalt master`."""

    cli = (BIN / "greensalt-cli",)
    key_cli = (BIN / "greensalt", "key")

    def argv(self) -> list[str]:
        return [str(BIN / "greensalt"), "master", "-c", str(self.dir), "-l", "debug"]

    def wait_ready(self) -> None:
        self.child.wait_for(r" is ready: ", READY_S)


class StockMaster(Master):
    """`salt-master`. Stock masters of 3008 refuse fewer than three workers."""

    version = NEWEST
    workers = 3
    cli = (stock_bin(NEWEST) / "salt",)
    key_cli = (stock_bin(NEWEST) / "salt-key",)

    def __init__(self, where: Path, name: str = "m", **config: Any) -> None:
        super().__init__(where, name, worker_threads=self.workers, **config)

    def argv(self) -> list[str]:
        return [str(stock_bin(self.version) / "salt-master"), "-c", str(self.dir), "-l", "info"]

    def wait_ready(self) -> None:
        self.child.wait_for("Worker binding to socket", READY_S, count=self.workers)

    @property
    def grace_s(self) -> float:
        return STOCK_GRACE_S


class Minion(Daemon):
    """What both kinds of minion share."""

    config_name = "minion"

    def __init__(self, where: Path, minion_id: str, ret_port: int, **config: Any) -> None:
        self.id = minion_id
        defaults = {
            "id": minion_id,
            "master": "127.0.0.1",
            "master_port": ret_port,
            # A second between the sign-in attempts of a pending key, instead of ten.
            "acceptance_wait_time": 1,
            # A lost master is looked for again every 0.2 s, instead of every 1 to 11.
            "recon_default": 200,
            "recon_max": 200,
            "recon_randomize": False,
        }
        super().__init__(where, minion_id, {**defaults, **config})


class GreensaltMinion(Minion):
    """`greensalt minion`."""

    def argv(self) -> list[str]:
        return [str(BIN / "greensalt"), "minion", "-c", str(self.dir), "-l", "debug"]

    def wait_ready(self) -> None:
        self.child.wait_for(r" is ready: ", READY_S)

    def sign_ins(self) -> int:
        """How often it has signed in since its start."""
        return self.child.text().count("signed in at ")


class StockMinion(Minion):
    """`salt-minion` of one of the stock versions."""

    def __init__(
        self, where: Path, minion_id: str, ret_port: int, version: str = NEWEST, **config: Any
    ) -> None:
        self.version = version
        super().__init__(where, minion_id, ret_port, **config)

    def argv(self) -> list[str]:
        return [str(stock_bin(self.version) / "salt-minion"), "-c", str(self.dir), "-l", "debug"]

    def wait_ready(self) -> None:
        # Said after the start event was sent, so the subscription to the publisher is live.
        self.child.wait_for("Minion is ready to receive requests!", READY_S)

    def sign_ins(self) -> int:
        """How often it has signed in since its start."""
        return self.child.text().count("Decrypting the current master AES key")

    @property
    def grace_s(self) -> float:
        return STOCK_GRACE_S
