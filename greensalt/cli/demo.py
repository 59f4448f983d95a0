"""`greensalt demo`: a master and a few minions on loopback, in the foreground, to try things on.

Everything lives under one directory and runs as child processes of this command. It starts the
master, starts the minions when the master is ready, runs `test.ping` on all of them once they are
ready, and tells how to go on by hand. Ctrl-C stops the minions, then the master. With `--once`
it stops by itself after `test.ping`, and the exit code tells whether every minion answered.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NoReturn

import yaml

from greensalt.cli.children import Child
from greensalt.errors import ChildFailed, ConfigError

READY: Final = r" is ready: "
READY_S: Final = 30.0
PING_S: Final = 60.0
STOP_S: Final = 5.0
# Linux refuses longer paths of unix sockets; the longest name below the root takes this much.
SOCKET_PATH_MAX: Final = 107
SOCKET_NAME: Final = "/root/var/run/salt/minion/minion_event_0123456789_pull.ipc"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minions", type=_count, default=3, metavar="N", help="how many (3)")
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="keep everything in DIR (a temporary directory)"
    )
    parser.add_argument(
        "--once", action="store_true", help="stop after test.ping instead of at Ctrl-C"
    )


def run(args: argparse.Namespace) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    root = (args.root or Path(tempfile.mkdtemp(prefix="greensalt-"))).absolute()
    cluster = Cluster(root, args.minions)
    keep = args.root is not None
    try:
        cluster.start()
        cluster.show()
        if not args.once:
            cluster.serve()
        print(cluster.how_to_stay(), flush=True)
        return 0
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
        return 0 if cluster.shown else 130
    except ChildFailed as error:
        keep = True
        print(f"The demo failed: {error}\nIts logs: {root}/*/log", file=sys.stderr, flush=True)
        return 1
    finally:
        cluster.stop()
        if not keep:
            shutil.rmtree(root, ignore_errors=True)


class Cluster:
    """A master and its minions below `root`, with free ports of 127.0.0.1.

    `root/master` and `root/<minion id>` are the configuration directories; the daemons' own files
    are in `root` below each.
    """

    def __init__(self, root: Path, minions: int) -> None:
        self.root = root
        self.shown = False
        width = len(str(minions))
        self.ids = [f"demo-{number:0{width}}" for number in range(1, minions + 1)]
        self.master = self._child("master", "master")
        self.minions = [self._child("minion", minion_id) for minion_id in self.ids]

    def start(self) -> None:
        """Start the master, then all minions at once; return when each says that it is ready."""
        began = time.monotonic()
        self._configure()
        print(f"A master and {_minions(len(self.ids))} in {self.root}", flush=True)
        self.master.start()
        print(f"  {self.master.wait_for(READY, READY_S).strip()}", flush=True)
        for minion in self.minions:
            minion.start()
        for minion in self.minions:
            minion.wait_for(READY, READY_S + len(self.minions))
        print(f"  {_minions(len(self.ids))} ready", end=" ")
        print(f"{time.monotonic() - began:.1f} s after the start\n", flush=True)

    def show(self) -> None:
        """Run `test.ping`, pass its output on, and tell how to go on by hand.

        Error: `ChildFailed` when the command fails or a minion is missing from its answers.
        """
        words = ["greensalt-cli", "-c", str(self.root / "master"), "*", "test.ping"]
        print(f"$ {_typed(words)}", flush=True)
        ping = Child("test.ping", [_script(words[0]), *words[1:]], self.root / "ping" / "log")
        ping.start()
        try:
            exit_code = ping.wait(PING_S)
        finally:
            ping.kill()
        said = ping.text()
        print(said, flush=True)
        answered = [id_ for id_ in self.ids if f"{id_}:\n    True\n" in said]
        if exit_code or answered != self.ids:
            raise ChildFailed(
                f"{len(answered)} of {_minions(len(self.ids))} answered test.ping, "
                f"and it ended with exit code {exit_code}"
            )
        self.shown = True

    def serve(self) -> NoReturn:
        """Stay until Ctrl-C. Error: `ChildFailed` when one of the daemons ends."""
        print(f"Go on in another terminal:\n{self.by_hand()}\n", flush=True)
        print("Ctrl-C stops the demo.", flush=True)
        while True:
            for child in [self.master, *self.minions]:
                if not child.alive:
                    raise ChildFailed(
                        f"{child.name} ended with exit code {child.returncode}:\n{child.tail()}"
                    )
            time.sleep(0.2)

    def by_hand(self, root: str | None = None) -> str:
        """What to type in another terminal, one command a line."""
        config = ["-c", f"{root or self.root}/master"]
        cli, first = ["greensalt-cli", *config], self.ids[0]
        commands = [
            [*cli, "*", "cmd.run", "uname -a"],
            [*cli, first, "grains.items"],
            [*cli, "-C", f"G@kernel:Linux and {first}", "test.version"],
            [*cli, first, "sys.list_functions"],
            ["greensalt", "key", *config, "-L"],
        ]
        return "\n".join(f"  {_typed(words)}" for words in commands)

    def how_to_stay(self) -> str:
        """What to do after a demo that has ended by itself."""
        again = _typed(["greensalt", "demo", "--minions", str(len(self.ids))])
        return (
            f"{_minions(len(self.ids))} answered. To go on by hand, keep such a cluster running:\n"
            f"  {again}\n"
            f"It prints its directory DIR, and takes in another terminal:\n{self.by_hand('DIR')}"
        )

    def stop(self) -> None:
        """The minions first, so that none of them tries to reach a master that is gone."""
        for minion in self.minions:
            minion.terminate()
        for child in [*self.minions, self.master]:
            child.stop(STOP_S)

    def _child(self, kind: str, name: str) -> Child:
        config_dir = self.root / name
        argv = [_script("greensalt"), kind, "-c", str(config_dir), "-l", "info"]
        return Child(name, argv, config_dir / "log")

    def _configure(self) -> None:
        if len(f"{self.root}/{self.ids[-1]}{SOCKET_NAME}") > SOCKET_PATH_MAX:
            raise ConfigError(
                f"{self.root} is too long for unix sockets in it: give a shorter --root"
            )
        publish_port, ret_port = _free_ports()
        # Whoever reaches these ports is on this machine: the demo's keys are accepted unseen.
        self._write(
            "master",
            "master",
            {
                "interface": "127.0.0.1",
                "publish_port": publish_port,
                "ret_port": ret_port,
                "auto_accept": True,
            },
        )
        for minion_id in self.ids:
            self._write(
                minion_id,
                "minion",
                {"id": minion_id, "master": "127.0.0.1", "master_port": ret_port},
            )

    def _write(self, name: str, file: str, config: dict[str, object]) -> None:
        directory = self.root / name
        directory.mkdir(parents=True, exist_ok=True)
        user = pwd.getpwuid(os.geteuid()).pw_name
        config = {"root_dir": str(directory / "root"), "user": user, **config}
        (directory / file).write_text(yaml.safe_dump(config, sort_keys=False))


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minions")
    return number


def _minions(count: int) -> str:
    return "1 minion" if count == 1 else f"{count} minions"


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        for sock in (one, two):
            sock.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def _script(name: str) -> str:
    """The path of one of greensalt's own commands: beside this interpreter, else in PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise ConfigError(f"the command {name} is neither in {beside.parent} nor in PATH")
    return found


def _typed(words: list[str]) -> str:
    """A command as it can be typed here: by its bare name only where PATH finds the same one."""
    script = _script(words[0])
    if shutil.which(words[0]) == script:
        script = words[0]
    elif Path(script).is_relative_to(Path.cwd()):
        script = str(Path(script).relative_to(Path.cwd()))
    return shlex.join([script, *words[1:]])


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
