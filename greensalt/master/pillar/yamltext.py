"""YAML as Salt reads it: no tags of Python, a key that comes twice is an error, times stay text.

0644 is the number 644 and not an octal one, as Salt has it for file modes.
"""

from __future__ import annotations

import binascii
from collections.abc import Hashable
from typing import Any, TypeAlias

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from greensalt.errors import PillarError

# libyaml is ten times faster; PyYAML without it is complete all the same.
_Base: TypeAlias = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[valid-type]

MERGE_TAG = "tag:yaml.org,2002:merge"


def load_yaml(text: str) -> Any:
    """The data in a YAML text; raises PillarError with the place and the fault."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PillarError(_told(error)) from error


def dump_yaml(data: Any, flow_style: bool | None) -> str:
    """A YAML text of plain data, without the end mark that PyYAML gives to single values."""
    text: str = yaml.dump(
        data, Dumper=_Dumper, default_flow_style=flow_style, allow_unicode=True, width=1 << 16
    )
    return text.strip().removesuffix("...").rstrip("\n")


def _told(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "not YAML"
        return f"{what}; line {mark.line + 1}" if mark is not None else what
    return str(error) or type(error).__name__


class _Loader(_Base):  # type: ignore[misc]  # the base is known only at run time
    def flatten_mapping(self, node: MappingNode) -> None:
        """Resolve `<<`; a key of the mapping itself is no duplicate of a merged one."""
        own: list[tuple[Node, Node]] = []
        merged: list[tuple[Node, Node]] = []
        for key, value in node.value:
            if key.tag == MERGE_TAG:
                merged += self._merged(node, value)
            else:
                if key.tag == "tag:yaml.org,2002:value":
                    key.tag = "tag:yaml.org,2002:str"
                own.append((key, value))
        taken = {_scalar(key) for key, _ in own}
        kept: dict[Any, tuple[Node, Node]] = {}
        for key, value in merged:
            if _scalar(key) not in taken:
                kept[_scalar(key)] = (key, value)
        node.value = [*kept.values(), *own]

    def _merged(self, node: MappingNode, value: Node) -> list[tuple[Node, Node]]:
        sources = value.value if isinstance(value, SequenceNode) else [value]
        pairs: list[tuple[Node, Node]] = []
        for source in reversed(sources):
            if not isinstance(source, MappingNode):
                raise ConstructorError(
                    "while constructing a mapping",
                    node.start_mark,
                    "expected a mapping for merging",
                    source.start_mark,
                )
            self.flatten_mapping(source)
            pairs += source.value
        return pairs

    def construct_mapping(self, node: Node, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, MappingNode):
            raise ConstructorError(
                None, None, "expected a mapping node, but found another node", node.start_mark
            )
        self.flatten_mapping(node)
        mapping: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise ConstructorError(
                    None, None, "found a key that is a list or a map", key_node.start_mark
                )
            if key in mapping:
                raise ConstructorError(
                    None, None, f"found conflicting ID '{key}'", key_node.start_mark
                )
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping

    def construct_decimal(self, node: ScalarNode) -> int:
        text = node.value
        if text.startswith("0") and not text.startswith(("0b", "0x")):
            node.value = text.lstrip("0") or "0"
        number: int = self.construct_yaml_int(node)
        return number

    def construct_padded_binary(self, node: ScalarNode) -> bytes:
        text = "".join(self.construct_scalar(node).split())
        try:
            return binascii.a2b_base64(text + "=" * (-len(text) % 4))
        except ValueError as error:
            raise ConstructorError(
                None, None, f"failed to decode base64 data: {error}", node.start_mark
            ) from error


def _scalar(key: Node) -> Any:
    return key.value if isinstance(key, ScalarNode) else id(key)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_decimal)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_scalar)
_Loader.add_constructor("tag:yaml.org,2002:binary", _Loader.construct_padded_binary)


class _Dumper(yaml.SafeDumper):
    """Writes what templates hold: subclasses of text and of dictionaries as well."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's hook
        """The same list twice is written twice: an alias in the middle of a template is none."""
        return True


_Dumper.add_multi_representer(str, lambda dumper, data: dumper.represent_str(str(data)))
_Dumper.add_multi_representer(dict, lambda dumper, data: dumper.represent_dict(list(data.items())))
_Dumper.add_multi_representer(tuple, lambda dumper, data: dumper.represent_list(list(data)))
