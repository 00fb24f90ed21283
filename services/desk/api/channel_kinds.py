"""The channels that accounts can be connected of, with what a setup guide shows."""

from __future__ import annotations

from libs.common.channel import Channel
from libs.common.channels import CHANNELS
from libs.common.guides import GUIDES, SecretGuide
from libs.common.workspace_file import FEATURES
from services.desk.api.account_body import ChannelKind, ChannelKinds, SecretKind, SetupStep
from services.desk.api.route import Call, Reply


async def kinds(call: Call) -> Reply:
    """List the channels by their titles."""
    settings = call.desk.settings
    found = sorted(map(_kind, CHANNELS.values()), key=lambda one: one.title)
    return Reply(
        body=ChannelKinds(
            items=tuple(found),
            public_url=settings.public_url.rstrip("/"),
            api_base=settings.local_webhooks,
        )
    )


def _kind(channel: Channel) -> ChannelKind:
    guide = GUIDES[channel.name]
    named = "{app}" if guide.app else "{account}"
    return ChannelKind(
        channel=channel.name,
        title=guide.title,
        external_id=guide.external_id,
        external_id_example=guide.external_id_example,
        webhook_path=f"/webhooks/{channel.endpoint}/{named}",
        shares_app=guide.app,
        templates=channel.window.templates,
        carries=tuple(sorted(channel.carries)),
        features=FEATURES if channel.window.human_agent_s is not None else (),
        secrets=tuple(_secret(channel, one) for one in guide.secrets),
        steps=tuple(SetupStep(code=one.code, words=one.words) for one in guide.steps),
    )


def _secret(channel: Channel, guide: SecretGuide) -> SecretKind:
    return SecretKind(
        name=guide.name,
        title=guide.title,
        where=guide.where,
        needed=guide.name in channel.secrets,
        pattern=guide.pattern,
        example=guide.example,
        strict=guide.strict,
        chosen=guide.chosen,
        typed_in=guide.typed_in,
    )
