"""Finds files by what they are called, what they are and what is in them."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from greensalt.modules.file._common import expand
from greensalt.modules.file._hash import get_hash

TYPES: Final = {
    "b": stat.S_IFBLK,
    "c": stat.S_IFCHR,
    "d": stat.S_IFDIR,
    "f": stat.S_IFREG,
    "l": stat.S_IFLNK,
    "p": stat.S_IFIFO,
    "s": stat.S_IFSOCK,
}
LETTERS: Final = {kind: letter for letter, kind in TYPES.items()}
UNITS: Final = {"b": 0, "k": 10, "m": 20, "g": 30, "t": 40}
SECONDS: Final = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_SIZE: Final = re.compile(r"\s*([+-]?)\s*(\d+(?:\.\d*)?)\s*([bkmgt]?)\s*", re.IGNORECASE)
_AGE: Final = re.compile(r"\s*([+-]?)((?:\s*\d+(?:\.\d*)?\s*[wdhms])+)\s*", re.IGNORECASE)
_AGE_PART: Final = re.compile(r"(\d+(?:\.\d*)?)\s*([wdhms])", re.IGNORECASE)
PRINTABLE: Final = ("path", "name", "size", "type", "mode", "mtime", "user", "group", "md5")

Test = Callable[["_Entry"], bool]
Action = Callable[["_Entry"], Any]


class _Entry:
    """A path on the way, whose status is read when a test needs it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = path.rpartition("/")[2]
        self._status: os.stat_result | None = None

    @property
    def status(self) -> os.stat_result:
        if self._status is None:
            try:
                self._status = Path(self.path).stat()
            except OSError:
                self._status = Path(self.path).lstat()
        return self._status


@dataclass
class _Search:
    """What to look for, how deep, and what to do with it."""

    tests: list[Test] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    mindepth: int = 0
    maxdepth: int | None = None
    dry: bool = False

    def below(self, start: str) -> Iterator[Any]:
        if self.mindepth < 1:
            yield from self._consider(start)
        for directory, directories, files in os.walk(start):
            relative = os.path.relpath(directory, start)
            depth = 1 if relative == "." else relative.count("/") + 2
            if self.maxdepth is not None and depth > self.maxdepth:
                directories.clear()
                continue
            if depth >= self.mindepth:
                for name in (*directories, *files):
                    yield from self._consider(os.path.join(directory, name))  # noqa: PTH118  # keeps "./"

    def _consider(self, path: str) -> Iterator[Any]:
        entry = _Entry(path)
        try:
            if not all(test(entry) for test in self.tests):
                return
            results = [action(entry) for action in self.actions]
        except OSError:
            return  # gone meanwhile, or not for us to see
        yield from (result for result in results if result is not None)


def find(path: str, *args: Any, **kwargs: Any) -> Any:
    """Return the paths at and below a path (or pattern) that meet all criteria.

    name, iname, regex, iregex
        The last part of the path, as a pattern or a regular expression; ``i``: whatever its case.
    type
        Letters of the kinds wanted: f(ile), d(irectory), l(ink), p(ipe), s(ocket), b(lock) and
        c(haracter device).
    owner, group
        Names or numbers, separated by commas.
    size
        Bytes, or with a unit ``k``, ``m``, ``g``, ``t``; ``+``: at least, ``-``: at most.
    mtime
        How long ago it changed, such as ``1w2d3h``; ``-``: at most that long ago.
    grep
        A regular expression for a file's content.
    mindepth, maxdepth
        How deep below the path to look.
    print
        What to return: path, name, size, type, mode, mtime, user, group, md5.
    exec
        A command to run for each, ``{}`` standing for its path.
    delete
        Kinds to delete; ``test=True`` only tells which.

    CLI Example:

        greensalt-cli '*' file.find / type=f name=\\*.bak size=+10m
        greensalt-cli '*' file.find /var mtime=+30d size=+10m print=path,size,mtime
        greensalt-cli '*' file.find /var/log name=\\*.[0-9] mtime=+30d size=+10m delete
    """
    criteria = {name: value for name, value in kwargs.items() if not name.startswith("_")}
    if "delete" in args:
        criteria["delete"] = "f"
    elif "print" in args:
        criteria["print"] = "path"
    try:
        search = _plan(criteria)
    except ValueError as error:
        return f"error: {error}"
    starts = glob.glob(expand(path))  # noqa: PTH207  # Path.glob knows no absolute patterns
    return sorted((found for start in starts for found in search.below(start)), key=_order)


def _order(found: Any) -> Any:
    return [str(part) for part in found] if isinstance(found, list) else [found]


def _plan(criteria: dict[str, Any]) -> _Search:
    """Turn criteria into tests and actions; raises ValueError for what makes no sense."""
    search = _Search(
        mindepth=int(criteria.pop("mindepth", 0)),
        maxdepth=None if (deepest := criteria.pop("maxdepth", None)) is None else int(deepest),
        dry=bool(criteria.pop("test", False)),
    )
    cheap, costly = [], []
    for name, value in criteria.items():
        if not value:
            raise ValueError(f'missing value for "{name}" option')
        text = str(value)
        if name in NAME_TESTS:
            cheap.append(NAME_TESTS[name](text))
        elif name in STATUS_TESTS:
            costly.append(STATUS_TESTS[name](text))
        elif name == "print":
            search.actions.append(_printer(text))
        elif name == "exec":
            search.actions.append(_runner(text))
        elif name == "delete":
            kinds = "bcdpfls" if "a" in text else text
            costly.append(_type_test(kinds))
            search.actions.append(_tell if search.dry else _delete)
        else:
            raise ValueError(f'invalid option "{name}"')
    search.tests = cheap + costly
    if "grep" in criteria:
        # The dearest last.
        search.tests.sort(key=lambda test: getattr(test, "reads", False))
    search.actions = search.actions or [_tell]
    return search


