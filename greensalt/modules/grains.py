"""Facts about the minion's machine, and those that its administrator adds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from greensalt.errors import CommandExecutionError
from greensalt.green import offload
from greensalt.minion.context import Context
from greensalt.modules._data import DELIMITER, MISSING, choose, is_true, traverse

GREEN = True

__outputter__ = {"items": "nested", "item": "nested", "setval": "nested"}

HIDDEN: Final = {
    "domain": "DOMAINNAME",
    "fqdn": "MINION.DOMAINNAME",
    "id": "MINION.DOMAINNAME",
    "host": "MINION",
    "localhost": "MINION",
    "nodename": "MINION",
}


def get(
    key: str,
    default: Any = "",
    delimiter: str = DELIMITER,
    ordered: bool = True,
    *,
    context: Context,
) -> Any:
    """Return a grain; ``a:b`` means ``b`` inside ``a``. If there is none, ``default``.

    CLI Example:

        greensalt-cli '*' grains.get pkg:apache
        greensalt-cli '*' grains.get abc::def|ghi delimiter='|'
    """
    return traverse(context.grains, key, default, delimiter)


def has_value(key: str, *, context: Context) -> bool:
    """Tell whether there is a grain of that name, ``a:b`` meaning ``b`` inside ``a``.

    CLI Example:

        greensalt-cli '*' grains.has_value pkg:apache
    """
    return traverse(context.grains, key, MISSING) is not MISSING


def items(sanitize: bool = False, *, context: Context) -> dict[str, Any]:
    """Return all grains. ``sanitize`` hides names and serial numbers.

    CLI Example:

        greensalt-cli '*' grains.items
        greensalt-cli '*' grains.items sanitize=True
    """
    return _sanitized(dict(context.grains), sanitize)


def item(*args: str, context: Context, **kwargs: Any) -> dict[str, Any]:
    """Return some grains, by name or by a path such as ``a:b``.

    CLI Example:

        greensalt-cli '*' grains.item os
        greensalt-cli '*' grains.item os osrelease oscodename
        greensalt-cli '*' grains.item host sanitize=True
    """
    default = kwargs.get("default", "")
    delimiter = kwargs.get("delimiter", DELIMITER)
    found = {name: traverse(context.grains, name, default, delimiter) for name in args}
    return _sanitized(found, kwargs.get("sanitize"))


def _sanitized(grains: dict[str, Any], wanted: Any) -> dict[str, Any]:
    if not is_true(wanted):
        return grains
    shown = {name: HIDDEN.get(name, value) for name, value in grains.items()}
    if "serialnumber" in shown:
        number = str(shown["serialnumber"])
        kept = len(number) * 3 // 4
        shown["serialnumber"] = number[:kept] + "X" * (len(number) - kept)
    return shown


def ls(*, context: Context) -> list[str]:
    """Return the names of all grains.

    CLI Example:

        greensalt-cli '*' grains.ls
    """
    return sorted(context.grains)


def equals(key: str, value: Any, *, context: Context) -> bool:
    """Tell whether a grain has a value, both compared as text.

    CLI Example:

        greensalt-cli '*' grains.equals fqdn web1.example.com
        greensalt-cli '*' grains.equals systemd:version 219
    """
    return str(value) == str(get(key, context=context))


def fetch(key: str, default: Any = "", *, context: Context) -> Any:
    """Return a grain, as `grains.get` does.

    CLI Example:

        greensalt-cli '*' grains.fetch pkg:apache
    """
    return get(key, default, context=context)


def filter_by(
    lookup_dict: Mapping[str, Any],
    grain: str = "os_family",
    merge: Mapping[str, Any] | None = None,
    default: str = "default",
    base: str | None = None,
    *,
    context: Context,
) -> Any:
    """Choose from a dict by the value of a grain; its keys may be patterns.

    ``default`` is the key to take if none fits, ``base`` the key of a dict that the chosen one is
    merged over, ``merge`` a dict that is merged over the result.

    CLI Example:

        greensalt-cli '*' grains.filter_by '{Debian: Debheads rule, RedHat: I love my hat}'
    """
    return choose(lookup_dict, traverse(context.grains, grain), merge, default, base)


def setvals(
    grains: Mapping[str, Any],
    destructive: bool = False,
    refresh_pillar: bool = True,
    *,
    context: Context,
) -> Mapping[str, Any]:
    """Set grains in the grains file of the minion and return them.

    With ``destructive`` a value of ``None`` deletes a grain.

    CLI Example:

        greensalt-cli '*' grains.setvals "{'key1': 'val1', 'key2': 'val2'}"
    """
    if not isinstance(grains, Mapping):
        raise CommandExecutionError("setvals grains must be a dictionary.")
    offload(_edit_file, context.opts.config_dir / "grains", grains, bool(destructive))
    context.refresh("grains")
    return grains


def _edit_file(path: Path, changes: Mapping[str, Any], destructive: bool) -> None:
    try:
        grains = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        grains = {}
    except (OSError, yaml.YAMLError) as error:
        raise CommandExecutionError(f"Unable to read existing grains file: {error}") from error
    if not isinstance(grains, dict):
        grains = {}
    for name, value in changes.items():
        if value is None and destructive:
            grains.pop(name, None)
        else:
            grains[name] = value
    text = yaml.safe_dump(grains, default_flow_style=False)
    # Written whole, then put in place: the minion may read it at any time.
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text)
        new.replace(path)
    except OSError as error:
        raise CommandExecutionError(f"Unable to write to grains file {path}: {error}") from error


def setval(
    key: str,
    val: Any,
    destructive: bool = False,
    refresh_pillar: bool = True,
    *,
    context: Context,
) -> Mapping[str, Any]:
    """Set one grain in the grains file of the minion.

    CLI Example:

        greensalt-cli '*' grains.setval key val
        greensalt-cli '*' grains.setval key "{'sub-key': 'val', 'sub-key2': 'val2'}"
    """
    return setvals({key: val}, destructive, refresh_pillar, context=context)


def append(
    key: str, val: Any, convert: bool = False, delimiter: str = DELIMITER, *, context: Context
) -> Any:
    """Add a value to a grain that is a list. With ``convert`` it is made one if it is none.

    CLI Example:

        greensalt-cli '*' grains.append key val
    """
    values = get(key, [], delimiter, context=context)
    if convert and not isinstance(values, list):
        values = [] if values is None else [values]
    if not isinstance(values, list):
        return f"The key {key} is not a valid list"
    if val in values:
        return f"The val {val} was already in the list {key}"
    new = [*values, *(val if isinstance(val, list) else [val])]
    return _set_inside(key, new, delimiter, context)


def remove(key: str, val: Any, delimiter: str = DELIMITER, *, context: Context) -> Any:
    """Remove a value from a grain that is a list.

    CLI Example:

        greensalt-cli '*' grains.remove key val
    """
    values = get(key, [], delimiter, context=context)
    if not isinstance(values, list):
        return f"The key {key} is not a valid list"
    if val not in values:
        return f"The val {val} was not in the list {key}"
    new = list(values)
    new.remove(val)
    return _set_inside(key, new, delimiter, context)


def _set_inside(key: str, value: Any, delimiter: str, context: Context) -> Mapping[str, Any]:
    """Set a grain inside others, which stay as they are besides."""
    while delimiter in key:
        key, _, last = key.rpartition(delimiter)
        outer = get(key, {}, delimiter, context=context)
        value = {**outer, last: value} if isinstance(outer, dict) else {last: value}
    return setval(key, value, context=context)


def delkey(key: str, force: bool = False, *, context: Context) -> dict[str, Any]:
    """Delete a grain from the grains file. ``force`` deletes one that is a list or a dict.

    CLI Example:

        greensalt-cli '*' grains.delkey key
    """
    return delval(key, destructive=True, force=force, context=context)


def delval(
    key: str, destructive: bool = False, force: bool = False, *, context: Context
) -> dict[str, Any]:
    """Set a grain to ``None``, or with ``destructive`` delete it.

    CLI Example:

        greensalt-cli '*' grains.delval key
    """
    return set_(key, None, destructive=destructive, force=force, context=context)


def set_(
    key: str,
    val: Any = "",
    force: bool = False,
    destructive: bool = False,
    delimiter: str = DELIMITER,
    *,
    context: Context,
) -> dict[str, Any]:
    """Set a grain, also one inside others; return what changed.

    A list or dict is not replaced without ``force``, nor is another grain by one of them.

    CLI Example:

        greensalt-cli '*' grains.set 'apps:myApp:port' 2209
        greensalt-cli '*' grains.set 'apps:myApp' '{port: 2209}'
    """
    present = get(key, MISSING, delimiter, context=context)
    if present is not MISSING and present == val and not (val is None and destructive):
        return {"comment": "Grain is already set", "changes": {}, "result": True}
    if not force and present is not MISSING and present is not None:
        if isinstance(present, dict | list):
            return _refusal(f"The key '{key}' exists but is a dict or a list.")
        if isinstance(val, dict | list):
            return _refusal(f"The key '{key}' exists and the given value is a dict or a list.")
    value: Any = val
    path = key
    while delimiter in path:
        path, _, last = path.rpartition(delimiter)
        outer = get(path, {}, delimiter, context=context)
        replaced = _put(outer, last, value, delete=value is None and destructive, force=force)
        if replaced is None:
            return _refusal(
                f"The key '{path}' value is '{outer}', which is different from the provided key"
                f" '{last}'."
            )
        value = replaced
    changes = setval(path, value, destructive=destructive, context=context)
    return {"comment": "", "changes": changes, "result": True}


def _refusal(comment: str) -> dict[str, Any]:
    return {
        "comment": f"{comment} Use 'force=True' to overwrite.",
        "changes": {},
        "result": False,
    }


def _put(outer: Any, name: str, value: Any, *, delete: bool, force: bool) -> Any:
    """A copy of `outer` in which `name` has the value; None if there is no place for it."""
    if isinstance(outer, dict):
        kept = {key: kept for key, kept in outer.items() if key != name}
        return kept if delete else {**kept, name: value}
    if isinstance(outer, list):
        found = [item == name or (isinstance(item, dict) and name in item) for item in outer]
        new = [
            ({**item, name: value} if isinstance(item, dict) else {name: value}) if hit else item
            for item, hit in zip(outer, found, strict=True)
        ]
        return new if any(found) else [*new, {name: value}]
    return {name: value} if outer == name or force else None
