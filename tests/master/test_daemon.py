"""The master as a whole: start, stop, and the death of a part."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from greensalt.errors import StoreError, TransportError
from greensalt.master.publishkey import BLOCK, PublishKey
from greensalt.transport import addresses
from tests._bench import Bench

Make = Callable[..., Bench]


def test_every_socket_of_the_mission_is_there(bench: Make) -> None:
    made = bench()
    sock_dir = made.config.sock_dir
    for address, mode in (
        (addresses.master_event_pub(sock_dir), 0o660),
        (addresses.master_event_pull(sock_dir), 0o600),
        (addresses.publish_pull(sock_dir), 0o600),
        (addresses.workers(sock_dir), 0o600),
    ):
        found = Path(address.removeprefix("ipc://")).stat().st_mode
        assert stat.S_ISSOCK(found)
        assert stat.S_IMODE(found) == mode
    assert made.master.clients_address == f"tcp://127.0.0.1:{made.config.ret_port}"
    assert made.master.pub_address == f"tcp://127.0.0.1:{made.config.publish_port}"
    assert made.master.clients_address in made.master.addresses


def test_secrets_are_files_that_only_their_owner_can_read(bench: Make) -> None:
    """CVE-2020-17490."""
    made = bench(auto_accept=True)
    made.peer("m1")
    secrets = [
        made.config.pki_dir / "master.pem",
        made.config.cachedir / ".root_key",
        made.config.cachedir / ".publish_key",
        made.config.cachedir / "sessions" / "m1",
    ]
    for path in secrets:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("part", ["device", "bus", "upkeep"])
def test_the_death_of_a_part_ends_the_master_and_says_why(bench: Make, part: str) -> None:
    made = bench()
    crew = {
        "device": made.master.device._crew,
        "bus": made.master.bus._crew,
        "upkeep": made.master._crew,
    }[part]
    gevent.sleep(0.01)  # let it begin
    crew._members[0].kill(ValueError("as if it had a bug"), block=False)
    with gevent.Timeout(60):
        reason = made.master.wait()
    assert reason is not None
    assert "as if it had a bug" in reason


def test_a_dead_store_ends_the_master(bench: Make) -> None:
    made = bench()
    made.master.store.database.dead.set("the disk is gone")
    with gevent.Timeout(60):
        assert made.master.wait() == "the disk is gone"


def test_stop_lets_wait_return_without_a_reason(bench: Make) -> None:
    made = bench()
    gevent.spawn_later(0.01, made.master.stop)
    with gevent.Timeout(60):
        assert made.master.wait() is None


def test_close_takes_less_than_two_seconds_with_minions_connected(bench: Make) -> None:
    took_s = []
    for _ in range(3):  # what a busy machine adds is not there each time
        made = bench(auto_accept=True)
        for number in range(5):
            made.peer(f"m{number}")
        began = time.monotonic()
        made.master.close()
        took_s.append(time.monotonic() - began)
    assert min(took_s) < 2


def test_a_port_in_use_is_named(bench: Make) -> None:
    made = bench()
    with pytest.raises(TransportError, match=str(made.config.ret_port)):
        bench(ret_port=made.config.ret_port)


class TestPublishKey:
    def test_a_restart_goes_on_with_the_key_above_every_serial(self, tmp_path: Path) -> None:
        first = PublishKey(tmp_path / "key")
        used = [first.next_serial() for _ in range(BLOCK + 5)]
        second = PublishKey(tmp_path / "key")
        assert second.key_string == first.key_string
        assert second.next_serial() > max(used)
        assert used == sorted(set(used))

    def test_rotation_begins_anew(self, tmp_path: Path) -> None:
        key = PublishKey(tmp_path / "key")
        before, crypticle = key.key_string, key.crypticle
        key.next_serial()
        key.rotate()
        assert key.key_string != before
        assert key.crypticle is not crypticle
        assert key.next_serial() == 1
        assert PublishKey(tmp_path / "key").key_string == key.key_string

    @pytest.mark.parametrize("content", ["", "{}", "[]", "garbage", '{"key": 1}'])
    def test_a_damaged_file_is_named_with_the_remedy(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "key").write_text(content)
        with pytest.raises(StoreError, match="remove it to begin"):
            PublishKey(tmp_path / "key")
