"""The master's options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from greensalt.config.base import SIGNING_ALGORITHMS, Config, nearest
from greensalt.config.files import FoundOptions
from greensalt.config.record import option, port
from greensalt.config.values import Options, Plugins, Roots, SerializerPorts, Strings
from greensalt.errors import ConfigError

# Of pillar; master/pillar/merge.py has them.
MERGING_STRATEGIES = ("smart", "recurse", "aggregate", "overwrite", "list", "none")

PROTOCOL_VERSION = 3  # the only one greensalt speaks


class MasterConfig(Config):
    """What `<config_dir>/master` and master.d/*.conf say.

    Where a default differs from Salt's, the comment says why.
    """

    FILE_NAME: ClassVar[str] = "master"

    id: str = ""
    default_include: str = "master.d/*.conf"
    interface: str = "0.0.0.0"  # noqa: S104  # Salt's default: minions come from anywhere
    publish_port: int = port(4505)
    ret_port: int = port(4506)
    worker_threads: int = option(5, least=1)
    pki_dir: Path = Path("/etc/salt/pki/master")
    cachedir: Path = Path("/var/cache/salt/master")
    sock_dir: Path = Path("/var/run/salt/master")
    extension_modules: Path = Path("/var/cache/salt/master/extmods")
    pidfile: Path = Path("/var/run/salt-master.pid")
    log_file: str = "/var/log/salt/master"
    key_logfile: str = "/var/log/salt/key"

    # Keys and sign-in
    auto_accept: bool = False
    open_mode: bool = False
    autosign_file: Path | None = None
    autoreject_file: Path | None = None
    autosign_grains_dir: Path | None = None
    autosign_timeout: float = 120  # minutes that a stub in minions_autosign/ is good for
    permissive_pki_access: bool = False
    max_minions: int = option(0, least=0)
    key_pass: str | None = option(None, secret=True)
    signing_key_pass: str | None = option(None, secret=True)
    master_sign_pubkey: bool = False
    master_use_pubkey_signature: bool = False
    master_pubkey_signature: str | None = None
    publish_session: int = option(86400, least=1)
    rotate_aes_key: bool = True
    ping_on_rotate: bool = False
    publish_signing_algorithm: str = option("PKCS1v15-SHA1", choices=SIGNING_ALGORITHMS)
    minimum_auth_version: int = option(PROTOCOL_VERSION, least=PROTOCOL_VERSION)
    # Salt's default, 0, lets a recorded request be replayed for ever.
    request_server_ttl: float = option(300, least=0)
    require_minion_sign_messages: bool = False
    drop_messages_signature_fail: bool = False
    auth_events: bool = True
    allow_minion_key_revoke: bool = True

    # Who may publish
    external_auth: Options = {}
    sharedsecret: str | None = option(None, secret=True)
    permissive_acl: bool = False
    eauth_acl_module: str = ""
    token_dir: Path = Path("/var/cache/salt/master/tokens")
    token_expire: int = option(43200, least=1)  # seconds
    token_expire_user_override: bool | Options = False
    keep_acl_in_token: bool = False
    publisher_acl: Options = {}
    publisher_acl_blacklist: Options = {}
    sudo_acl: bool = False
    peer: Options = {}
    peer_run: Options = {}
    mine_get: Options | None = None  # without it every minion may read every mine
    nodegroups: Options = {}
    master_tops: Options = {}

    # Jobs
    timeout: float = option(5, least=0)
    gather_job_timeout: float = option(10, least=0)
    publish_timeout: float = 30
    loop_interval: float = option(60, least=0)
    keep_jobs: float = option(24, least=0)  # hours; the old name of keep_jobs_seconds
    keep_jobs_seconds: int = option(86400, least=0)
    minion_data_cache: bool = True
    minion_data_cache_events: bool = True
    max_event_size: int = option(1048576, least=0)
    presence_events: bool = False
    master_stats: bool = False
    master_stats_event_iter: float = option(60, least=0.1)
    order_masters: bool = False
    show_timeout: bool = True
    show_jid: bool = False

    # Sockets
    pub_hwm: int = option(1000, least=0)
    zmq_backlog: int = option(1000, least=1)
    # In milliseconds; Salt's are a third shorter. It is all that ten thousand idle minions cost.
    zmq_heartbeat_ivl: int = option(15_000, least=0)
    zmq_heartbeat_timeout: int = option(45_000, least=0)

    # Files and pillar
    file_roots: Roots = {"base": ("/srv/salt", "/srv/spm/salt")}
    pillar_roots: Roots = {"base": ("/srv/pillar", "/srv/spm/pillar")}
    pillarenv: str | None = None
    pillar_source_merging_strategy: str = option("smart", choices=MERGING_STRATEGIES)
    pillar_merge_lists: bool = False
    pillar_includes_override_sls: bool = False
    pillar_safe_render_error: bool = True
    ext_pillar: Plugins = ()
    ext_pillar_first: bool = False
    allow_undefined: bool = False
    file_buffer_size: int = option(1048576, least=1)
    fileserver_backend: Strings = ("roots",)
    # Never out of the roots of the environment, where Salt's default lets a symlink lead anywhere.
    fileserver_followsymlinks: bool = True
    fileserver_ignoresymlinks: bool = False
    extmod_whitelist: Options = {}
    extmod_blacklist: Options = {}
    fileserver_events: bool = False
    roots_update_interval: float = option(60, least=0.1)  # of these events
    file_ignore_regex: Strings = ()
    file_ignore_glob: Strings = ()
    file_recv: bool = False
    file_recv_max_size: int = option(100, least=0)  # MiB

    # States: minions ask the master for these; pillar goes by some of them, too
    renderer: str = "jinja|yaml"
    failhard: bool = False
    state_top: str = "top.sls"
    state_top_saltenv: str | None = None
    top_file_merging_strategy: str = option("merge", choices=("merge", "merge_all", "same"))
    env_order: Strings = ()
    default_top: str = "base"
    state_auto_order: bool = True
    state_events: bool = False
    state_aggregate: bool | Strings = False
    jinja_env: Options = {}
    jinja_sls_env: Options = {}
    jinja_lstrip_blocks: bool = False
    jinja_trim_blocks: bool = False

    # Runners and wheel functions
    runner_dirs: Strings = ()
    wheel_dirs: Strings = ()

    # Reactions to events
    reactor: Plugins = ()  # (pattern of tags, SLS files)
    reactor_worker_threads: int = option(10, least=1)  # runners and wheel functions at once
    reactor_worker_hwm: int = option(10_000, least=1)  # events, and runs, that may wait

    # Events that go on to returners
    event_return: Strings = ()  # names out of master_returners
    event_return_whitelist: Strings = ()
    event_return_blacklist: Strings = ()
    event_return_queue: int = option(0, least=0)
    event_return_queue_max_seconds: int = option(0, least=0)

    # greensalt's own
    runners_at_once: int = option(100, least=1)  # and wheel functions; others wait
    job_store_sync: str = option("full", choices=("full", "normal"))
    keep_jobs_bytes: int = option(1 << 30, least=0)  # size of the job store; 0 = no cap
    job_redelivery_window: float = option(60, least=0)  # s; for minions that were away; 0 = none
    worker_processes: int = option(0, least=0)  # besides the workers inside the master
    master_returners: Options = option({}, secret=True)  # by name: where returns are sent on to
    keep_events_bytes: int = option(64 << 20, least=1)  # of events that wait for returners
    io_threads: int = option(1, least=1)  # of the ZeroMQ context
    serializers: SerializerPorts = {}  # besides msgpack: the publish port of each

    @property
    def heartbeat_ms(self) -> tuple[int, int]:
        """The time between two heartbeats, and the silence after which a peer is taken for dead."""
        return self.zmq_heartbeat_ivl, self.zmq_heartbeat_timeout

    @property
    def pubkey_signature_path(self) -> Path:
        """Where a signature of the public key, made beforehand, is (spec 2.5)."""
        return self.pki_dir / (self.master_pubkey_signature or f"{self.id}_pubkey_signature")

    @classmethod
    def _settle(cls, values: dict[str, Any], found: FoundOptions, directory: Path) -> None:
        super()._settle(values, found, directory)
        if "keep_jobs" in values and "keep_jobs_seconds" not in values:
            values["keep_jobs_seconds"] = int(values["keep_jobs"] * 3600)
        cls._check_ports(values, found)
        cls._check_event_return(values, found)
        # The suffix keeps it apart from the minion on the same host; no DNS at a master's start.
        values.setdefault("id", f"{os.uname().nodename or 'localhost'}_master")

    @classmethod
    def _check_event_return(cls, values: dict[str, Any], found: FoundOptions) -> None:
        """Each name is one of `master_returners`; an empty one, Salt's default, is none."""
        names = values["event_return"] = tuple(filter(None, values.get("event_return", ())))
        known = values.get("master_returners", {})
        for name in names:
            if name not in known:
                raise ConfigError(
                    f"{found.origins['event_return']}: event_return: there is no returner {name!r}"
                    f" in master_returners; {nearest(name, known, 'returner')}"
                )

    @classmethod
    def _check_ports(cls, values: dict[str, Any], found: FoundOptions) -> None:
        """Each serializer publishes on a port of its own."""
        names = ("publish_port", "ret_port")
        taken = {values.get(name, getattr(cls, name)): name for name in names}
        for serializer, number in values.get("serializers", {}).items():
            if number in taken:
                raise ConfigError(
                    f"{found.origins['serializers']}: serializers: {serializer} has the port"
                    f" {number} of {taken[number]}; each needs one of its own"
                )
            taken[number] = serializer
