"""The channels, one line each; adding one is a folder and a line here."""

from __future__ import annotations

from libs.common.channel import Channel
from libs.common.channels.line import CHANNEL as LINE
from libs.common.channels.web import CHANNEL as WEB
from libs.common.channels.wechat import CHANNEL as WECHAT

CHANNELS: dict[str, Channel] = {
    "line": LINE,
    "wechat": WECHAT,
    "web": WEB,
}


def by_endpoint(endpoint: str) -> tuple[Channel, ...]:
    """Return the channels that are served below `/webhooks/<endpoint>/`; none if unknown."""
    return tuple(channel for channel in CHANNELS.values() if channel.endpoint == endpoint)
