"""A tree of files to serve, with all that is odd in it, and a master that serves it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests._bench import Bench
from tests._peer import Peer

BUFFER_BYTES = 1000
LARGE = bytes(range(256)) * 13  # three whole chunks and a part of one


def make_tree(root: Path) -> Path:
    """Two roots of `base`, one of `dev`, and a directory that nobody may see."""
    srv = root / "srv"
    for path, content in {
        "one/top.sls": b"base: {}\n",
        "one/empty": b"",
        "one/web/init.sls": b"nothing: test.nop\n",
        "one/web/files/large.bin": LARGE,
        "one/web/name with ? and |": b"odd",
        "one/.git/config": b"[core]",
        "two/top.sls": b"hidden by the first root",
        "two/only-here.txt": b"two",
        "dev/top.sls": b"dev: {}\n",
        "outside/secret": b"the master's",
    }.items():
        place = srv / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    (srv / "one/bare/inner").mkdir(parents=True)
    for link, target in {
        "one/link.sls": "top.sls",
        "one/weblink": "web",
        "one/across": "../two/only-here.txt",
        "one/out": "../outside/secret",
        "one/outdir": "../outside",
        "one/abs": str(srv / "outside/secret"),
        "one/broken": "nowhere",
        "one/web/up": "..",
    }.items():
        (srv / link).symlink_to(target)
    os.mkfifo(srv / "one/fifo")
    return srv


def serve(bench: Callable[..., Bench], root: Path, **options: Any) -> Peer:
    """A signed-in minion of a master that serves the tree."""
    srv = make_tree(root)
    roots = {"base": [str(srv / "one"), str(srv / "two")], "dev": [str(srv / "dev")]}
    made = bench(auto_accept=True, file_roots=roots, file_buffer_size=BUFFER_BYTES, **options)
    return made.peer("m1")
