"""Calls execution functions as a job does, without a master."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from greensalt.config.minion import MinionConfig
from greensalt.errors import CommandExecutionError
from greensalt.functions.loader import Loader
from greensalt.minion.context import Context
from greensalt.minion.execution import Outcome, execute

JID = "20260102030405060708"


class Ear:
    """An uplink that remembers what went through it; `replies` answer requests by command."""

    def __init__(self) -> None:
        self.fired: list[tuple[str, str, dict[str, Any]]] = []
        self.requests: list[dict[str, Any]] = []
        self.refreshed: list[str] = []
        self.replies: dict[str, Any] = {}

    def fire_event(self, tag: str, data: Mapping[str, Any]) -> bool:
        self.fired.append(("minion", tag, dict(data)))
        return True

    def fire_master(self, tag: str, data: Mapping[str, Any]) -> bool:
        self.fired.append(("master", tag, dict(data)))
        return True

    def request(self, load: dict[str, Any]) -> Any:
        self.requests.append(load)
        if load["cmd"] not in self.replies:
            raise CommandExecutionError(f"no reply to {load['cmd']}")
        return self.replies[load["cmd"]]

    def refresh(self, what: str) -> bool:
        self.refreshed.append(what)
        return True


class Caller:
    """A minion's execution side in a directory: `job` runs a job, `call` gives its result."""

    def __init__(self, directory: Path, *module_dirs: Path, **options: Any) -> None:
        self.directory = directory
        self.ear = Ear()
        self.context = Context(
            id="mouse",
            opts=MinionConfig(
                id="mouse",
                config_dir=directory / "etc",
                cachedir=directory / "cache",
                file_client="local",
                **options,
            ),
            loader=Loader(
                module_dirs,
                disabled=options.get("disable_modules", ()),
                allowed=options.get("whitelist_modules", ()),
            ),
            grains={"os": "Debian", "os_family": "Debian", "nested": {"list": ["a", {"b": 1}]}},
            pillar={"apache": {"port": 80, "name": "httpd"}, "users": ["ann", "bob"]},
            uplink=self.ear,
        )

    def job(self, fun: Any, *args: Any, **kwargs: Any) -> Outcome:
        arg = [*args, {**kwargs, "__kwarg__": True}] if kwargs else list(args)
        return self.load({"fun": fun, "arg": arg})

    def load(self, load: dict[str, Any]) -> Outcome:
        full = {"jid": JID, "user": "root", "tgt": "*", "tgt_type": "glob", "ret": "", **load}
        return execute(self.context.loader, self.context, full)

    def call(self, fun: str, *args: Any, **kwargs: Any) -> Any:
        """The result of a job that must not end in an error."""
        outcome = self.job(fun, *args, **kwargs)
        assert outcome.success or outcome.out != "nested", outcome.ret
        return outcome.ret
