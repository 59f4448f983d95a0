"""The standard library's JSON: always there, readable in every language, slow."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from greensalt.serializers.escapes import JSON_FACTS, escaped, unescaped

TAG = "json"
FACTS = JSON_FACTS


def dumps(obj: object) -> bytes:
    # Always rewritten first: the writer would make text of integer keys without a word.
    packed = json.dumps(escaped(obj), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return packed.encode()


def loads(data: bytes) -> Any:
    return unescaped(json.loads(data.decode(), parse_constant=_refuse), data)


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")
