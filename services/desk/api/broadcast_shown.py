"""Broadcasts and their recipients as people are shown them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from libs.common.audience import places_of
from libs.common.broadcasts import pace_of
from libs.common.events import ChoicesPart, ContentPart, MediaPart, TemplatePart, TextPart
from libs.common.later import Broadcast, Recipient
from libs.common.reasons import reason
from services.desk.api.broadcast_body import BroadcastRow, BroadcastView, RecipientView
from services.desk.api.login import AgentName
from services.desk.api.route import Call, Reply
from services.desk.broadcast_store import counts_of
from services.desk.policy_store import etag


def row(found: Broadcast) -> BroadcastRow:
    """Return a broadcast as a list shows it."""
    return BroadcastRow(**_row(found))


def recorded(found: Broadcast) -> dict[str, Any]:
    """Return what the record of changes says of it."""
    return {
        **_row(found),
        "parts": found.parts,
        "quiet_hours": found.quiet_hours,
        "when_closed": found.when_closed,
        "fallback_template": found.template,
        "per_minute": found.per_minute,
    }


async def shown(
    call: Call, found: Broadcast, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Reply:
    """Answer with a broadcast as it stands, and how many recipients are in each state."""
    counts = await counts_of(call.desk.store.port, found)
    files = file_ids(found.parts)
    views = await call.desk.attachments.views(found.workspace, files, call.desk.now())
    accounts = await call.desk.store.accounts(found.workspace)
    enabled = {account.id: account.channel for account in accounts if account.enabled}
    channels = {enabled[slug] for slug in places_of(found.audience, enabled)}
    body = BroadcastView(
        **_row(found),
        parts=found.parts,
        attachments=tuple(views[one] for one in files if one in views),
        standard_message=found.standard_message,
        quiet_hours=found.quiet_hours,
        when_closed=found.when_closed,
        fallback_template=found.template,
        per_minute=found.per_minute,
        pace={name: pace_of(found, name) for name in sorted(channels)},
        counts=dict(sorted(counts.items())),
        under_way=counts.get("sending", 0),
        resumes_to=found.resumes_to,
        copied_from=found.copied_from,
    )
    return Reply(body=body, status=status, headers={**etag(found), **(headers or {})})


_REASONS = {"unknown": "ambiguous"}
"""How the reasons call what a recipient's has the name of a status for."""


def recipient(found: Recipient) -> RecipientView:
    """Return a recipient as it is shown."""
    known = reason(_REASONS.get(found.reason, found.reason)) if found.reason else None
    return RecipientView(
        id=found.id,
        contact=AgentName(id=found.contact, name=found.name),
        account=found.account,
        channel=found.channel,
        state=found.state,
        reason=found.reason,
        detail=f"{known.text} {known.advice}" if known else "",
        message=found.message,
        session=found.session,
        due_at=found.due_at,
        updated_at=found.updated_at,
    )


def file_ids(parts: Sequence[ContentPart]) -> tuple[str, ...]:
    """Return the uploaded files in *parts*."""
    media = [part for part in parts if isinstance(part, MediaPart)]
    media += [
        part.header_media
        for part in parts
        if isinstance(part, TemplatePart) and part.header_media is not None
    ]
    return tuple(dict.fromkeys(part.attachment for part in media))


def _row(found: Broadcast) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "state": found.state,
        "author": AgentName(id=found.author, name=found.author_name),
        "audience": found.audience,
        "text": "\n".join(
            part.text
            for part in found.parts
            if isinstance(part, TextPart | ChoicesPart | TemplatePart)
        ),
        "at": found.local,
        "zone": found.zone,
        "due_at": found.due_at,
        "total": found.total,
        "gathered": found.gathered,
        "reason": found.reason,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
        "started_at": found.started_at,
        "ended_at": found.ended_at,
    }
