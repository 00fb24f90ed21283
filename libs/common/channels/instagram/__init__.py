"""Instagram direct messages; see README.md beside this file."""

from libs.common.channel import Channel, Pace, WindowRule
from libs.common.channels.instagram.inbound import parse
from libs.common.channels.instagram.outbound import RULES, send, signal
from libs.common.providers import meta

CHANNEL = Channel(
    name="instagram",
    endpoint=meta.ENDPOINT,
    secrets=meta.SECRETS,
    optional_secrets=(*meta.OPTIONAL_SECRETS, "page_id"),
    verify=meta.verify,
    parse=parse,
    send=send,
    signal=signal,
    challenge=meta.challenge,
    addressees=meta.addressees,
    accepted=meta.ACCEPTED,
    text_limit=RULES.text_limit,
    text_unit=RULES.text_unit,
    carries=RULES.carries,
    media_limits=RULES.media_limits,
    media_types=RULES.media_types,
    needs_link=RULES.needs_link,
    window=WindowRule(free_s=meta.DAY_S, human_agent_s=7 * meta.DAY_S),
    pace=Pace(per_second=10, burst=40),
    media_life_s=meta.DAY_S,
)
