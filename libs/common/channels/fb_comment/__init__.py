"""Comments on a Facebook page's posts; see README.md beside this file."""

from libs.common.channel import Channel
from libs.common.channels.fb_comment.inbound import parse
from libs.common.channels.fb_comment.outbound import TEXT_LIMIT, send
from libs.common.providers import meta

CHANNEL = Channel(
    name="fb_comment",
    endpoint=meta.ENDPOINT,
    secrets=meta.SECRETS,
    verify=meta.verify,
    parse=parse,
    send=send,
    challenge=meta.challenge,
    addressees=meta.addressees,
    accepted=meta.ACCEPTED,
    text_limit=TEXT_LIMIT,
)
