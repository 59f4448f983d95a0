"""How a configuration comes together: files, overrides, types, root_dir."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

from greensalt.config.files import (
    DEFAULT_CONFIG_DIR,
    FoundOptions,
    find_config_dir,
    read_options,
)
from greensalt.config.record import Limits, Record, option
from greensalt.config.values import Options, Serializer, Strings, WrongValue, conform
from greensalt.errors import ConfigError

LOG_LEVELS: Final = (
    "all",
    "garbage",
    "trace",
    "debug",
    "profile",
    "info",
    "warning",
    "error",
    "critical",
    "quiet",
)
HASH_TYPES: Final = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
SIGNING_ALGORITHMS: Final = ("PKCS1v15-SHA1", "PKCS1v15-SHA224")
ENCRYPTION_ALGORITHMS: Final = ("OAEP-SHA1", "OAEP-SHA224")

OVERRIDES: Final = "the command line"
NOT_OPTIONS: Final = frozenset({"config_dir", "warnings", "others"})
# Python's keywords can't be attributes.
ATTRIBUTE_OF: Final[Mapping[str, str]] = MappingProxyType({"return": "return_"})
KEY_OF: Final[Mapping[str, str]] = MappingProxyType({"return_": "return"})
NO_OVERRIDES: Final[Mapping[str, Any]] = MappingProxyType({})


class Config(Record):
    """The options that master and minion share, and the way all of them are loaded.

    An attribute is named as Salt's option and has Salt's default. `others` holds what Salt knows
    and greensalt does not use (yet), and the dotted settings of modules, as written; `warnings` are
    sentences for whoever sets up the logging.
    """

    OF_MODULES: ClassVar[frozenset[str]] = frozenset()  # those that only modules look at
    FILE_NAME: ClassVar[str] = ""

    config_dir: Path = DEFAULT_CONFIG_DIR
    warnings: tuple[str, ...] = ()
    others: Options = {}

    user: str = "root"
    root_dir: Path = Path("/")
    pki_dir: Path = Path("/etc/salt/pki")
    cachedir: Path = Path("/var/cache/salt")
    sock_dir: Path = Path("/var/run/salt")
    extension_modules: Path = Path("/var/cache/salt/extmods")
    pidfile: Path = Path("/var/run/salt.pid")
    default_include: str = ""
    include: Strings = ()

    log_file: str = "/var/log/salt/greensalt"
    log_level: str = option("warning", choices=LOG_LEVELS)
    log_level_logfile: str | None = option(None, choices=LOG_LEVELS)
    log_fmt_console: str = "[%(levelname)-8s] %(message)s"
    log_fmt_logfile: str = (
        "%(asctime)s,%(msecs)03d [%(name)-17s:%(lineno)-4d][%(levelname)-8s][%(process)d]"
        " %(message)s"
    )
    log_datefmt: str = "%H:%M:%S"
    log_datefmt_console: str | None = None
    log_datefmt_logfile: str = "%Y-%m-%d %H:%M:%S"
    log_granular_levels: Options = {}

    hash_type: str = option("sha256", choices=HASH_TYPES)
    keysize: int = option(2048, least=2048, most=8192)
    ipv6: bool | None = None
    ipc_mode: str = option("ipc", choices=("ipc",))
    tcp_keepalive: bool = True
    tcp_keepalive_idle: float = 300
    tcp_keepalive_cnt: float = -1
    tcp_keepalive_intvl: float = -1
    zmq_filtering: bool = False
    master_sign_key_name: str = "master_sign"
    sign_pub_messages: bool = True
    saltenv: str | None = None
    pillarenv: str | None = None
    output: str | None = None
    color: bool = True

    # greensalt's own: how the loads of the link to the master are packed, where it serves that
    serializer: Serializer = "msgpack"

    @classmethod
    def load(
        cls, config_dir: Path | str | None = None, overrides: Mapping[str, Any] = NO_OVERRIDES
    ) -> Self:
        """Read the configuration in a directory; ConfigError names all that is wrong in it.

        Without a directory the one of $GREENSALT_CONFIG_DIR, $SALT_CONFIG_DIR or /etc/salt. A
        missing file means defaults. `overrides` (option name -> value) win over the files; their
        relative paths are taken from the working directory and not put below `root_dir`.
        """
        directory = find_config_dir(config_dir)
        found = read_options(directory / cls.FILE_NAME, cls.default_include)
        cls._add_own_files(found)
        for key, value in overrides.items():
            found.set(key, value, OVERRIDES)
        values, others = cls._check(found)
        cls._settle(values, found, directory)
        cls._apply_root_dir(values, found)
        return cls(**values, config_dir=directory, others=others, warnings=tuple(found.warnings))

    def options(self) -> dict[str, Any]:
        """All options as plain data (strings, numbers, lists, maps), under Salt's names."""
        return {
            **self.others,
            **{
                KEY_OF.get(name, name): _plain(getattr(self, name))
                for name in option_types(type(self))
            },
        }

    @classmethod
    def _add_own_files(cls, found: FoundOptions) -> None:
        """A place for files besides the main one."""

    @classmethod
    def _settle(cls, values: dict[str, Any], found: FoundOptions, _directory: Path) -> None:
        """Set options that depend on others, before `root_dir` is applied to them."""
        if "sock_dir" not in values or found.origins["sock_dir"] != OVERRIDES:
            # Unix socket paths are short: where the cache directory is much shorter, Salt's tools
            # look for the sockets there.
            cachedir = values.get("cachedir", cls.cachedir)
            sock_dir = values.get("sock_dir", cls.sock_dir)
            if len(str(sock_dir)) > len(str(cachedir)) + 10:
                values["sock_dir"] = cachedir / ".salt-unix"
                found.origins["sock_dir"] = found.origins.get("cachedir", "")

    @classmethod
    def _check(cls, found: FoundOptions) -> tuple[dict[str, Any], dict[str, Any]]:
        """Split what was found into typed values of our options and the others."""
        types = option_types(cls)
        values: dict[str, Any] = {}
        others: dict[str, Any] = {}
        problems = []
        for key, value in found.values.items():
            name = ATTRIBUTE_OF.get(key, key)
            if name not in types:
                problems += cls._other(key, value, found, others)
                continue
            if value is None:
                continue  # `key:` with nothing behind it means the default
            try:
                values[name] = conform(
                    _lowered(key, value), types[name], cls.limits.get(name, Limits())
                )
            except WrongValue as wanted:
                problems.append(f"{found.origins[key]}: {key} must be {wanted}, not {value!r}")
        if problems:
            raise ConfigError("\n".join(problems))
        return values, others

    @classmethod
    def _other(cls, key: str, value: Any, found: FoundOptions, others: dict[str, Any]) -> list[str]:
        """Keep an option that is not ours, or say why it can't be one."""
        from greensalt.config.salt_options import SALT_OPTIONS

        is_sdb_profile = isinstance(value, Mapping) and "driver" in value
        if "." in key or is_sdb_profile or key in cls.OF_MODULES:
            others[key] = value
            return []
        if key in SALT_OPTIONS:
            others[key] = value
            found.warnings.append(
                f"{found.origins[key]}: greensalt's {cls.FILE_NAME} does not use the option {key}"
            )
            return []
        known = {KEY_OF.get(name, name) for name in option_types(cls)} | SALT_OPTIONS
        return [f"{found.origins[key]}: unknown option {key!r}; {nearest(key, known)}"]

    @classmethod
    def _apply_root_dir(cls, values: dict[str, Any], found: FoundOptions) -> None:
        """Put every path option below root_dir, unless it is there already."""
        root = Path(values.get("root_dir", "/")).absolute()
        values["root_dir"] = root
        for name, type_text in option_types(cls).items():
            path = values.get(name, getattr(cls, name))
            if name == "root_dir" or path is None or not _is_path(name, path, type_text):
                continue
            if found.origins.get(name) == OVERRIDES:
                full = Path(path).absolute()
            elif Path(path).is_relative_to(root):
                full = Path(path)
            else:
                full = root / str(path).lstrip("/")
            values[name] = str(full) if isinstance(path, str) else full


def option_types(config_class: type[Config]) -> dict[str, str]:
    """The options of a config class (by attribute name) with the text of their types."""
    declared = config_class.annotations
    return {name: text for name, text in declared.items() if name not in NOT_OPTIONS}


def _is_path(name: str, path: Any, type_text: str) -> bool:
    if name in ("log_file", "key_logfile"):
        return "://" not in path
    return "Path" in type_text


def _lowered(key: str, value: Any) -> Any:
    is_word = key in ("hash_type", "log_level", "log_level_logfile") and isinstance(value, str)
    return value.lower() if is_word else value


def nearest(key: str, known: Iterable[str], what: str = "option") -> str:
    """A question that names the known word most like `key`, for an error message."""
    from difflib import get_close_matches

    close = get_close_matches(key.lower(), sorted(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"no {what} has a similar name"


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
