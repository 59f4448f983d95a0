"""The filters that Salt adds to Jinja's own, as far as they need no machine: text, data, numbers.

What reaches for files, the network, the clock or chance is left out: pillar is cached by what it
was made from.
"""

from __future__ import annotations

import base64
import hashlib
import json
import pprint
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from greensalt.errors import PillarError
from greensalt.master.pillar.lookup import traverse
from greensalt.master.pillar.yamltext import dump_yaml, load_yaml


def _load_yaml(value: Any) -> Any:
    return load_yaml(str(value))


def _load_json(value: Any) -> Any:
    try:
        return json.loads(str(value))
    except ValueError as error:
        raise PillarError(f"not JSON: {error}") from error


def _to_json(value: Any, sort_keys: bool = True, indent: int | None = None) -> str:
    return json.dumps(value, sort_keys=sort_keys, indent=indent)


def _to_yaml(value: Any, flow_style: bool = True) -> str:
    return dump_yaml(value, flow_style)


def _yaml_encode(value: Any) -> str:
    if value is not None and not isinstance(value, str | bool | int | float):
        raise PillarError("yaml_encode is for single values")
    return dump_yaml(value, None)


def _yaml_dquote(text: Any) -> str:
    return json.dumps(str(text), ensure_ascii=False)  # a JSON string is a double-quoted one


def _yaml_squote(text: Any) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _flags(ignorecase: bool, multiline: bool) -> int:
    return (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)


def _regex_search(
    text: str, regex: str, ignorecase: bool = False, multiline: bool = False
) -> tuple[Any, ...] | None:
    found = re.search(regex, text, _flags(ignorecase, multiline))
    return found and found.groups()


def _regex_match(
    text: str, regex: str, ignorecase: bool = False, multiline: bool = False
) -> tuple[Any, ...] | None:
    found = re.match(regex, text, _flags(ignorecase, multiline))
    return found and found.groups()


def _regex_replace(
    text: str, regex: str, value: str, ignorecase: bool = False, multiline: bool = False
) -> str:
    return re.sub(regex, value, text, flags=_flags(ignorecase, multiline))


def _to_bool(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() in ("yes", "1", "true")
    return bool(value)


def _sequence(value: Any) -> Any:
    is_one = isinstance(value, str | bytes) or not isinstance(value, Iterable)
    return [value] if is_one else value


def _unique(values: Iterable[Any]) -> list[Any]:
    seen: list[Any] = []
    for value in values:
        if value not in seen:
            seen.append(value)
    return seen


def _union(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    return _unique([*left, *right])


def _intersect(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    other = list(right)
    return _unique(value for value in left if value in other)


def _difference(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    other = list(right)
    return _unique(value for value in left if value not in other)


def _symmetric_difference(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    ours, theirs = list(left), list(right)
    return [*_difference(ours, theirs), *_difference(theirs, ours)]


def _flatten(values: Iterable[Any], levels: int | None = None) -> list[Any]:
    flat: list[Any] = []
    for value in values:
        if value is None or value in ("None", "null"):
            continue
        if isinstance(value, list) and levels != 0:
            flat += _flatten(value, None if levels is None else levels - 1)
        else:
            flat.append(value)
    return flat


def _avg(values: Any) -> float:
    numbers = list(_sequence(values))
    return float(sum(numbers) / len(numbers))


def _to_num(text: Any) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except (TypeError, ValueError):
            continue
    return text


def _hashed(algorithm: str) -> Callable[[Any], str]:
    def digest(value: Any) -> str:
        return hashlib.new(algorithm, str(value).encode(), usedforsecurity=False).hexdigest()

    return digest


def _to_snake_case(text: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", text).lower()


def _to_camelcase(text: str, uppercamel: bool = False) -> str:
    words = text.split("_")
    first = words[0].title() if uppercamel else words[0]
    return first + "".join(word.title() for word in words[1:])


def _substring_in_list(text: str, values: Iterable[str]) -> bool:
    return any(text in value for value in values)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "load_yaml": _load_yaml,
    "load_json": _load_json,
    "load_text": str,
    "yaml": _to_yaml,
    "json": _to_json,
    "python": lambda value: pprint.pformat(value).strip(),
    "yaml_encode": _yaml_encode,
    "yaml_dquote": _yaml_dquote,
    "yaml_squote": _yaml_squote,
    "regex_search": _regex_search,
    "regex_match": _regex_match,
    "regex_replace": _regex_replace,
    "regex_escape": lambda text: re.escape(str(text)),
    "to_bool": _to_bool,
    "to_num": _to_num,
    "str_to_num": _to_num,
    "sequence": _sequence,
    "unique": _unique,
    "union": _union,
    "intersect": _intersect,
    "difference": _difference,
    "symmetric_difference": _symmetric_difference,
    "flatten": _flatten,
    "min": min,
    "max": max,
    "avg": _avg,
    "traverse": traverse,
    "quote": lambda value: shlex.quote(str(value)),
    "is_list": lambda value: isinstance(value, list),
    "is_iter": lambda value: isinstance(value, Iterable) and not isinstance(value, str | bytes),
    "is_empty": lambda value: not value,
    "sorted_ignorecase": lambda values: sorted(values, key=lambda value: str(value).lower()),
    "contains_whitespace": lambda text: any(sign.isspace() for sign in text),
    "substring_in_list": _substring_in_list,
    "to_snake_case": _to_snake_case,
    "to_camelcase": _to_camelcase,
    "to_entries": lambda data: [{"key": key, "value": value} for key, value in data.items()],
    "from_entries": lambda rows: {row["key"]: row.get("value") for row in rows},
    "path_join": lambda *parts: "/".join(
        [str(parts[0]).rstrip("/"), *(str(part).strip("/") for part in parts[1:])]
    ),
    "md5": _hashed("md5"),
    "sha1": _hashed("sha1"),
    "sha256": _hashed("sha256"),
    "sha512": _hashed("sha512"),
    "base64_encode": lambda value: base64.b64encode(str(value).encode()).decode(),
    "base64_decode": lambda value: base64.b64decode(str(value)).decode(),
}
