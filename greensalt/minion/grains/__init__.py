"""Grains: what a minion knows of its machine, under stock Salt's names and with its values.

    system      operating system, kernel, init, locale
    hardware    processors, memory, disks, firmware
    gpus        graphics processors
    virtual     what the machine is, if not made of metal
    network     addresses, names, resolver
    routes      default gateways
    process     the minion's own process: user, Python, versions
    modules     what modules of the administrator's compute
    custom      what the administrator says: `<config_dir>/grains` and the `grains` option

`core_grains` puts them together. It blocks (files, three short commands, the resolver for at most
`network.LOOKUP_S`, and `network.FQDNS_S` where that is wanted, modules for at most
`modules.MODULES_S`), so a daemon calls it in a native thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from greensalt.minion.grains.custom import file_grains
from greensalt.minion.grains.gpus import gpu_grains
from greensalt.minion.grains.hardware import hardware_grains
from greensalt.minion.grains.modules import module_grains
from greensalt.minion.grains.network import fqdns_grain, network_grains
from greensalt.minion.grains.process import process_grains
from greensalt.minion.grains.routes import route_grains
from greensalt.minion.grains.system import system_grains
from greensalt.minion.grains.virtual import virtual_grains

__all__ = ["GrainOptions", "core_grains"]


class GrainOptions(Protocol):
    """The options that grains depend on; a MinionConfig has them."""

    @property
    def id(self) -> str:
        """The minion's id."""

    @property
    def config_dir(self) -> Path:
        """Where the file `grains` may be."""

    @property
    def enable_gpu_grains(self) -> bool:
        """Whether to ask for graphics processors."""

    @property
    def enable_fqdns_grains(self) -> bool:
        """Whether to look up the name of each address."""

    @property
    def grains_module_dirs(self) -> Sequence[Path]:
        """Where modules are that compute grains."""

    @property
    def grains(self) -> Mapping[str, Any]:
        """Grains set in the configuration."""

    @property
    def master(self) -> Any:
        """The master, or several."""


def core_grains(options: GrainOptions) -> dict[str, Any]:
    """All grains but `id`, which is the caller's.

    What can't be found out is left out, or has the value that stock Salt gives it then. Later ones
    win: computed, by modules, `<config_dir>/grains`, the `grains` option.
    """
    grains = system_grains()
    grains.update(hardware_grains())
    grains.update(virtual_grains(grains))
    grains.update(network_grains())
    grains.update(route_grains())
    if options.enable_gpu_grains:
        grains.update(gpu_grains())
    grains["fqdns"] = fqdns_grain(grains) if options.enable_fqdns_grains else []
    grains.update(process_grains(options.id, options.master))
    grains.update(module_grains(options.grains_module_dirs, {**grains, "id": options.id}))
    grains.update(file_grains(options.config_dir))
    grains.update(options.grains)
    return grains
