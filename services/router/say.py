"""One message of ours: placed in the timeline and asked to be sent, in one write. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from libs.common.documents import Message, SenderKind, Session
from libs.common.events import ContentPart, SendRequest
from libs.common.timeline import COMMAND_KEY
from libs.common.windows import PERSON, Permit
from services.router.draft import Draft
from services.router.entry import message_id
from services.router.permit import Answering, Reach, permit


def say(draft: Draft, entry: Message, answering: Answering, reach: Reach, now: datetime) -> Message:
    """Write *entry* and ask for it to be sent.

    Raises:
        NotPermittedError, InvalidInputError: As `compose`.
    """
    session = draft.session
    request = compose(draft, entry, answering, reach, now)
    draft.touch(now)
    draft.send(
        msgspec.structs.replace(
            request,
            reply_token=session.reply_token,
            reply_token_at=session.reply_token_at,
            epoch=None if answering.actor_kind == PERSON else session.epoch,
        )
    )
    session.reply_token = ""  # single use
    session.reply_token_at = None
    return entry


def compose(
    draft: Draft, entry: Message, answering: Answering, reach: Reach, now: datetime
) -> SendRequest:
    """Write *entry* and return what asks for it to be sent, which is not in the draft yet.

    Raises:
        NotPermittedError, InvalidInputError: The channel does not allow it now, see `permit`;
            then nothing of it is in the draft.
    """
    session = draft.session
    permitted = permit(draft, answering, reach, entry)
    entry.sequence = draft.written + 1  # behind the line that tells who stepped in
    entry.direction = "out"
    entry.parts = answering.parts
    entry.offline = answering.offline
    entry.status = "queued"
    entry.status_at = now
    draft.write(entry)
    draft.show_last(entry)
    actor = f"{answering.actor_kind}:{entry.sender_id}"
    draft.tell("message.stored", now, actor=actor, message=entry.id)
    request = _request(session, entry, permitted, answering.quoted, now)
    return msgspec.structs.replace(request, offline=answering.offline)


def machine_entry(
    session: Session, key: str, now: datetime, sender: SenderKind, sender_id: str, name: str = ""
) -> Message:
    """Return the entry of what a machine says of itself, without a command.

    *key* must be the same for a repeat of what brought it: the id of the visitor's message, or of
    the timer, and what is said there.
    """
    full = f"{COMMAND_KEY}{sender}:{sender_id}:{key}"
    return Message(
        id=message_id(session.workspace, "", full),
        workspace=session.workspace,
        account=session.account,
        key=full,
        session=session.id,
        visitor=session.visitor,
        kind="message",
        occurred_at=behind(session, now),
        received_at=now,
        sender=sender,
        sender_id=sender_id,
        sender_name=name,
    )


def answered(
    parts: tuple[ContentPart, ...], actor_kind: str, quoted: Message | None = None
) -> Answering:
    """Return what a machine says: *parts*, by the channel's usual way."""
    return Answering(parts=parts, actor_kind=actor_kind, quoted=quoted)


def behind(session: Session, now: datetime) -> datetime:
    """Return the display time of what is said now: behind what it answers, whatever the clocks.

    A provider's clock may be a few seconds ahead of ours.
    """
    last = session.newest.get("last_message")
    return max(now, last.at + timedelta(milliseconds=1)) if last else now


def _request(
    session: Session, entry: Message, permitted: Permit, quoted: Message | None, now: datetime
) -> SendRequest:
    return SendRequest(
        message_id=entry.id,
        workspace=session.workspace,
        channel=session.channel,
        account=session.account,
        session=session.id,
        visitor=session.visitor,
        parts=entry.parts,
        queued_at=now,
        sender=entry.sender,
        sender_name=entry.sender_name,
        reply_to=quoted.provider_ids[0] if quoted and quoted.provider_ids else "",
        quote_token=quoted.quote_token if quoted else "",
        thread=entry.thread,
        way=permitted.way,
        human_agent=permitted.human_agent,
        open_until=permitted.open_until,
    )
