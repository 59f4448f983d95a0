"""Sessions of a minion at a master of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greensalt.config import MinionConfig
from greensalt.minion.session import MasterSession
from greensalt.store.minionkeys import MinionKeys
from greensalt.transport.sockets import new_context
from tests._bench import Bench
from tests._peer import key

Join = Callable[..., MasterSession]


@pytest.fixture
def join(tmp_path: Path) -> Iterator[Join]:
    """Makes sessions of one minion to a master; not signed in yet."""
    context = new_context()
    made: list[MasterSession] = []

    def make(master: Bench, refused: Callable[[str], object] = print, **options: Any) -> Any:
        config = MinionConfig.load(
            tmp_path,
            {
                "id": "m1",
                "root_dir": str(tmp_path),
                "master": "127.0.0.1",
                "master_port": master.config.ret_port,
                "acceptance_wait_time": 0.05,
                "auth_timeout": 2,
                "random_reauth_delay": 0,
                "request_channel_timeout": 2,
                "request_channel_tries": 1,
                **options,
            },
        )
        config.pki_dir.mkdir(parents=True, exist_ok=True)
        pem = config.pki_dir / "minion.pem"
        if not pem.exists():
            pem.write_text(key(1).to_pem())
            pem.chmod(0o400)
        session = MasterSession(
            config, MinionKeys(config.pki_dir), context, lambda: {"os": "Debian"}, refused
        )
        session.connect()
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()
    context.destroy(linger=0)
