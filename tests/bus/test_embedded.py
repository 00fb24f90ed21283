"""The embedded server: comes up, comes back, goes away with its parent."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from libs.common import embedded
from libs.common.bus.client import open_bus
from libs.common.embedded import embedded_nats, server_config
from libs.common.errors import SettingsError
from libs.common.subjects import DEAD, Stream
from tests.bus.kit import eventually, reconnecting, subject

ROOT = Path(__file__).parents[2]


def _pid(data_dir: Path) -> int:
    return int((data_dir / "nats.pid").read_text())


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


@contextmanager
def _process(*command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process while the block runs; however that ends, it ends too."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_what_was_confirmed_is_there_after_a_restart_on_any_port(
    tmp_path: Path, stream: Stream
) -> None:
    for start in range(2):
        async with (
            embedded_nats(tmp_path / "data dir") as url,
            open_bus(url, name="t", declared=(stream, DEAD)) as bus,
        ):
            ack = await bus.publish(subject(stream, 1), b"x", msg_id=str(start))
            assert ack.sequence == start + 1
    assert not (tmp_path / "data dir" / "nats.pid").exists()


def test_confirmed_means_on_disk_unless_told_otherwise(tmp_path: Path) -> None:
    text = server_config(tmp_path, 0, sync_always=True)
    assert "sync_interval: always" in text
    assert 'listen: "127.0.0.1:-1"' in text
    assert "max_payload: 8388608" in text
    assert "sync_interval: always" not in server_config(tmp_path, 0, sync_always=False)


async def test_it_comes_back_on_the_same_port_when_it_dies(tmp_path: Path, stream: Stream) -> None:
    async with (
        embedded_nats(tmp_path) as url,
        open_bus(url, name="t", declared=(stream, DEAD)) as bus,
    ):
        await bus.publish(subject(stream, 1), b"x", msg_id="a")
        for _ in range(2):
            async with reconnecting(bus):
                os.kill(_pid(tmp_path), signal.SIGKILL)
        assert (await bus.publish(subject(stream, 1), b"x", msg_id="a")).duplicate


async def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    async with embedded_nats(tmp_path):
        with pytest.raises(SettingsError, match="in use"):
            async with embedded_nats(tmp_path):
                pass


async def test_a_server_left_behind_is_ended_first(tmp_path: Path) -> None:
    config = tmp_path / "nats.conf"
    config.write_text(server_config(tmp_path, 0, sync_always=False))
    with _process(embedded.server_binary(), "--config", config) as orphan:
        (tmp_path / "nats.pid").write_text(f"{orphan.pid}\n")
        await eventually(lambda: any(tmp_path.glob("*.ports")))
        reaper = asyncio.create_task(asyncio.to_thread(orphan.wait))
        async with embedded_nats(tmp_path):
            assert await asyncio.wait_for(reaper, 20) is not None


async def test_a_stranger_with_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    with _process("sleep", "60") as stranger:
        (tmp_path / "nats.pid").write_text(f"{stranger.pid}\n")
        async with embedded_nats(tmp_path):
            assert stranger.poll() is None


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "jetstream").write_text("a file where the directory should be")
    with pytest.raises(SettingsError, match="nats-server ended at once"):
        async with embedded_nats(tmp_path):
            pass


async def test_without_the_wheel_the_message_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(SettingsError, match=r"relaydesk\[embedded\].*RELAYDESK_NATS_URL"):
        async with embedded_nats(tmp_path):
            pass


PARENT = """
import asyncio, pathlib, sys
from libs.common.embedded import embedded_nats

async def main():
    async with embedded_nats(pathlib.Path(sys.argv[1])):
        print("up", flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
async def test_it_dies_with_a_killed_parent(tmp_path: Path) -> None:
    with _process(sys.executable, "-c", PARENT, tmp_path) as parent:
        assert parent.stdout is not None
        await asyncio.to_thread(parent.stdout.readline)
        pid = _pid(tmp_path)
        assert _alive(pid)
        parent.kill()
    started = time.monotonic()
    await eventually(lambda: not _alive(pid))
    assert time.monotonic() - started < 20


async def test_d14_limit_of_storage_is_known_to_who_started_the_server(tmp_path: Path) -> None:
    assert embedded.storage_limit(tmp_path) == 0

    async with embedded_nats(tmp_path):
        limit = embedded.storage_limit(tmp_path)

    assert f"max_file: {limit}\n" in (tmp_path / "nats.conf").read_text()
    assert limit > 0
