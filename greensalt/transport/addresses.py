"""Where the sockets are: the names of the mission's tables as ZeroMQ addresses."""

from __future__ import annotations

from pathlib import Path

from greensalt.errors import ConfigError

UNIX_PATH_MAX = 107  # bytes that fit into sockaddr_un besides the closing NUL


def tcp(host: str, port: int | str) -> str:
    """tcp://host:port, with brackets around an IPv6 address."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def ipc(sock_dir: str | Path, name: str) -> str:
    """ipc://sock_dir/name; raises ConfigError when the path is too long for a unix socket."""
    path = str(Path(sock_dir) / name)
    if len(path.encode()) > UNIX_PATH_MAX:
        raise ConfigError(
            f"sock_dir is too long: {path!r} has more than the {UNIX_PATH_MAX} bytes"
            " that the path of a unix socket may have"
        )
    return f"ipc://{path}"


def master_event_pub(sock_dir: str | Path) -> str:
    return ipc(sock_dir, "master_event_pub.ipc")


def master_event_pull(sock_dir: str | Path) -> str:
    return ipc(sock_dir, "master_event_pull.ipc")


def master_event_past(sock_dir: str | Path) -> str:
    """Where those ask who missed events."""
    return ipc(sock_dir, "master_event_past.ipc")


def publish_pull(sock_dir: str | Path, serializer: str = "") -> str:
    """Of the Publisher; each serializer besides msgpack has one of its own."""
    return ipc(sock_dir, f"publish_pull_{serializer}.ipc" if serializer else "publish_pull.ipc")


def workers(sock_dir: str | Path) -> str:
    return ipc(sock_dir, "workers.ipc")


def minion_event_pub(sock_dir: str | Path, id_hash: str) -> str:
    return ipc(sock_dir, f"minion_event_{id_hash}_pub.ipc")


def minion_event_pull(sock_dir: str | Path, id_hash: str) -> str:
    return ipc(sock_dir, f"minion_event_{id_hash}_pull.ipc")
