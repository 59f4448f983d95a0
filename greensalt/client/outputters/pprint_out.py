"""The data as Python's pretty printer writes it."""

from __future__ import annotations

import pprint
from typing import Any

from greensalt.client.outputters import Style


def output(data: Any, _style: Style) -> str:
    return pprint.pformat(data)
