"""One account a channel, with made-up secrets."""

from __future__ import annotations

import base64

from libs.common.channel import Account
from libs.common.channels import CHANNELS

SECRETS = {
    "app_secret": "app-secret-0001",
    "verify_token": "verify-0001",
    "access_token": "access-0001",
    "channel_secret": "channel-secret-0001",
    "token": "wechat-token-0001",
    "app_id": "wx0123456789abcdef",
    "aes_key": base64.b64encode(bytes(range(32))).decode().rstrip("="),
    "secret_token": "telegram-secret-0001",
    "bot_token": "700000001:bot-token-0001",
    "visitor_key": "visitor-key-0001",
}
EXTERNAL_IDS = {
    "messenger": "1001",
    "fb_comment": "1001",
    "instagram": "17840001",
    "telegram": "700000001",
    "line": "U00000000000000000000000000000001",
    "whatsapp": "PN-1",
    "wechat": "gh_demo",
    "web": "web-1",
}


def account(channel: str, *, api_base: str = "", slug: str = "", plain: bool = False) -> Account:
    """Return the channel's account; *plain* is WeChat without a key."""
    value = CHANNELS[channel]
    names = {*value.secrets, *value.optional_secrets} - ({"aes_key"} if plain else set())
    return Account(
        workspace="acme",
        slug=slug or f"acme-{channel.replace('_', '-')}",
        channel=channel,
        external_id=EXTERNAL_IDS.get(channel, "external-1"),
        app="acme-app" if value.addressees else "",
        api_base=api_base,
        secrets={
            name: SECRETS.get(name, f"{name}-0001")
            for name in sorted(names)
            if name in SECRETS or channel not in EXTERNAL_IDS
        },
    )
