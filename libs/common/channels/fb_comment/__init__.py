"""Comments on a Facebook page's posts; see README.md beside this file."""

from libs.common.channel import Channel, Pace, WindowRule
from libs.common.channels.fb_comment.inbound import parse
from libs.common.channels.fb_comment.outbound import RULES, count_calls, send
from libs.common.providers import meta

CHANNEL = Channel(
    name="fb_comment",
    endpoint=meta.ENDPOINT,
    secrets=meta.SECRETS,
    optional_secrets=meta.OPTIONAL_SECRETS,
    verify=meta.verify,
    parse=parse,
    send=send,
    challenge=meta.challenge,
    addressees=meta.addressees,
    accepted=meta.ACCEPTED,
    text_limit=RULES.text_limit,
    carries=RULES.carries,
    media_limits=RULES.media_limits,
    media_types=RULES.media_types,
    needs_link=RULES.needs_link,
    calls=count_calls,
    window=WindowRule(private_reply_s=7 * meta.DAY_S),
    pace=Pace(per_second=2, burst=50),
    media_life_s=meta.DAY_S,
)
