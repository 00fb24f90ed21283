"""WeChat Official Account, plain and encrypted."""

from __future__ import annotations

from libs.common.channel import Channel, WindowRule
from libs.common.channels.wechat.drafts import RULES, count_calls
from libs.common.channels.wechat.inbound import challenge, parse, verify
from libs.common.channels.wechat.media import LIFE_S, media, signal
from libs.common.channels.wechat.outbound import send, token

CHANNEL = Channel(
    name="wechat",
    endpoint="wechat",
    secrets=("token", "app_secret"),
    optional_secrets=("aes_key", "aes_key_previous", "app_id"),
    verify=verify,
    parse=parse,
    send=send,
    token=token,
    challenge=challenge,
    accepted=b"success",
    text_limit=RULES.text_limit,
    text_unit=RULES.text_unit,
    carries=RULES.carries,
    media_limits=RULES.media_limits,
    media_types=RULES.media_types,
    calls=count_calls,
    window=WindowRule(free_s=48 * 3600.0, most_sends=5, brief_s=60.0, brief_sends=3),
    media=media,
    media_life_s=LIFE_S,
    signal=signal,
)
