"""Facebook Messenger; see README.md beside this file."""

from libs.common.channel import Channel, Pace, WindowRule
from libs.common.channels.messenger.inbound import parse
from libs.common.channels.messenger.outbound import RULES, send, signal
from libs.common.providers import meta

CHANNEL = Channel(
    name="messenger",
    endpoint=meta.ENDPOINT,
    secrets=meta.SECRETS,
    optional_secrets=meta.OPTIONAL_SECRETS,
    verify=meta.verify,
    parse=parse,
    send=send,
    signal=signal,
    challenge=meta.challenge,
    addressees=meta.addressees,
    accepted=meta.ACCEPTED,
    text_limit=RULES.text_limit,
    carries=RULES.carries,
    media_limits=RULES.media_limits,
    media_types=RULES.media_types,
    window=WindowRule(free_s=meta.DAY_S, human_agent_s=7 * meta.DAY_S),
    pace=Pace(per_second=40, burst=80),
    media_life_s=meta.DAY_S,
)
