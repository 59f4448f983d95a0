"""Services start and stop, now or when the machine does."""

from __future__ import annotations

from typing import Any

from greensalt.errors import CommandExecutionError
from greensalt.minion.context import Context
from greensalt.modules.service._systemctl import (
    below,
    complaint,
    must,
    never_wait,
    reload_if_changed,
    systemctl,
    unit,
)


def _prepare(name: str, unmask: bool, unmask_runtime: bool, context: Context) -> None:
    reload_if_changed(name, context)
    if unmask:
        unmask_(name, runtime=False, context=context)
    if unmask_runtime:
        unmask_(name, runtime=True, context=context)


def start(
    name: str,
    no_block: bool = False,
    unmask: bool = False,
    unmask_runtime: bool = False,
    *,
    context: Context,
) -> bool:
    """Start a service.

    ``no_block`` does not wait until it runs; ``unmask`` allows it first, if it was forbidden.

    CLI Example:

        greensalt-cli '*' service.start <service name>
    """
    _prepare(name, unmask, unmask_runtime, context)
    return must(context, "start", name=name, no_block=no_block)


def stop(name: str, no_block: bool | None = None, *, context: Context) -> bool:
    """Stop a service; ``False`` if that failed.

    CLI Example:

        greensalt-cli '*' service.stop <service name>
    """
    reload_if_changed(name, context)
    result = systemctl(context, "stop", name=name, scope=True, no_block=never_wait(name, no_block))
    return bool(result["retcode"] == 0)


def restart(
    name: str,
    no_block: bool | None = None,
    unmask: bool = False,
    unmask_runtime: bool = False,
    *,
    context: Context,
) -> bool:
    """Restart a service.

    CLI Example:

        greensalt-cli '*' service.restart <service name>
    """
    _prepare(name, unmask, unmask_runtime, context)
    return must(context, "restart", name=name, no_block=never_wait(name, no_block))


def reload_(
    name: str,
    no_block: bool = False,
    unmask: bool = False,
    unmask_runtime: bool = False,
    *,
    context: Context,
) -> bool:
    """Have a service read its configuration again.

    CLI Example:

        greensalt-cli '*' service.reload <service name>
    """
    _prepare(name, unmask, unmask_runtime, context)
    return must(context, "reload", name=name, no_block=no_block)


def force_reload(
    name: str,
    no_block: bool = True,
    unmask: bool = False,
    unmask_runtime: bool = False,
    *,
    context: Context,
) -> bool:
    """Have a service read its configuration again, or restart it if it can't.

    CLI Example:

        greensalt-cli '*' service.force_reload <service name>
    """
    _prepare(name, unmask, unmask_runtime, context)
    return must(context, "force-reload", name=name, no_block=no_block)


def enable(
    name: str,
    no_block: bool = False,
    unmask: bool = False,
    unmask_runtime: bool = False,
    root: str | None = None,
    *,
    context: Context,
    **kwargs: Any,
) -> bool:
    """Have a service start when the machine does.

    CLI Example:

        greensalt-cli '*' service.enable <service name>
    """
    _prepare(name, unmask, unmask_runtime, context)
    return must(context, "enable", name=name, no_block=no_block, root=root)


def disable(
    name: str, no_block: bool = False, root: str | None = None, *, context: Context, **kwargs: Any
) -> bool:
    """Have a service not start when the machine does; ``False`` if that failed.

    CLI Example:

        greensalt-cli '*' service.disable <service name>
    """
    reload_if_changed(name, context)
    result = systemctl(
        context,
        "disable",
        name=name,
        scope=True,
        no_block=no_block,
        root=root,
        ignore_retcode=True,
    )
    return bool(result["retcode"] == 0)


def mask(name: str, runtime: bool = False, root: str | None = None, *, context: Context) -> bool:
    """Forbid that a service is started; with ``runtime`` until the next boot.

    CLI Example:

        greensalt-cli '*' service.mask foo
        greensalt-cli '*' service.mask foo runtime=True
    """
    reload_if_changed(name, context)
    action = ("mask", "--runtime") if runtime else ("mask",)
    result = systemctl(context, *action, name=name, scope=True, root=root, merge=True)
    if result["retcode"]:
        raise CommandExecutionError(
            f"Failed to mask service '{name}': {complaint(result['stdout'])}"
        )
    return True


def unmask_(name: str, runtime: bool = False, root: str | None = None, *, context: Context) -> bool:
    """Allow a service that was forbidden.

    CLI Example:

        greensalt-cli '*' service.unmask foo
    """
    if not masked(name, runtime, root, context=context):
        return True
    action = ("unmask", "--runtime") if runtime else ("unmask",)
    result = systemctl(context, *action, name=name, scope=True, root=root, merge=True)
    if result["retcode"]:
        raise CommandExecutionError(f"Failed to unmask service '{name}'")
    return True


def masked(name: str, runtime: bool = False, root: str | None = None, *, context: Context) -> bool:
    """Tell whether a service is forbidden.

    CLI Example:

        greensalt-cli '*' service.masked foo
    """
    reload_if_changed(name, context)
    link = below(f"{'/run' if runtime else '/etc'}/systemd/system/{unit(name)}", root)
    try:
        return str(link.readlink()) == "/dev/null"
    except OSError:
        return False
