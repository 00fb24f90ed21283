"""LINE Official Account, Messaging API."""

from __future__ import annotations

from libs.common.channel import Channel
from libs.common.channels.line.inbound import parse, verify
from libs.common.channels.line.outbound import TEXT_LIMIT, send

CHANNEL = Channel(
    name="line",
    endpoint="line",
    secrets=("channel_secret", "access_token"),
    optional_secrets=("channel_secret_previous",),
    verify=verify,
    parse=parse,
    send=send,
    text_limit=TEXT_LIMIT,
    text_unit="utf16",
)
