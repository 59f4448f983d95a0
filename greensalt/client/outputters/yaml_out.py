"""YAML in block style, or in flow style when the indentation is negative."""

from __future__ import annotations

from typing import Any

import yaml

from greensalt.client.outputters import Style

# libyaml's emitter is the one stock Salt uses, and ten times as fast.
_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Base):  # type: ignore[misc]  # which base it is depends on how PyYAML was built
    """Writes tuples as lists, and every value in full where it stands, without anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


_Dumper.add_representer(tuple, _Dumper.represent_list)


def output(data: Any, style: Style) -> str:
    """YAML text, keys sorted."""
    flow = style.indent is not None and style.indent < 0
    text = yaml.dump(
        data,
        Dumper=_Dumper,
        default_flow_style=flow,
        indent=None if flow else style.indent,
        allow_unicode=True,
    )
    return str(text).removesuffix("...\n")
