"""One line of text for each line of a result, behind the minion's id."""

from __future__ import annotations

import pprint
from collections.abc import Iterator
from typing import Any

from greensalt.client.outputters import Style


def output(data: Any, _style: Style) -> str:
    if not isinstance(data, dict):
        return data if isinstance(data, str) else pprint.pformat(data)
    return "\n".join(line for key, value in data.items() for line in _lines(key, value))


def _lines(key: Any, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        for line in value.splitlines():
            yield f"{key}: {line}"
    else:
        yield f"{key}: {value}"
