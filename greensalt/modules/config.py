"""Settings of the minion: its configuration, and grains and pillar as further sources."""

from __future__ import annotations

from typing import Any

from greensalt.minion.context import Context
from greensalt.modules._data import DELIMITER, MISSING, traverse

GREEN = True


def get(
    key: str,
    default: Any = "",
    delimiter: str = DELIMITER,
    merge: str | None = None,
    omit_opts: bool = False,
    omit_pillar: bool = False,
    omit_master: bool = False,
    omit_grains: bool = False,
    *,
    context: Context,
) -> Any:
    """Look a setting up in the configuration, the grains and the pillar, in this order.

    The last place is the master's configuration, if it puts that into the pillar (``pillar_opts``).

    ``a:b`` means the key ``b`` inside ``a``. With ``merge=recurse`` or ``merge=overwrite`` the
    dicts of all three are merged: the configuration wins over the grains, these over the pillar.

    CLI Example:

        greensalt-cli '*' config.get pkg:apache
        greensalt-cli '*' config.get lxc.container_profile:centos merge=recurse
    """
    sources = [
        source
        for source, omitted in (
            (context.opts.options(), omit_opts),
            (context.grains, omit_grains),
            (context.pillar, omit_pillar),
            (context.pillar.get("master", {}), omit_master),
        )
        if not omitted
    ]
    found = [
        value for s in sources if (value := traverse(s, key, MISSING, delimiter)) is not MISSING
    ]
    if not found:
        return default
    if merge in (None, "", False) or not all(isinstance(value, dict) for value in found):
        return found[0]
    if merge not in ("recurse", "overwrite"):
        raise ValueError(f"Unsupported merge strategy '{merge}'. Falling back to 'recurse'.")
    result: dict[Any, Any] = {}
    for value in reversed(found):
        _merge(result, value, deep=merge == "recurse")
    return result


def _merge(into: dict[Any, Any], new: dict[Any, Any], *, deep: bool) -> None:
    for key, value in new.items():
        if deep and isinstance(value, dict) and isinstance(into.get(key), dict):
            into[key] = dict(into[key])
            _merge(into[key], value, deep=True)
        else:
            into[key] = value


def option(
    value: str,
    default: Any = "",
    omit_opts: bool = False,
    omit_grains: bool = False,
    omit_pillar: bool = False,
    omit_master: bool = False,
    omit_all: bool = False,
    wildcard: bool = False,
    *,
    context: Context,
) -> Any:
    """Look an option up by its exact name in the configuration, the grains and the pillar.

    With ``wildcard`` the name is a pattern, and the result a dict of all that match.

    CLI Example:

        greensalt-cli '*' config.option redis.host
    """
    import fnmatch

    found: dict[str, Any] = {}
    for source, omitted in (
        (context.pillar.get("master", {}), omit_master or omit_all),
        (context.pillar, omit_pillar or omit_all),
        (context.grains, omit_grains or omit_all),
        (context.opts.options(), omit_opts or omit_all),
    ):
        if not omitted:
            found.update(source)
    if not wildcard:
        return found.get(value, default)
    names = fnmatch.filter(map(str, found), value)
    return {name: found[name] for name in names if name in found} or default


def items(*, context: Context) -> dict[str, Any]:
    """Return the whole configuration of the minion.

    CLI Example:

        greensalt-cli '*' config.items
    """
    return context.opts.options()


def valid_fileproto(uri: str) -> bool:
    """Tell whether an address names a place that files can be fetched from.

    CLI Example:

        greensalt-cli '*' config.valid_fileproto salt://path/to/file
    """
    schemes = ("salt", "http", "https", "ftp", "s3", "swift", "file")
    return uri.partition("://")[0] in schemes and "://" in uri
