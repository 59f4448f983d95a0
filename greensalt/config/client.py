"""The options of a client on the master's host, as LocalClient and greensalt-cli need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from greensalt.config.files import FoundOptions, read_file
from greensalt.config.master import MasterConfig
from greensalt.config.record import option

LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # not bound, replaced


class ClientConfig(MasterConfig):
    """The master's configuration as its clients read it, with ~/.saltrc on top.

    `interface` is an address to connect to: loopback where the master listens everywhere.
    """

    interface: str = "127.0.0.1"
    state_output: str = "full"
    state_verbose: bool = True
    state_output_diff: bool = False
    output_indent: str | None = None
    output_file: str | None = None
    token_file: str = "~/.salt_token"  # noqa: S105  # the place of a token, not one
    static: bool = False
    batch_wait: float = option(0, least=0)

    @classmethod
    def _add_own_files(cls, found: FoundOptions) -> None:
        rc_file = Path("~/.saltrc").expanduser()
        found.replace_with(read_file(rc_file))

    @classmethod
    def _settle(cls, values: dict[str, Any], found: FoundOptions, directory: Path) -> None:
        super()._settle(values, found, directory)
        interface = values.get("interface", "127.0.0.1")
        values["interface"] = LOOPBACK_OF.get(interface, interface)
        token_file = values.get("token_file", "~/.salt_token")
        values["token_file"] = str(Path(token_file).expanduser().absolute())
