"""What a worker process must have in common with its master: the version and the configuration.

The master leaves a file of digests beside its sockets, so that a worker that was started by hand
can say what differs before it attaches; and each request carries the digest of it all.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from greensalt import __version__
from greensalt.config import MasterConfig
from greensalt.errors import ConfigError
from greensalt.store.files import write_private

FILE: Final = "workers.json"
STAMP_BYTES: Final = 16
# They concern a process, not its answers; and the key itself is what a passphrase is for.
OF_A_PROCESS: Final = frozenset(
    {"user", "pidfile", "output", "color", "worker_processes", "worker_threads", "key_pass"}
)


class Stamp(NamedTuple):
    """A version, and a digest of each option."""

    version: str
    options: dict[str, str]

    @property
    def digest(self) -> bytes:
        """16 bytes that are the same where version and configuration are."""
        text = json.dumps([self.version, self.options], sort_keys=True)
        return hashlib.sha256(text.encode()).digest()[:STAMP_BYTES]

    def difference(self, other: Stamp) -> str:
        """What is not the same, for people; empty when nothing is."""
        if self.version != other.version:
            return f"the version: {self.version} and {other.version}"
        names = sorted(self.options.keys() | other.options.keys())
        differ = [name for name in names if self.options.get(name) != other.options.get(name)]
        return f"the options {', '.join(differ)}" if differ else ""


def stamp_of(config: MasterConfig) -> Stamp:
    """The stamp of a configuration, as this version understands it."""
    options = {
        name: _digest(value)
        for name, value in config.options().items()
        if name not in OF_A_PROCESS and not name.startswith("log_")
    }
    return Stamp(__version__, options)


def leave(config: MasterConfig, stamp: Stamp) -> None:
    """Tell workers that will be started by hand what their master is. Blocks."""
    text = json.dumps(stamp._asdict())
    write_private(Path(config.sock_dir) / FILE, text.encode())


def check(config: MasterConfig) -> None:
    """Raise ConfigError unless a master with this configuration and version has been here."""
    path = Path(config.sock_dir) / FILE
    try:
        found = json.loads(path.read_text())
        masters = Stamp(found["version"], found["options"])
    except OSError as error:
        raise ConfigError(f"no master has been here: {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} can't be read: {error}") from error
    if differs := masters.difference(stamp_of(config)):
        raise ConfigError(f"the master and this worker do not agree on {differs}")


def _digest(value: Any) -> str:
    if type(value) is int:  # 5 and 5.0 are the same number of seconds
        value = float(value)
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
