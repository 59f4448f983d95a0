"""The minion's options."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from greensalt.config.base import ENCRYPTION_ALGORITHMS, SIGNING_ALGORITHMS, Config
from greensalt.config.files import FoundOptions
from greensalt.config.record import option, port
from greensalt.config.values import Options, Roots, Strings
from greensalt.errors import ConfigError


class MasterAddress(NamedTuple):
    """A master as configured: the host is resolved at each connect, not here."""

    host: str
    port: int


class MinionConfig(Config):
    """What `<config_dir>/minion` and minion.d/*.conf say.

    Where a default differs from Salt's, the comment says why.
    """

    FILE_NAME: ClassVar[str] = "minion"
    OF_MODULES: ClassVar[frozenset[str]] = frozenset(
        {
            "cmd_blacklist_glob",
            "cmd_safe",
            "cmd_whitelist_glob",
            "pillar_mask_output",
            "pillar_merge_lists",
            "pillar_raise_on_missing",
        }
    )

    id: str = ""
    default_include: str = "minion.d/*.conf"
    minion_id_caching: bool = True
    minion_id_lowercase: bool = False
    minion_id_remove_domain: bool | str = False
    append_domain: str | None = None
    pki_dir: Path = Path("/etc/salt/pki/minion")
    cachedir: Path = Path("/var/cache/salt/minion")
    sock_dir: Path = Path("/var/run/salt/minion")
    extension_modules: Path = Path("/var/cache/salt/minion/extmods")
    pidfile: Path = Path("/var/run/salt-minion.pid")
    log_file: str = "/var/log/salt/minion"

    # The master and the way to it
    master: Strings = ("salt",)
    master_port: int = port(4506)
    publish_port: int | None = option(
        None, least=1, most=65535
    )  # None: the port that the master tells at sign-in
    retry_dns: float = option(30, least=0)
    master_tries: int = -1
    recon_default: float = option(1000, least=0)  # ms
    recon_max: float = option(10000, least=0)  # ms
    recon_randomize: bool = True
    random_reauth_delay: float = option(10, least=0)
    random_startup_delay: float = option(0, least=0)
    ping_interval: float = option(0, least=0)  # minutes; 0 = no pings

    # Sign-in and trust
    acceptance_wait_time: float = option(10, least=0)
    acceptance_wait_time_max: float = option(0, least=0)
    rejected_retry: bool = False
    auth_timeout: float = option(5, least=0)
    auth_tries: int = option(7, least=1)
    auth_safemode: bool = False
    autosign_grains: Strings = ()
    master_finger: str = ""
    verify_master_pubkey_sign: bool = False
    always_verify_signature: bool = False
    minion_sign_messages: bool = False
    encryption_algorithm: str = option("OAEP-SHA1", choices=ENCRYPTION_ALGORITHMS)
    signing_algorithm: str = option("PKCS1v15-SHA1", choices=SIGNING_ALGORITHMS)
    # Salt's default, False, lets any minion forge jobs for the others: all share the publish key.
    sign_pub_messages: bool = True

    # Requests and returns
    request_channel_timeout: float = option(60, least=0)
    request_channel_tries: int = option(3, least=1)
    return_retry_timer: float = option(5, least=0)
    return_retry_timer_max: float = option(10, least=0)
    return_retry_tries: int = option(3, least=0)

    # Jobs
    process_count_max: int = option(-1, least=-1)
    minion_jid_queue_hwm: int = option(100, least=1)
    schedule: Options = {}
    job_redelivery_window: float = option(60, least=0)  # s; 0 = missed jobs are not asked for
    multifunc_ordered: bool = False
    cache_jobs: bool = False
    return_: Strings = ()
    enable_legacy_startup_events: bool = True
    start_event_grains: Strings = ()
    startup_states: str = ""

    # Modules, grains, mine, files
    grains: Options = {}
    module_dirs: Strings = ()
    disable_modules: Strings = ()
    whitelist_modules: Strings = ()
    grains_dirs: Strings = ()
    enable_gpu_grains: bool = True
    enable_fqdns_grains: bool = False
    extmod_whitelist: Options = {}
    extmod_blacklist: Options = {}
    clean_dynamic_modules: bool = True
    mine_enabled: bool = True
    mine_functions: Options = {}
    mine_interval: float = option(60, least=0)  # minutes
    file_client: str = option("remote", choices=("remote", "local"))
    file_roots: Roots = {"base": ("/srv/salt", "/srv/spm/salt")}
    pillar_roots: Roots = {"base": ("/srv/pillar", "/srv/spm/pillar")}
    file_buffer_size: int = option(262144, least=1)

    @property
    def masters(self) -> tuple[MasterAddress, ...]:
        """The masters, each with its port: `host`, `host:port`, `[v6]:port` or a bare v6."""
        return tuple(parse_master(text, self.master_port) for text in self.master)

    @property
    def function_dirs(self) -> tuple[Path, ...]:
        """Where user modules are looked for: module_dirs, then Salt's place for synced ones."""
        return (*map(Path, self.module_dirs), self.extension_modules / "modules")

    @property
    def grains_module_dirs(self) -> tuple[Path, ...]:
        """Where modules that compute grains are looked for, as for functions."""
        return (*map(Path, self.grains_dirs), self.extension_modules / "grains")

    @classmethod
    def _settle(cls, values: dict[str, Any], found: FoundOptions, directory: Path) -> None:
        super()._settle(values, found, directory)
        for text in values.get("master", ()):
            try:
                parse_master(text, 0)
            except ConfigError as error:
                raise ConfigError(f"{found.origins['master']}: {error}") from None
        if not values.get("id"):
            from greensalt.config.hostid import find_minion_id

            values["id"] = find_minion_id(
                directory / "minion_id",
                caching=values.get("minion_id_caching", True),
                lowercase=values.get("minion_id_lowercase", False),
                remove_domain=values.get("minion_id_remove_domain", False),
                warn=found.warnings.append,
            )
        if values.get("append_domain") and "." not in values["id"]:
            values["id"] = f"{values['id']}.{values['append_domain']}"


def parse_master(text: str, default_port: int) -> MasterAddress:
    """The address of a master; raises ConfigError for what is not a host, with or without port."""
    host, port_text = text.strip(), ""
    if host.startswith("["):
        host, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigError(f"master {text!r} is not a host, host:port or [IPv6]:port")
        port_text = rest[1:]
    elif host.count(":") == 1:
        host, _, port_text = host.partition(":")
    if not host or any(character.isspace() or character == "/" for character in host):
        raise ConfigError(f"master {text!r} is not a host, host:port or [IPv6]:port")
    if not port_text:
        return MasterAddress(host, default_port)
    if not port_text.isdecimal() or not 0 < int(port_text) <= 65535:
        raise ConfigError(f"master {text!r}: {port_text!r} is not a TCP port")
    return MasterAddress(host, int(port_text))
