"""The mine: values that this minion keeps at the master for all others to see."""

from __future__ import annotations

import copy
import logging
from typing import Any, Final

from greensalt.functions.arguments import without_pub
from greensalt.minion.context import Context
from greensalt.modules._data import traverse

GREEN = True

log = logging.getLogger(__name__)

# A value that not every minion may see travels in a dict with these keys.
ACL_MARK: Final = "__saltmine_acl__"
ACL_DATA: Final = "__data__"


def update(clear: bool = False, mine_functions: Any = None, *, context: Context) -> Any:
    """Run the functions of the mine and send their results to the master.

    They are those of ``mine_functions`` in the pillar or the configuration, or the given ones (a
    list or dict). ``clear`` removes all other values from the mine.

    CLI Example:

        greensalt-cli '*' mine.update
        greensalt-cli '*' mine.update mine_functions='["test.ping"]'
    """
    wanted = mine_functions or _configured(context)
    if isinstance(wanted, list):
        wanted = {str(name): {} for name in wanted}
    if not isinstance(wanted, dict) or not wanted:
        return None
    data: dict[str, Any] = {}
    for alias, definition in wanted.items():
        function, args, kwargs, acl = _parse(definition)
        try:
            value = _call(context, function or alias, args, kwargs)
        except Exception as error:  # noqa: BLE001  # one bad function must not spoil the others
            log.error("Function %s in mine.update failed to execute: %s", function or alias, error)
            continue
        data[alias] = _restricted(value, acl)
    return _store(data, context, clear=bool(clear))


def _configured(context: Context) -> Any:
    """The functions of the pillar, over those of the configuration."""
    own = dict(context.opts.mine_functions)
    central = traverse(context.pillar, "mine_functions", {})
    if isinstance(central, list):
        central = {str(name): {} for name in central}
    return {**own, **central} if isinstance(central, dict) else own


def _parse(definition: Any) -> tuple[str | None, list[Any], dict[str, Any], dict[str, Any]]:
    """Function, arguments and who may see the result, of one entry of ``mine_functions``."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    if isinstance(definition, dict):
        kwargs = copy.deepcopy(definition)
    elif isinstance(definition, list):
        for item in definition:
            if isinstance(item, dict):
                kwargs.update(copy.deepcopy(item))
            else:
                args.append(item)
    function = kwargs.pop("mine_function", None)
    acl = {name: kwargs.pop(name, None) for name in ("allow_tgt", "allow_tgt_type")}
    return function, args, kwargs, {name: value for name, value in acl.items() if value}


def _call(context: Context, fun: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call a function whose failure, or exit code, is not that of this job."""
    before = context.retcode
    try:
        return context.call(fun, *args, **kwargs)
    finally:
        context.retcode = before


def _restricted(value: Any, acl: dict[str, Any]) -> Any:
    return {ACL_DATA: value, ACL_MARK: 1, **acl} if acl.get("allow_tgt") else value


def _store(data: dict[str, Any], context: Context, *, clear: bool = False) -> bool:
    load = {"cmd": "_mine", "data": data, "id": context.id, "clear": clear}
    return bool(context.request(load))


def send(name: str, *args: Any, context: Context, **kwargs: Any) -> bool:
    """Run one function and put its result into the mine; ``False`` if it failed.

    ``mine_function`` is the function if the name is to be another; ``allow_tgt`` and
    ``allow_tgt_type`` say which minions may see it.

    CLI Example:

        greensalt-cli '*' mine.send network.ip_addrs interface=eth0
        greensalt-cli '*' mine.send eth0_ip mine_function=network.ip_addrs interface=eth0
    """
    given = without_pub(kwargs)
    function = given.pop("mine_function", None) or name
    acl = {key: given.pop(key, None) for key in ("allow_tgt", "allow_tgt_type")}
    acl = {key: value for key, value in acl.items() if value}
    try:
        value = _call(context, function, list(args), given)
    except Exception as error:  # noqa: BLE001  # whatever it is, the mine stays as it was
        log.error("Function %s in mine.send failed to execute: %s", function, error)
        return False
    return _store({name: _restricted(value, acl)}, context)


def get(
    tgt: str,
    fun: Any,
    tgt_type: str = "glob",
    exclude_minion: bool = False,
    *,
    context: Context,
) -> Any:
    """Return what minions have put into the mine, by minion, for one function or several.

    CLI Example:

        greensalt-cli '*' mine.get '*' network.interfaces
        greensalt-cli '*' mine.get 'os:Fedora' network.interfaces grain
        greensalt-cli '*' mine.get '*' '[network.ipaddrs, network.interfaces]'
    """
    load = {"cmd": "_mine_get", "id": context.id, "tgt": tgt, "fun": fun, "tgt_type": tgt_type}
    found = context.request(load)
    if exclude_minion and isinstance(found, dict):
        found.pop(context.id, None)
    return found


def delete(fun: str, *, context: Context) -> bool:
    """Remove one value from the mine.

    CLI Example:

        greensalt-cli '*' mine.delete 'network.interfaces'
    """
    return bool(context.request({"cmd": "_mine_delete", "id": context.id, "fun": fun}))


def flush(*, context: Context) -> bool:
    """Remove all values of this minion from the mine.

    CLI Example:

        greensalt-cli '*' mine.flush
    """
    return bool(context.request({"cmd": "_mine_flush", "id": context.id}))


def valid(*, context: Context) -> dict[str, Any] | None:
    """Return the functions of the mine that this minion has.

    CLI Example:

        greensalt-cli '*' mine.valid
    """
    configured = _configured(context)
    if not configured:
        return None
    found: dict[str, Any] = {}
    for alias, definition in configured.items():
        function, args, kwargs, _ = _parse(definition)
        if context.find(function or alias) is None:
            log.error("Function %s in mine_functions not available", function or alias)
        elif function:
            arguments = [*args, *({name: value} for name, value in kwargs.items())]
            found[alias] = {function: arguments}
        else:
            found[alias] = definition
    return found
