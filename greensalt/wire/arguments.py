"""What a function argument means that was written as text: `name=value` pairs and YAML values.

The command line reads what its user typed this way, and a minion the strings among the arguments
of a job. Spec 5.3, "Argument handling".
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

KWARG_MARK: Final = "__kwarg__"
"""A dict among the arguments with this key set to True holds keyword arguments."""

_PAIR: Final = re.compile(r"([^\d\W][\w.-]*)=(?!=)(.*)$")
# Words that YAML leaves alone. Most arguments are such, and PyYAML takes long to import.
_WORD: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_/.-]*")
_NOT_JUST_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "none"})


def split_keyword(text: str) -> tuple[str, str] | None:
    """The name and the value of `name=value`; None for anything else, `a==b` included."""
    found = _PAIR.match(text)
    return None if found is None else (found[1], found[2])


def yaml_value(text: str) -> Any:
    """The value that a text stands for: a number, boolean, None, list, map, or the text itself.

    Lists and maps count only in brackets and braces, so that `key: value` stays text; so do dates,
    numbers with underscores and whatever is not YAML. A leading zero does not mean octal.
    """
    if _WORD.fullmatch(text) and text.lower() not in _NOT_JUST_WORDS:
        return text
    if text == "None":
        return None
    if text.strip() in ("", "---", "...") or any(character in text for character in "\t\r\n"):
        return text
    if "_" in text and all(character in "0123456789_" for character in text.strip()):
        return text
    value = _load(text)
    if value is _BROKEN or not _is_meant(value, text):
        return text
    return value


_BROKEN: Final = object()


def _is_meant(value: object, text: str) -> bool:
    if isinstance(value, dict):
        return text.startswith("{")
    if isinstance(value, list):
        return text.startswith("[")
    if "#" in text:
        # Not a comment: an argument is never annotated, but colours and channels begin so.
        return isinstance(value, bool | int | float)
    if value is None or value == "":
        return text not in ("!", "|")
    return isinstance(value, bool | int | float | str)


def _load(text: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=_loader())  # noqa: S506  # a subclass of the safe loader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return _BROKEN


@cache
def _loader() -> type[Any]:
    """A safe loader with Salt's three differences: zeros, dates and repeated keys."""
    import yaml

    # The class is made by a call: which base it has depends on how PyYAML was built.
    base: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader_class: type[Any] = type("ArgumentLoader", (base,), {})

    def read_int(loader: Any, node: yaml.ScalarNode) -> int:
        if node.value.startswith("0") and not node.value.startswith(("0b", "0x")):
            node.value = node.value.lstrip("0") or "0"
        return int(loader.construct_yaml_int(node))

    def read_text(loader: Any, node: yaml.ScalarNode) -> str:
        return str(loader.construct_scalar(node))

    def read_map(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
        own = [key_node.value for key_node, _ in node.value if isinstance(key_node.value, str)]
        if len(own) != len(set(own)):
            raise ValueError("a key is there twice")
        return dict(loader.construct_mapping(node, deep=True))

    loader_class.add_constructor("tag:yaml.org,2002:int", read_int)
    loader_class.add_constructor("tag:yaml.org,2002:timestamp", read_text)
    loader_class.add_constructor("tag:yaml.org,2002:map", read_map)
    return loader_class
