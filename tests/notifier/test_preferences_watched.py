"""Preferences are as the bucket has them, and what cannot be read changes nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from libs.common.alerts import Preferences
from libs.common.preferences import Watched, watched_preferences
from libs.common.subjects import PREFERENCES_KV
from tests.notifier.attention_rig import open_desk
from tests.notifier.rig import until


async def test_preferences_follow_their_bucket(nats_url: str, tmp_path: Path) -> None:
    async with open_desk(nats_url, tmp_path) as desk:
        await desk.prefers("ada", volume=10)
        async with watched_preferences(desk.bus) as watched:
            await watched.complete.wait()
            assert watched.of(desk.workspace, "bob") is None
            assert volume(watched, desk.workspace) == 10
            changes = watched.changes(desk.workspace)
            await desk.bus.kv_put(PREFERENCES_KV, f"{desk.workspace}.ada", b'{"volume": 400}')
            await desk.prefers("bob")

            async def seen() -> Preferences | None:
                return watched.of(desk.workspace, "bob")

            await until(seen, "what Bob wants")
            assert watched.changes(desk.workspace) > changes
            assert watched.changes("another") == 0
            assert volume(watched, desk.workspace) == 10, "what cannot be read changes nothing"
            await desk.bus.kv_delete(PREFERENCES_KV, f"{desk.workspace}.ada")

            async def gone() -> bool:
                return watched.of(desk.workspace, "ada") is None

            await until(gone, "Ada's are gone")
            await asyncio.sleep(0)


def volume(watched: Watched, workspace: str) -> int | None:
    found = watched.of(workspace, "ada")
    return found.volume if found else None