def _regex(text: str, flags: int = 0) -> re.Pattern[str]:
    try:
        return re.compile(text, flags)
    except re.error:
        raise ValueError(f'invalid regular expression: "{text}"') from None


def _glob_regex(pattern: str) -> str:
    return pattern.replace(".", "\\.").replace("?", ".?").replace("*", ".*") + "$"


def _name_test(pattern: re.Pattern[str]) -> Test:
    return lambda entry: pattern.match(entry.name) is not None


def _type_test(text: str) -> Test:
    kinds = set()
    for letter in text.replace(",", "").replace(" ", ""):
        if letter not in TYPES:
            raise ValueError(f'invalid file type "{letter}"')
        kinds.add(TYPES[letter])
    links = TYPES["l"] in kinds

    def test(entry: _Entry) -> bool:
        if stat.S_IFMT(entry.status.st_mode) in kinds:
            return True
        # The status is that of what a link points to.
        return links and Path(entry.path).is_symlink()

    return test


def _ids(text: str, kind: str, lookup: Callable[[str], int]) -> set[int]:
    found = set()
    for name in text.replace(",", " ").split():
        try:
            found.add(int(name) if name.isdigit() else lookup(name))
        except KeyError:
            raise ValueError(f'no such {kind} "{name}"') from None
    return found


def _owner_test(text: str) -> Test:
    uids = _ids(text, "user", lambda name: pwd.getpwnam(name).pw_uid)
    return lambda entry: entry.status.st_uid in uids


def _group_test(text: str) -> Test:
    gids = _ids(text, "group", lambda name: grp.getgrnam(name).gr_gid)
    return lambda entry: entry.status.st_gid in gids


def _size_test(text: str) -> Test:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f'invalid size: "{text}"')
    style, number, unit = found.groups()
    scale = 1 << UNITS[unit.lower() or "b"]
    size = int(float(number) * scale)
    if style == "-":
        return lambda entry: entry.status.st_size <= size
    if style == "+":
        return lambda entry: entry.status.st_size >= size
    return lambda entry: size <= entry.status.st_size < size + scale


def _age_test(text: str) -> Test:
    found = _AGE.fullmatch(text)
    if found is None:
        raise ValueError(f"invalid time interval: '{text}'")
    parts = [(float(n), SECONDS[unit.lower()]) for n, unit in _AGE_PART.findall(found[2])]
    resolution = min(unit for _, unit in parts)
    age = sum(number * unit for number, unit in parts) // resolution * resolution
    moment = time.time() - age
    if found[1] == "-":
        return lambda entry: entry.status.st_mtime >= moment
    return lambda entry: entry.status.st_mtime <= moment


def _content_test(text: str) -> Test:
    pattern = _regex(text)

    def test(entry: _Entry) -> bool:
        if not stat.S_ISREG(entry.status.st_mode):
            return False
        with Path(entry.path).open(errors="surrogateescape") as file:
            return any(pattern.search(line) for line in file)

    test.reads = True  # type: ignore[attr-defined]  # _plan sorts by it
    return test


NAME_TESTS: Final[dict[str, Callable[[str], Test]]] = {
    "name": lambda text: _name_test(_regex(_glob_regex(text))),
    "iname": lambda text: _name_test(_regex(_glob_regex(text), re.IGNORECASE)),
    "regex": lambda text: _name_test(_regex(text)),
    "iregex": lambda text: _name_test(_regex(text, re.IGNORECASE)),
}
STATUS_TESTS: Final[dict[str, Callable[[str], Test]]] = {
    "type": _type_test,
    "owner": _owner_test,
    "user": _owner_test,
    "group": _group_test,
    "size": _size_test,
    "mtime": _age_test,
    "grep": _content_test,
}


def _tell(entry: _Entry) -> str:
    return entry.path


def _delete(entry: _Entry) -> str | None:
    try:
        path = Path(entry.path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return None
    return entry.path


def _runner(command: str) -> Action:
    def run(entry: _Entry) -> str:
        argv = [word.replace("{}", entry.path) for word in shlex.split(command)]
        try:
            ended = subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        except OSError:
            return f"{entry.path}: Failed"
        output = ended.stdout.decode(errors="replace")
        return f"{command.replace('{}', entry.path)}:\n{output}\n"

    return run


def _printer(text: str) -> Action:
    wanted = text.replace(",", " ").split() or ["path"]

    def show(entry: _Entry) -> Any:
        values = [_fact(entry, name) for name in wanted if name in PRINTABLE]
        return values[0] if len(values) == 1 else values

    return show


def _fact(entry: _Entry, name: str) -> Any:
    if name in ("path", "name"):
        return getattr(entry, name)
    status = entry.status
    if name == "md5":
        return get_hash(entry.path, "md5") if stat.S_ISREG(status.st_mode) else ""
    if name in ("user", "group"):
        number = status.st_uid if name == "user" else status.st_gid
        try:
            return (pwd.getpwuid if name == "user" else grp.getgrgid)(number)[0]
        except KeyError:
            return number
    return {
        "size": status.st_size,
        "type": LETTERS.get(stat.S_IFMT(status.st_mode), "?"),
        "mode": status.st_mode & 0o777,
        "mtime": int(status.st_mtime),
    }[name]
