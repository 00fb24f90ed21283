"""Telegram bots; see README.md beside this file."""

from __future__ import annotations

from libs.common.channel import Channel, Pace
from libs.common.channels.telegram.inbound import parse, verify
from libs.common.channels.telegram.media import media
from libs.common.channels.telegram.outbound import RULES, send, signal

CHANNEL = Channel(
    name="telegram",
    endpoint="telegram",
    secrets=("secret_token", "bot_token"),
    optional_secrets=("secret_token_previous",),
    verify=verify,
    parse=parse,
    send=send,
    text_limit=RULES.text_limit,
    text_unit=RULES.text_unit,
    carries=RULES.carries,
    media_limits=RULES.media_limits,
    media_types=RULES.media_types,
    pace=Pace(per_second=30, burst=30),
    media=media,
    signal=signal,
)
