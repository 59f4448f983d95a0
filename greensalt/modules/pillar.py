"""The data that the master keeps for this minion.

Where a result goes into the job cache and over the event bus, values are hidden behind asterisks:
`unmask=True` shows them, as does the option `pillar_mask_output: False` for `pillar.items`.
`pillar.raw` always shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greensalt.errors import CommandExecutionError
from greensalt.minion.context import Context
from greensalt.modules._data import DELIMITER, MISSING, choose, traverse

GREEN = True

MASK: Final = "**********"


def get(
    key: str,
    default: Any = MISSING,
    merge: bool = False,
    merge_nested_lists: bool | None = None,
    delimiter: str = DELIMITER,
    pillarenv: str | None = None,
    saltenv: str | None = None,
    unmask: bool | None = None,
    *,
    context: Context,
) -> Any:
    """Return a value of the pillar, or ``default``; ``a:b`` means ``b`` inside ``a``.

    With ``merge`` a default that is a dict or a list is merged with the value.

    CLI Example:

        greensalt-cli '*' pillar.get pkg:apache
        greensalt-cli '*' pillar.get abc::def|ghi delimiter='|' unmask=True
    """
    _only_own_environment(pillarenv, saltenv)
    if default is MISSING:
        raises = context.opts.others.get("pillar_raise_on_missing")
        fallback: Any = MISSING if raises else ""
    else:
        fallback = default
    found = traverse(context.pillar, key, fallback, delimiter)
    if found is MISSING:
        raise KeyError(f"Pillar key not found: {key}")
    if merge and default is not MISSING:
        if merge_nested_lists is None:
            merge_nested_lists = bool(context.opts.others.get("pillar_merge_lists"))
        found = _merged(default, found, merge_nested_lists)
    return found if unmask else _masked(found)


def _merged(default: Any, found: Any, merge_lists: bool) -> Any:
    if isinstance(default, Mapping) and isinstance(found, Mapping):
        result = dict(default)
        for key, value in found.items():
            present = result.get(key)
            if isinstance(present, Mapping) and isinstance(value, Mapping):
                result[key] = _merged(present, value, merge_lists)
            elif merge_lists and isinstance(present, list) and isinstance(value, list):
                result[key] = [*present, *(item for item in value if item not in present)]
            else:
                result[key] = value
        return result
    if isinstance(default, list) and isinstance(found, list):
        return [*default, *(item for item in found if item not in default)]
    return found


def _masked(value: Any) -> Any:
    """Show the shape of a value but not what is in it: what is neither empty nor null is hidden."""
    if isinstance(value, Mapping):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if value is None or value in ("", b""):
        return value
    return MASK


def _only_own_environment(pillarenv: str | None, saltenv: str | None) -> None:
    if pillarenv is not None or saltenv is not None:
        raise CommandExecutionError("the pillar of another environment can't be fetched here")


def items(
    *args: str,
    pillar: Mapping[str, Any] | None = None,
    pillar_enc: str | None = None,
    pillarenv: str | None = None,
    saltenv: str | None = None,
    unmask: bool | None = None,
    context: Context,
) -> dict[str, Any]:
    """Fetch the pillar anew and return it, or with arguments as `pillar.item` does.

    ``pillar`` is a dict that is laid over it in the result.

    CLI Example:

        greensalt-cli '*' pillar.items
        greensalt-cli '*' pillar.items unmask=True
    """
    _only_own_environment(pillarenv, saltenv)
    if args:
        return item(*args, unmask=unmask, context=context)
    if pillar_enc:
        raise CommandExecutionError("an encrypted pillar override can't be read here")
    context.refresh("pillar")
    result = dict(context.pillar)
    if pillar:
        result = _merged(result, pillar, merge_lists=False)
    if unmask is None:
        unmask = context.opts.others.get("pillar_mask_output", True) is False
    return result if unmask else dict(_masked(result))


def data(*args: str, context: Context, **kwargs: Any) -> dict[str, Any]:
    """Do what `pillar.items` does.

    CLI Example:

        greensalt-cli '*' pillar.data
    """
    given = {name: value for name, value in kwargs.items() if not name.startswith("__")}
    return items(*args, context=context, **given)


def item(
    *args: str,
    default: Any = None,
    delimiter: str | None = None,
    pillarenv: str | None = None,
    saltenv: str | None = None,
    unmask: bool | None = None,
    context: Context,
) -> dict[str, Any]:
    """Return some values of the pillar, by name or by a path such as ``a:b``.

    CLI Example:

        greensalt-cli '*' pillar.item foo
        greensalt-cli '*' pillar.item foo:bar delimiter=':'
    """
    _only_own_environment(pillarenv, saltenv)
    fallback = "" if default is None else default
    found = {
        name: traverse(context.pillar, name, fallback, delimiter or DELIMITER) for name in args
    }
    return found if unmask else dict(_masked(found))


def raw(key: str | None = None, unmask: bool | None = None, *, context: Context) -> Any:
    """Return the pillar, or a part of it, as the minion has it in memory.

    CLI Example:

        greensalt-cli '*' pillar.raw
        greensalt-cli '*' pillar.raw key='roles'
    """
    found: Any = context.pillar.get(key, {}) if key else dict(context.pillar)
    return _masked(found) if unmask is False else found


def obfuscate(*args: str, context: Context) -> Any:
    """Return the pillar with the types of values in their places.

    CLI Example:

        greensalt-cli '*' pillar.obfuscate
    """
    return _types(items(*args, unmask=True, context=context))


def _types(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _types(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_types(item) for item in value]
    return f"<{type(value).__name__}>"


def ls(*args: str, context: Context) -> list[str]:
    """Fetch the pillar anew and return the names in it.

    CLI Example:

        greensalt-cli '*' pillar.ls
    """
    return list(items(*args, unmask=True, context=context))


def keys(
    key: str, delimiter: str = DELIMITER, unmask: bool | None = None, *, context: Context
) -> list[Any]:
    """Return the keys of a dict in the pillar.

    CLI Example:

        greensalt-cli '*' pillar.keys web:sites
    """
    found = traverse(context.pillar, key, MISSING, delimiter)
    if found is MISSING:
        raise KeyError(f"Pillar key not found: {key}")
    if not isinstance(found, Mapping):
        raise ValueError(f"Pillar value in key {key} is not a dict")  # noqa: TRY004  # as ever
    return list(found)


def fetch(
    key: str,
    default: Any = MISSING,
    merge: bool = False,
    merge_nested_lists: bool | None = None,
    delimiter: str = DELIMITER,
    pillarenv: str | None = None,
    saltenv: str | None = None,
    unmask: bool | None = None,
    *,
    context: Context,
) -> Any:
    """Return a value of the pillar, as `pillar.get` does.

    CLI Example:

        greensalt-cli '*' pillar.fetch pkg:apache
    """
    return get(
        key,
        default,
        merge,
        merge_nested_lists,
        delimiter,
        pillarenv,
        saltenv,
        unmask,
        context=context,
    )


def filter_by(
    lookup_dict: Mapping[str, Any],
    pillar: str,
    merge: Mapping[str, Any] | None = None,
    default: str = "default",
    base: str | None = None,
    *,
    context: Context,
) -> Any:
    """Choose from a dict by a value of the pillar; its keys may be patterns.

    See `grains.filter_by` for ``merge``, ``default`` and ``base``.

    CLI Example:

        greensalt-cli '*' pillar.filter_by '{web: Serve it up, db: I query}' role
    """
    return choose(lookup_dict, traverse(context.pillar, pillar), merge, default, base)
