"""The channels, one line each; adding one is a folder and a line here."""

from __future__ import annotations

from libs.common.channel import Channel
from libs.common.channels.fb_comment import CHANNEL as FB_COMMENT
from libs.common.channels.instagram import CHANNEL as INSTAGRAM
from libs.common.channels.line import CHANNEL as LINE
from libs.common.channels.messenger import CHANNEL as MESSENGER
from libs.common.channels.telegram import CHANNEL as TELEGRAM
from libs.common.channels.web import CHANNEL as WEB
from libs.common.channels.wechat import CHANNEL as WECHAT
from libs.common.channels.whatsapp import CHANNEL as WHATSAPP

CHANNELS: dict[str, Channel] = {
    "messenger": MESSENGER,
    "fb_comment": FB_COMMENT,
    "line": LINE,
    "whatsapp": WHATSAPP,
    "wechat": WECHAT,
    "web": WEB,
    "instagram": INSTAGRAM,
    "telegram": TELEGRAM,
}


def by_endpoint(endpoint: str) -> tuple[Channel, ...]:
    """Return the channels that are served below `/webhooks/<endpoint>/`; none if unknown."""
    return tuple(channel for channel in CHANNELS.values() if channel.endpoint == endpoint)
