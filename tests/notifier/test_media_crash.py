"""A notifier that is killed while it fetches: the next one finishes. Real processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from libs.common.events import MediaPart
from libs.common.files.open import open_files
from libs.common.simulate.stub import Stub
from tests.files import samples
from tests.nats_server import NatsProcess
from tests.notifier.media_rig import MediaRig, Serve, body, providing, stream
from tests.notifier.rig import spawned, staged, until

FILES = 4


def slow_at_first(number: int, killed: asyncio.Event) -> Serve:
    """Answer without an end until the first notifier is dead."""
    endless = stream(bytes(1000), 1000, pause_s=0.05, first=samples.PNG)
    whole = body(samples.PNG + bytes([number]))

    async def play(request: web.Request) -> web.StreamResponse:
        return await (whole if killed.is_set() else endless)(request)

    return play


async def test_d22_a_kill_in_the_middle_of_a_fetch_loses_no_file_and_stores_none_twice(
    nats_process: NatsProcess, tmp_path: Path, provider_stub: Stub
) -> None:
    killed = asyncio.Event()
    async with (
        providing() as provider,
        staged(nats_process.url, tmp_path, provider_stub, provider_timeout_s=10) as stage,
        open_files("", stage.settings.store_url) as files,
    ):
        rig = MediaRig(stage.bus, stage.store, files, provider)
        of = await stage.connect("messenger", "page", api_base=provider.base)
        urls = [provider.serve(f"f/{at}", slow_at_first(at, killed)) for at in range(FILES)]
        parts = [MediaPart(kind="image", url=url) for url in urls]
        async with spawned(stage, tmp_path, "first") as first:
            message = await rig.message(of, *parts)

            async def begun() -> bool:
                return len(provider.asked) >= 2

            await until(begun, "two fetches under way", within_s=20)
            await first.kill()
            killed.set()
            under_way = set(provider.asked)
        docs = [await rig.file(message, at) for at in range(FILES)]
        assert [doc.state for doc in docs if doc] == ["pending"] * FILES
        async with spawned(stage, tmp_path, "second") as second:
            for at in range(FILES):
                doc = await rig.settled(message, at, within_s=45)
                assert doc.state == "stored"
                assert await rig.content(doc) == samples.PNG + bytes([at])
            metrics = await second.metrics()
    assert {path: provider.asked.count(path) for path in under_way} == dict.fromkeys(under_way, 2)
    assert len(provider.asked) == FILES + len(under_way)
    stored = 'relaydesk_media_fetched_total{channel="messenger",outcome="stored"}'
    assert f"{stored} {FILES}.0" in metrics
