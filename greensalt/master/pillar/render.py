"""One file to data: its renderers, from the first line (`#!jinja|yaml`) or the configuration."""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

from greensalt.config import MasterConfig
from greensalt.errors import ConfigError, PillarError
from greensalt.master.pillar.templates import Templates
from greensalt.master.pillar.tree import Source, Stamp, Tree, read_text
from greensalt.master.pillar.yamltext import load_yaml

log = logging.getLogger(__name__)

RENDERERS: Final = ("jinja", "yaml", "json")
KEPT_TEXTS: Final = 4000
KEPT_TEXT_CHARS: Final = 32 << 20
KEPT_DATA: Final = 1000
MOST_KEPT_CHARS: Final = 16_000  # of one rendered text

V = TypeVar("V")


class Recent(Generic[V]):
    """The most recently used values, for many threads: so many, and of so many bytes."""

    def __init__(self, most: int, most_bytes: int = 1 << 30) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._sizes: dict[Any, int] = {}
        self._values: OrderedDict[Any, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> V | None:
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: Any, value: V, size: int = 0) -> None:
        """Keep a value of so many bytes; others may have to go for it."""
        with self._lock:
            self._remove(key)
            self._values[key] = value
            self._sizes[key] = size
            self._bytes += size
            while len(self._values) > self._most or self._bytes > self._most_bytes:
                self._remove(next(iter(self._values)))

    def drop(self, key: Any) -> None:
        with self._lock:
            self._remove(key)

    def _remove(self, key: Any) -> None:
        if self._values.pop(key, None) is not None:
            self._bytes -= self._sizes.pop(key)


class Renderer:
    """Renders files for all minions; remembers texts of files and data of rendered texts.

    The data are shared: don't change them.
    """

    def __init__(self, templates: Templates, default: str) -> None:
        self._templates = templates
        self._default = check_pipe(default)
        self._texts: Recent[tuple[Stamp, str]] = Recent(KEPT_TEXTS, KEPT_TEXT_CHARS)
        self._data: Recent[tuple[Any]] = Recent(KEPT_DATA)

    def render(self, tree: Tree, saltenv: str, source: Source, context: Mapping[str, Any]) -> Any:
        """The data of a file; {} of an empty one. Raises PillarError."""
        text = self._text(source)
        pipe = _shebang(text) or self._default
        if pipe[0] == "jinja":
            text = self._templates.render(tree, saltenv, source.rel, context)
        if not text.strip():
            return {}
        key = (pipe[-1], text)
        known = self._data.get(key)
        if known is None:
            known = (_parsed(pipe[-1], text),)
            if len(text) <= MOST_KEPT_CHARS:
                self._data.put(key, known)
        return {} if known[0] is None else known[0]

    def _text(self, source: Source) -> str:
        known = self._texts.get(source.path)
        if known is not None and known[0] == source.stamp:
            return known[1]
        text = read_text(source)
        self._texts.put(source.path, (source.stamp, text), len(text))
        return text


def check_pipe(words: str) -> list[str]:
    """The renderers of a pipe such as `jinja|yaml`; raises PillarError for what is none."""
    pipe = [word.strip() for word in words.strip().split("|")]
    unknown = [word for word in pipe if word not in RENDERERS]
    if unknown:
        known = ", ".join(RENDERERS)
        raise PillarError(f"the renderer {unknown[0]!r} is not available: there are {known}")
    if "jinja" in pipe[1:] or len(pipe) > 2:
        raise PillarError(f"{words.strip()!r} is no order of renderers: try jinja|yaml")
    return pipe


def _shebang(text: str) -> list[str] | None:
    if not text.startswith("#!") or text.startswith("#!/"):
        return None
    return check_pipe(text.partition("\n")[0][2:])


def _parsed(renderer: str, text: str) -> Any:
    if renderer == "yaml":
        return load_yaml(text)
    if renderer == "jinja":
        raise PillarError("the file ends in a text: its last renderer must be yaml or json")
    body = text.partition("\n")[2] if text.startswith("#!") else text
    try:
        return json.loads(body)
    except ValueError as error:
        raise PillarError(f"not JSON: {error}") from error


def configured_renderer(config: MasterConfig) -> Renderer:
    """The renderer of the master's own files; ConfigError for a `renderer` that isn't there."""
    templates = Templates(
        trim_blocks=config.jinja_trim_blocks,
        lstrip_blocks=config.jinja_lstrip_blocks,
        undefined=config.allow_undefined,
    )
    try:
        return Renderer(templates, config.renderer)
    except PillarError as error:
        raise ConfigError(f"renderer: {error}") from error
