"""Words of a command line as typed arguments of a job.

`1` becomes a number, `{a: 1}` a dict, `a=b` an entry of one trailing dict that is marked with
`__kwarg__`. The rules, odd ones included, are those of Salt's command line: scripts rely on them.
PyYAML is imported only for words that need it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any, Final

KWARG_MARK: Final = "__kwarg__"

_KWARG: Final = re.compile(r"([^\d\W][\w.-]*)=(?!=)(.*)")
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")
# Text that YAML can only read as itself, unless it is one of the words below.
_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+,%=-]*(?: [A-Za-z0-9_./@+,%=-]+)*")
_DIGITS_AND_UNDERSCORES: Final = re.compile(r"[0-9]*_[0-9_]*")
# Complete YAML documents, but hardly meant as ones.
_BARE_INDICATORS: Final = frozenset({"---", "...", "|", ">", "!"})
_YAML_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "none"})
_SHAPES: Final = (int, float, str, list, dict, type(None))
_JID_DIGITS: Final = 20


def parse_args(words: Iterable[str], no_parse: Collection[str] = ()) -> list[Any]:
    """The arguments that `words` mean; the values of the keywords in `no_parse` stay text.

    Keyword arguments come last, as one dict with the mark `__kwarg__`. A positional number of 20
    digits is a job id and stays text.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        if (found := _KWARG.fullmatch(word.removesuffix("\n"))) is not None:
            name, value = found.groups()
            kwargs[name] = value if name in no_parse else typed(value)
        else:
            args.append(_jid_as_text(typed(word)))
    if kwargs:
        args.append({KWARG_MARK: True, **kwargs})
    return args


def add_kwargs(args: Iterable[Any], kwargs: dict[str, Any] | None) -> list[Any]:
    """Arguments that are typed already, with `kwargs` as the trailing marked dict."""
    ready = [_jid_as_text(arg) for arg in args]
    if kwargs:
        ready.append({KWARG_MARK: True, **kwargs})
    return ready


def typed(word: str) -> Any:
    """The value that a word means: what YAML reads in it, or the word where that would mislead.

    Text stays as it is when it has several lines, when YAML would take its `#` for a comment, when
    it looks like a mapping or a list without their brackets, and when YAML can't read it.
    """
    if _PLAIN.fullmatch(word) and word.lower() not in _YAML_WORDS:
        return word
    if _INTEGER.fullmatch(word):
        return int(word)
    if word == "None":
        return None
    if not word.strip() or "\n" in word or word in _BARE_INDICATORS:
        return word
    return _from_yaml(word)


def _from_yaml(word: str) -> Any:
    from yaml import YAMLError

    try:
        value = _load(word)
    except (YAMLError, ValueError, TypeError, IndexError, OverflowError, RecursionError):
        return word
    return value if _meant(word, value) else word


def _meant(word: str, value: Any) -> bool:
    """Whether whoever wrote `word` will have wanted `value`."""
    if not isinstance(value, _SHAPES):
        return False
    if "#" in word:
        return value is not None and not isinstance(value, str)
    if isinstance(value, dict):
        return word.lstrip().startswith("{")
    if isinstance(value, list):
        return word.lstrip().startswith("[")
    # Underscores between digits are part of a name sooner than of a number.
    return not _DIGITS_AND_UNDERSCORES.fullmatch(word.strip())


def _load(word: str) -> Any:
    import yaml

    return yaml.load(word, _loader())  # noqa: S506  # it is a SafeLoader


@cache
def _loader() -> Any:
    """A safe YAML loader that leaves dates as text, reads 010 as ten and refuses double keys."""
    import yaml

    # The one in Python: libyaml's takes a tab behind a word for blank, Salt's words keep it.
    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {
            first: [(tag, rule) for tag, rule in rules if not tag.endswith(":timestamp")]
            for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            keys = [
                self.construct_object(key, deep=True)
                for key, _ in node.value
                if key.tag != "tag:yaml.org,2002:merge"
            ]
            if len(keys) != len(set(keys)):
                raise yaml.constructor.ConstructorError(problem="a key stands there twice")
            super().flatten_mapping(node)

        def construct_decimal(self, node: yaml.ScalarNode) -> int:
            if re.fullmatch("0[0-9_]+", node.value):
                node.value = node.value.lstrip("0") or "0"
            return self.construct_yaml_int(node)

        def construct_text(self, node: yaml.ScalarNode) -> str:
            return self.construct_yaml_str(node)

    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_decimal)
    Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.construct_text)
    return Loader


def _jid_as_text(value: Any) -> Any:
    if isinstance(value, int) and len(str(value)) == _JID_DIGITS and value > 0:
        return str(value)
    return value
