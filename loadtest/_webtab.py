"""x"""

from typing import Any


def install(web_ui: Any, run: Any) -> None: ...
