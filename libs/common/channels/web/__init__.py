"""The web plugin, a chat window on a customer's own pages: our own protocol."""

from __future__ import annotations

from libs.common.channel import Channel
from libs.common.channels.web.inbound import parse, verify
from libs.common.channels.web.outbound import RULES, send, signal

CHANNEL = Channel(
    name="web",
    endpoint="web",
    secrets=("visitor_key",),
    optional_secrets=("identity_secret",),
    verify=verify,
    parse=parse,
    send=send,
    accepted=b'{"accepted":true}',
    accepted_type="application/json",
    text_limit=RULES.text_limit,
    carries=RULES.carries,
    signal=signal,
)
