"""The masters that a run starts for itself: greensalt's and stock Salt's, on loopback."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from greensalt.cli.children import Child
from greensalt.errors import ConfigError
from loadtest import _codecs

ROOT: Final = Path(__file__).resolve().parent.parent
STOCK_VERSION: Final = "3008.3"
READY_S: Final = 60.0
GRACE_S: Final = 5.0
# A stock master waits for its processes one after another; they need not end nicely.
STOCK_GRACE_S: Final = 1.0
PORTS: Final = (10_000, 32_000)


class Running(NamedTuple):
    """A master that is ready: `bus` is the unix socket of its event bus, `bus_kind` its framing."""

    kind: str
    child: Child
    ret_port: int
    key_file: str
    bus: str
    bus_kind: str
    grace_s: float


def start_greensalt(where: Path, codecs: list[str]) -> Running:
    """`greensalt master` with a publish port for every serializer that it is to speak."""
    config = _config(where)
    extra = [codec for codec in codecs if codec != _codecs.DEFAULT]
    if extra:
        config["serializers"] = {codec: free_port() for codec in extra}
    _write(where, config)
    argv = [sys.executable, "-m", "greensalt", "master", "-c", str(where), "-l", "warning"]
    child = Child("greensalt master", argv, where / "log", _environment())
    _start(child, r" is ready: ", 1, GRACE_S)
    return _running("greensalt", child, where, config, "zmq", GRACE_S)


def start_stock(where: Path) -> Running:
    """A stock `salt-master`, from the environments that tools/stock-venvs builds."""
    cache = Path(os.environ.get("GREENSALT_STOCK_VENVS") or ROOT / ".venvs")
    program = cache / f"salt-{STOCK_VERSION}" / "bin" / "salt-master"
    if not program.exists():
        raise ConfigError(
            f"no stock Salt at {program}: run `make stock-venvs`, or let $GREENSALT_STOCK_VENVS"
            " name where it is"
        )
    config = {**_config(where), "worker_threads": 5}
    _write(where, config)
    child = Child("salt-master", [str(program), "-c", str(where), "-l", "info"], where / "log")
    _start(child, "Worker binding to socket", int(config["worker_threads"]), STOCK_GRACE_S)
    return _running("stock", child, where, config, "stream", STOCK_GRACE_S)


def _start(child: Child, ready: str, count: int, grace_s: float) -> None:
    """Start a master and wait for its line; stop it when that fails or is interrupted."""
    child.start()
    try:
        child.wait_for(ready, READY_S, count=count)
    except BaseException:
        child.stop(grace_s)
        raise


def stop(master: Running) -> None:
    master.child.stop(master.grace_s)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago.

    Not one that the kernel gives to whoever asks for any: it would be given again too soon.
    """
    while True:
        port = random.randrange(*PORTS)
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def python_child(name: str, module: str, argument: Path, output: Path) -> Child:
    """A module of this tree as a process of its own, which is not monkey-patched."""
    return Child(name, [sys.executable, "-m", module, str(argument)], output, _environment())


def _environment() -> dict[str, str]:
    """The tree of this file comes first for the children, wherever they are started."""
    path = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    return {"PYTHONPATH": path.rstrip(os.pathsep)}


def _config(where: Path) -> dict[str, Any]:
    return {
        "root_dir": str(where / "r"),
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "interface": "127.0.0.1",
        "publish_port": free_port(),
        "ret_port": free_port(),
        # Whoever reaches these ports is on this machine: the fleet's keys are accepted unseen.
        "auto_accept": True,
    }


def _write(where: Path, config: dict[str, Any]) -> None:
    where.mkdir(parents=True)
    (where / "master").write_text(yaml.safe_dump(config))


def _running(
    kind: str, child: Child, where: Path, config: dict[str, Any], bus_kind: str, grace_s: float
) -> Running:
    cache = where / "r/var/cache/salt/master"
    return Running(
        kind=kind,
        child=child,
        ret_port=config["ret_port"],
        key_file=str(cache / f".{config['user']}_key"),
        bus=str(where / "r/var/run/salt/master/master_event_pub.ipc"),
        bus_kind=bus_kind,
        grace_s=grace_s,
    )


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary directory whose path is short enough for unix sockets."""
    where = Path(tempfile.mkdtemp(prefix="greensalt-load-", dir="/tmp"))
    try:
        yield where
    finally:
        remove(where)


def remove(where: Path) -> None:
    shutil.rmtree(where, ignore_errors=True)
