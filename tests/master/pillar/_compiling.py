"""Pillar trees of the tests, and their compilation without a master."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from greensalt.config import MasterConfig
from greensalt.master.pillar.compiler import Asked
from greensalt.master.pillar.service import PillarService


def write_tree(root: Path, files: Mapping[str, str]) -> None:
    """Write files, given by their paths below the root."""
    for rel, text in files.items():
        path = root / rel
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def make_service(root: Path, **options: Any) -> PillarService:
    """A service over the environment `base` in root/base, unless options say otherwise."""
    roots = {"pillar_roots": {"base": [str(root / "base")]}}
    (root / "conf").mkdir(exist_ok=True)
    return PillarService(MasterConfig.load(root / "conf", {**roots, **options}))


def compiled(
    root: Path, files: Mapping[str, str], minion_id: str = "m1", **options: Any
) -> dict[str, Any]:
    """The pillar that the files of `base` give to a minion; its `grains` are an option."""
    grains = options.pop("grains", {})
    asked = {name: options.pop(name) for name in ("pillarenv", "saltenv") if name in options}
    write_tree(root / "base", files)
    service = make_service(root, **options)
    return service.compile(Asked(minion_id, {**grains, "id": minion_id}, **asked))


def rendered(root: Path, text: str, **options: Any) -> dict[str, Any]:
    """The pillar of one SLS that everybody gets."""
    return compiled(root, {"top.sls": "base: {'*': [one]}", "one.sls": text}, **options)
