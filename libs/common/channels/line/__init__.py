"""LINE Official Account, Messaging API."""

from __future__ import annotations

from libs.common.channel import Channel, Pace
from libs.common.channels.line.bubbles import RULES
from libs.common.channels.line.inbound import parse, verify
from libs.common.channels.line.media import LIFE_S, media
from libs.common.channels.line.outbound import send
from libs.common.channels.line.signals import signal

CHANNEL = Channel(
    name="line",
    endpoint="line",
    secrets=("channel_secret", "access_token"),
    optional_secrets=("channel_secret_previous",),
    verify=verify,
    parse=parse,
    send=send,
    text_limit=RULES.text_limit,
    text_unit=RULES.text_unit,
    carries=RULES.carries,
    media_limits=RULES.media_limits,
    media_types=RULES.media_types,
    needs_link=RULES.needs_link,
    pace=Pace(per_second=200, burst=400),
    media=media,
    media_life_s=LIFE_S,
    signal=signal,
)
