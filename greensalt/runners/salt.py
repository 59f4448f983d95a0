"""Functions of modules, on the master's machine and on minions, and wheel functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from greensalt.errors import CommandExecutionError
from greensalt.functions.arguments import without_pub
from greensalt.functions.loader import Loader
from greensalt.master.context import MasterContext

GREEN = True


def cmd(fun: str, *args: Any, context: MasterContext, **kwargs: Any) -> Any:
    """Run a function of an execution module here, on the master's machine.

    It has the master's grains, and neither a pillar nor a master of its own.

    CLI Example:

        greensalt run salt.cmd test.ping
        greensalt run salt.cmd network.ip_addrs
    """
    return context.home.aside(_cmd, context, fun, list(args), without_pub(kwargs))


def _cmd(context: MasterContext, fun: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    from greensalt.config import MinionConfig
    from greensalt.minion.context import Context
    from greensalt.minion.execution import execute
    from greensalt.minion.grains import core_grains

    config = context.config
    opts = MinionConfig(
        id=config.id,
        config_dir=config.config_dir,
        cachedir=Path(config.cachedir),
        file_client="local",
        file_roots=config.file_roots,
    )
    loader = Loader((config.extension_modules / "modules",))
    grains = {**core_grains(opts), "id": config.id}
    own = Context(id=config.id, opts=opts, loader=loader, grains=grains, home=context.home)
    arg = [*args, {**kwargs, "__kwarg__": True}] if kwargs else args
    outcome = execute(loader, own, {"fun": fun, "arg": arg, "jid": context.jid})
    if not outcome.success:
        context.retcode = outcome.retcode or 1
    return outcome.ret


def execute(
    tgt: Any,
    fun: str,
    arg: Sequence[Any] = (),
    timeout: float | None = None,
    tgt_type: str = "glob",
    ret: str = "",
    jid: str = "",
    kwarg: dict[str, Any] | None = None,
    *,
    context: MasterContext,
    **kwargs: Any,
) -> dict[str, Any]:
    """Run a function on minions and return what they return: {minion: result}.

    CLI Example:

        greensalt run salt.execute '*' cmd.run arg='["uptime"]'
    """
    named = {**without_pub(kwargs), **(kwarg or {})}
    args = [arg] if isinstance(arg, str) else list(arg)
    answers = context.ask(tgt, fun, args, tgt_type=tgt_type, kwarg=named, timeout_s=timeout)
    if not answers.jid:
        raise CommandExecutionError(answers.error)
    if answers.silent or any(row.retcode or not row.success for row in answers.returns.values()):
        context.retcode = 1
    return answers.results


def wheel(fun: str, *args: Any, context: MasterContext, **kwargs: Any) -> Any:
    """Run a wheel function. Who may run this runner may run all of them.

    CLI Example:

        greensalt run salt.wheel key.list_all
        greensalt run salt.wheel key.accept web1
    """
    return context.wheel(fun, *args, **without_pub(kwargs))
