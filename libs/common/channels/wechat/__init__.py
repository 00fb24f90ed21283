"""WeChat Official Account, plain and encrypted."""

from __future__ import annotations

from libs.common.channel import Channel
from libs.common.channels.wechat.inbound import challenge, parse, verify
from libs.common.channels.wechat.outbound import TEXT_LIMIT, send, token

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
    text_limit=TEXT_LIMIT,
)
