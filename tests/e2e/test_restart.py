"""An installation ends cleanly and comes back with everything it had."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import msgspec

from libs.common.documents import COLLECTIONS, CONTACTS, DIRECTORY, SYSTEM
from libs.common.store.api import Page
from libs.common.store.open import open_store
from tests.e2e.stack import Stack, running, until
from tests.e2e.talk import say


async def _found(stack: Stack) -> bool:
    _, page = await stack.api("GET", "/contacts?phone=15550001111")
    return bool(page["items"])


async def _as_before_search(folder: Path) -> None:
    """Take from contacts what versions without search did not store."""
    settings = msgspec.json.decode((folder / "running.json").read_bytes())
    async with open_store(settings["RELAYDESK_STORE_URL"], COLLECTIONS) as store:
        for contact in await store.find(CONTACTS, "demo", {}, Page(order="seen")):
            old = msgspec.structs.replace(contact, phone_key=None, words=())
            await store.replace(CONTACTS, old)
        await store.delete(DIRECTORY, SYSTEM, "filled:")


async def test_i17_sigterm_ends_everything_within_ten_seconds_and_keeps_the_data(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    async with running(folder, typed=True) as first:
        assert await say(first, "whatsapp", "15550001111", "mfound", "before the upgrade") == 200
        await until(lambda: _found(first), "the contact of before the upgrade")
        assert await say(first, "whatsapp", "15550009999", "mkept", "kept over a restart") == 200
        pids = [first.pid(s) for s in ("ingest", "router", "notifier", "scheduler", "desk")]
        before = msgspec.json.decode((folder / "demo.json").read_bytes())
        began = time.monotonic()
        first.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(first.process.wait(), 15) == 0
        assert time.monotonic() - began <= 10.0
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    await _as_before_search(folder)
    async with running(folder) as second:
        assert await _found(second), "what an older version stored is filled before all else"
        assert second.demo["agents"] == before["agents"]

        async def kept() -> bool:
            _, page = await second.api("GET", "/sessions?channel=whatsapp")
            return any(r["last_message"]["excerpt"] == "kept over a restart" for r in page["items"])

        await until(kept, "the message of before the restart")
