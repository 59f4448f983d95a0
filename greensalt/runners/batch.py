"""Batches that the master leads: how they stand, stopping and resuming them."""

from __future__ import annotations

from typing import Any

from greensalt.errors import CommandExecutionError
from greensalt.master.context import MasterContext

GREEN = True


def status(jid: str, names: bool = False, *, context: MasterContext) -> dict[str, Any]:
    """Show how a batch stands: who works, who waits, who is down or silent.

    Each list has 100 minions at most, and its real length is in `counts`; `names=True` gives all.

    CLI Example:

        greensalt run batch.status 20261123020000000000
    """
    batches = context.batches
    shown: dict[str, Any] | None = batches.names(str(jid)) if names else batches.status(str(jid))
    if shown is None:
        raise CommandExecutionError(f"there is no batch {jid}")
    return shown


def list_(*, context: MasterContext) -> dict[str, dict[str, Any]]:
    """List the batches that the master remembers, by jid, with their numbers of minions.

    CLI Example:

        greensalt run batch.list
    """
    shown: dict[str, dict[str, Any]] = context.batches.all()
    return shown


def stop(jid: str, *, context: MasterContext) -> dict[str, Any]:
    """Let no other minion begin; those that work go on to their end.

    CLI Example:

        greensalt run batch.stop 20261123020000000000
    """
    shown: dict[str, Any] = context.batches.stop(str(jid))
    return shown


def resume(jid: str, *, context: MasterContext) -> dict[str, Any]:
    """Go on with a batch that was stopped, or that a failure has halted.

    CLI Example:

        greensalt run batch.resume 20261123020000000000
    """
    shown: dict[str, Any] = context.batches.resume(str(jid))
    return shown
