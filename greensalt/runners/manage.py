"""Which minions there are and which of them are up.

The master knows who is connected: no minion is asked. A time is taken where Salt takes one, for a
master that has to ask.
"""

from __future__ import annotations

from typing import Any, Final

from greensalt.errors import SaltInvocationError
from greensalt.master.context import MasterContext
from greensalt.master.whoisup import present as look

GREEN = True

NEWER: Final = "Minion newer than master"
OLDER: Final = "Minion requires update"
SAME: Final = "Up to date"
OFFLINE: Final = "Minion offline"


def status(
    output: bool = True,
    tgt: Any = "*",
    tgt_type: str = "glob",
    timeout: float | None = None,
    gather_job_timeout: float | None = None,
    *,
    context: MasterContext,
) -> dict[str, list[str]]:
    """Tell who is up and who is down: {up: [...], down: [...]}.

    CLI Example:

        greensalt run manage.status
        greensalt run manage.status tgt='web*'
    """
    found = look(context, tgt, tgt_type, timeout, gather_job_timeout)
    return {"up": found.up, "down": found.down}


def up(
    tgt: Any = "*",
    tgt_type: str = "glob",
    timeout: float | None = None,
    gather_job_timeout: float | None = None,
    *,
    how: bool = False,
    context: MasterContext,
) -> list[str] | dict[str, str]:
    """List the minions that are up; with `how` as {minion: how the master knows it}.

    CLI Example:

        greensalt run manage.up
        greensalt run manage.up how=True
    """
    found = look(context, tgt, tgt_type, timeout, gather_job_timeout)
    return found.how if how else found.up


def down(
    removekeys: bool = False,
    tgt: Any = "*",
    tgt_type: str = "glob",
    timeout: float | None = None,
    gather_job_timeout: float | None = None,
    *,
    context: MasterContext,
) -> list[str]:
    """List the minions that are not up; with `removekeys` their keys are deleted.

    CLI Example:

        greensalt run manage.down
        greensalt run manage.down removekeys=True
    """
    gone = look(context, tgt, tgt_type, timeout, gather_job_timeout).down
    if removekeys is True:
        for minion_id in gone:
            context.wheel("key.delete", minion_id)
    return gone


def _connected(context: MasterContext, subset: Any) -> list[str]:
    found = look(context).up
    if subset is None:
        return found
    wanted = subset.split(",") if isinstance(subset, str) else subset
    if not isinstance(wanted, list):
        raise SaltInvocationError("subset is a list of ids")
    return [minion_id for minion_id in found if minion_id in wanted]


def present(
    subset: Any = None, include_localhost: bool = True, *, context: MasterContext
) -> list[str]:
    """List the minions that are connected; with `subset` only those of this list.

    CLI Example:

        greensalt run manage.present
        greensalt run manage.present subset=web1,web2
    """
    return _connected(context, subset)


def alived(
    subset: Any = None, include_localhost: bool = True, *, context: MasterContext
) -> list[str]:
    """List the minions that are connected, as `manage.present`.

    CLI Example:

        greensalt run manage.alived
    """
    return _connected(context, subset)


def list_state(
    subset: Any = None, include_localhost: bool = True, *, context: MasterContext
) -> list[str]:
    """List the minions that are connected, as `manage.present`.

    CLI Example:

        greensalt run manage.list_state
    """
    return _connected(context, subset)


def not_present(
    subset: Any = None, include_localhost: bool = True, *, context: MasterContext
) -> list[str]:
    """List the accepted minions that are not connected.

    CLI Example:

        greensalt run manage.not_present
    """
    here = set(_connected(context, subset))
    return [minion_id for minion_id in sorted(context.roster.ids()) if minion_id not in here]


def not_alived(
    subset: Any = None, include_localhost: bool = True, *, context: MasterContext
) -> list[str]:
    """List the accepted minions that are not connected, as `manage.not_present`.

    CLI Example:

        greensalt run manage.not_alived
    """
    return not_present(subset, context=context)


def list_not_state(
    subset: Any = None, include_localhost: bool = True, *, context: MasterContext
) -> list[str]:
    """List the accepted minions that are not connected, as `manage.not_present`.

    CLI Example:

        greensalt run manage.list_not_state
    """
    return not_present(subset, context=context)


def joined(
    subset: Any = None, include_localhost: bool = True, *, context: MasterContext
) -> list[str]:
    """List the minions that are connected, as `manage.present`.

    CLI Example:

        greensalt run manage.joined
    """
    return _connected(context, subset)


def allowed(
    subset: Any = None, include_localhost: bool = True, *, context: MasterContext
) -> list[str]:
    """List the minions that are connected, as `manage.present`.

    CLI Example:

        greensalt run manage.allowed
    """
    return _connected(context, subset)


def reaped(
    subset: Any = None, include_localhost: bool = True, *, context: MasterContext
) -> list[str]:
    """List the minions that are connected, as `manage.present`.

    CLI Example:

        greensalt run manage.reaped
    """
    return _connected(context, subset)


def not_joined(
    subset: Any = None, include_localhost: bool = True, *, context: MasterContext
) -> list[str]:
    """List the accepted minions that are not connected, as `manage.not_present`.

    CLI Example:

        greensalt run manage.not_joined
    """
    return not_present(subset, context=context)


def not_allowed(
    subset: Any = None, include_localhost: bool = True, *, context: MasterContext
) -> list[str]:
    """List the accepted minions that are not connected, as `manage.not_present`.

    CLI Example:

        greensalt run manage.not_allowed
    """
    return not_present(subset, context=context)


def not_reaped(
    subset: Any = None, include_localhost: bool = True, *, context: MasterContext
) -> list[str]:
    """List the accepted minions that are not connected, as `manage.not_present`.

    CLI Example:

        greensalt run manage.not_reaped
    """
    return not_present(subset, context=context)


def versions(*, context: MasterContext) -> dict[str, Any]:
    """Tell which minions have another version than the master speaks, and which are not up.

    The versions are those of the grains that the minions have sent.

    CLI Example:

        greensalt run manage.versions
    """
    from greensalt.minion.grains.process import SALT_VERSION

    ours = _numbers(SALT_VERSION)
    found: dict[str, Any] = {}
    seen = look(context)
    for minion_id in seen.up:
        version = str((context.cache.grains(minion_id) or {}).get("saltversion") or "")
        theirs = _numbers(version)
        kind = SAME if theirs == ours else NEWER if theirs > ours else OLDER
        found.setdefault(kind if version else "Unknown", {})[minion_id] = version
    if seen.down:
        found[OFFLINE] = dict.fromkeys(seen.down, False)
    return {**found, "Master": SALT_VERSION}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(
        int(part) for part in version.split("+", maxsplit=1)[0].split(".") if part.isdigit()
    )
