"""Visitors' files of every channel, from its provider to the storage (D22)."""

from __future__ import annotations

from pathlib import Path

from libs.common.channels import CHANNELS
from libs.common.events import MediaPart
from libs.common.files.open import open_files
from libs.common.simulate.stub import Stub
from tests.files import samples as s
from tests.nats_server import NatsProcess
from tests.notifier.media_rig import MediaRig, body, providing
from tests.notifier.rig import notifying, staged

SENT = {
    "image/png": ("image", s.PNG),
    "image/jpeg": ("image", s.JPEG),
    "image/gif": ("image", s.GIF),
    "audio/mpeg": ("audio", s.MP3_ID3),
    "audio/aac": ("audio", s.AAC),
    "audio/ogg": ("audio", s.OGG),
    "audio/wav": ("audio", s.WAV),
    "audio/mp4": ("audio", s.M4A),
    "video/mp4": ("video", s.MP4),
    "video/webm": ("video", s.WEBM),
    "video/3gpp": ("video", s.GPP),
    "video/quicktime": ("video", s.MOV),
    "application/pdf": ("file", s.PDF),
    "text/vcard": ("file", s.VCF),
}


async def test_d22_each_type_comes_in_through_each_channel(
    nats_process: NatsProcess, tmp_path: Path, provider_stub: Stub
) -> None:
    async with (
        providing() as provider,
        staged(nats_process.url, tmp_path, provider_stub, provider_timeout_s=5) as stage,
        open_files("", stage.settings.store_url) as files,
        notifying(stage),
    ):
        rig = MediaRig(stage.bus, stage.store, files, provider)
        messages = {}
        for channel in sorted(CHANNELS):
            by_link = CHANNELS[channel].media is None
            base = provider.base if by_link else ""
            of = await stage.connect(channel, f"acme-{channel.replace('_', '-')}", api_base=base)
            parts = []
            for number, (mime_type, (kind, data)) in enumerate(SENT.items()):
                provider_stub.put_media(of.slug, f"m{number}", data, mime_type)
                url = provider.serve(f"{of.slug}/{number}", body(data)) if by_link else ""
                parts.append(MediaPart(kind=kind, url=url, media_id=f"m{number}"))  # type: ignore[arg-type]
            messages[channel] = await rig.message(of, *parts)
        for channel, message in messages.items():
            for place, (mime_type, (_, data)) in enumerate(SENT.items()):
                doc = await rig.settled(message, place, within_s=40)
                assert (doc.state, doc.mime_type) == ("stored", mime_type), (channel, doc.reason)
                assert await rig.content(doc) == data
