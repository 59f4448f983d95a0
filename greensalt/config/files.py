"""Reading the YAML files of one configuration: the main file, then what it includes.

Included files are merged with each other (maps key by key, lists appended), in the order of their
names; the result then replaces the main file's values option by option. That is Salt's rule.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from greensalt.errors import ConfigError

MAX_INCLUDE_DEPTH: Final = 16

CONFIG_DIR_VARIABLES: Final = ("GREENSALT_CONFIG_DIR", "SALT_CONFIG_DIR")
DEFAULT_CONFIG_DIR: Final = Path("/etc/salt")


class FoundOptions:
    """Options as written: their values, and which file each one comes from."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.warnings: list[str] = []

    def set(self, key: str, value: Any, origin: str) -> None:
        self.values[key] = value
        self.origins[key] = origin

    def replace_with(self, other: FoundOptions) -> None:
        """Take each option of `other` instead of the own one."""
        self.values.update(other.values)
        self.origins.update(other.origins)
        self.warnings.extend(other.warnings)

    def merge(self, other: FoundOptions) -> None:
        """Merge the options of `other` into the own ones, deeply."""
        for key, value in other.values.items():
            self.set(key, merged(self.values.get(key), value), other.origins[key])
        self.warnings.extend(other.warnings)


def merged(old: Any, new: Any) -> Any:
    """Two values of one option: maps are merged, lists appended, anything else is replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        both = dict(old)
        for key, value in new.items():
            both[key] = merged(old.get(key), value)
        return both
    if isinstance(old, list) and isinstance(new, list):
        return old + [item for item in new if item not in old]
    return new


def find_config_dir(wanted: Path | str | None) -> Path:
    """The directory of the configuration: the one wanted, else the environment's, else /etc/salt.

    A directory that was asked for must exist (ConfigError): defaults in its place would be a trap.
    """
    asked_by = "the command line"
    if wanted is None:
        for asked_by in CONFIG_DIR_VARIABLES:
            if os.environ.get(asked_by):
                wanted = os.environ[asked_by]
                break
        else:
            return DEFAULT_CONFIG_DIR
    directory = Path(wanted).absolute()
    if not directory.is_dir():
        what = "is a file, not a directory" if directory.exists() else "does not exist"
        raise ConfigError(f"the configuration directory {directory} (from {asked_by}) {what}")
    return directory


def read_options(main_file: Path, default_include: str | None) -> FoundOptions:
    """The options of a main file and of all files it includes; nothing where there is no file."""
    found = read_file(main_file)
    include_defaults = found.values.get("default_include") or default_include
    for patterns, must_match in ((include_defaults, False), (found.values.get("include"), True)):
        found.replace_with(_included(patterns, main_file, must_match, depth=1))
    return found


def read_file(path: Path) -> FoundOptions:
    """The options of a single file; a missing file has none. ConfigError names file and line."""
    found = FoundOptions()
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return found
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    for key, value in _parse(text, path).items():
        found.set(key if isinstance(key, str) else str(key), value, str(path))
    return found


def _parse(text: bytes, path: Path) -> Mapping[Any, Any]:
    import yaml  # 20 ms, and without a configuration file not needed

    # CSafeLoader is safe_load's loader with the parser of libyaml, ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)  # noqa: S506  # both are safe loaders
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}" if mark is not None else ""
        problem = error.problem or error.context or "is not valid YAML"
        raise ConfigError(f"{path}{where}: not valid YAML: {problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, Mapping):
        kind = type(document).__name__
        raise ConfigError(f"{path}: must be a map of options (`key: value`), but is a {kind}")
    return document


def _included(patterns: Any, origin: Path, must_match: bool, depth: int) -> FoundOptions:
    found = FoundOptions()
    for pattern in _patterns(patterns, origin):
        matches = _matches(pattern, origin)
        if must_match and not matches:
            found.warnings.append(f"{origin}: include {pattern!r} matches no file")
        if matches and depth > MAX_INCLUDE_DEPTH:
            raise ConfigError(
                f"{origin}: includes are nested deeper than {MAX_INCLUDE_DEPTH} files"
            )
        for path in matches:
            options = read_file(path)
            nested = options.values.get("include")
            options.replace_with(_included(nested, path, True, depth + 1))
            found.merge(options)
    # An include is done once it is read; merged lists of includes would mean nothing.
    found.values.pop("include", None)
    return found


def _patterns(patterns: Any, origin: Path) -> Sequence[str]:
    if not patterns:
        return []
    if isinstance(patterns, str):
        return [patterns]
    if isinstance(patterns, list) and all(isinstance(item, str) for item in patterns):
        return patterns
    raise ConfigError(f"{origin}: include must be a path or a list of paths, not {patterns!r}")


def _matches(pattern: str, origin: Path) -> list[Path]:
    from glob import glob  # not Path.glob: that one takes no absolute patterns

    full = origin.parent / Path(pattern).expanduser()
    return [Path(name) for name in sorted(glob(str(full)))]  # noqa: PTH207  # see above
