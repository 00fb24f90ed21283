"""What a bot is told: the session, the message it is to answer, and what was said before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from libs.common.bots.webhook import MOST_HISTORY, BotCase, BotContact, BotLine
from libs.common.documents import BOTS, CONTACTS, MESSAGES, SESSIONS, Bot, Contact, Message, Session
from libs.common.events import ContentPart, Fact, MediaPart
from libs.common.files.links import sign
from libs.common.store.api import Page, Store
from libs.common.timeline import Related, TimelineEntry, display_order, fold, related

LINK_LIFE = timedelta(hours=1)
"""How long a bot may fetch a file of the conversation."""
ANSWERS_PATH = "/api/v1/bots/{workspace}/{bot}/answers"
_TOLD = frozenset({"visitor", "agent", "bot", "automation"})
_LOOKED_AT = 3 * MOST_HISTORY
"""Entries of the timeline, of which some are notes and system lines."""
_EVENTS_PER_MESSAGE = 50


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A message that awaits its bot's answer, until `due`."""

    session: Session
    bot: Bot | None
    due: datetime
    message: str
    epoch: int


def is_awaited(session: Session | None, fact: Fact) -> bool:
    """Tell whether the answer that *fact* asks for is still waited for."""
    return (
        session is not None
        and session.list != "ended"
        and session.bot
        and session.epoch == fact.epoch
        and session.bot_asked == fact.message
        and session.bot_id == fact.bot_id
    )


class Cases:
    """Reads cases from the store.

    Args:
        store: Has sessions, messages, contacts and bots open.
        keys: Keys of links, from `links.link_keys`.
        public_url: Address at which the world reaches this installation; empty: none, then bots
            can neither answer later nor fetch files.
    """

    def __init__(self, store: Store, keys: Sequence[bytes], public_url: str) -> None:
        self._store = store
        self._keys = keys
        self._public_url = public_url.rstrip("/")

    async def asked(self, fact: Fact, due: datetime) -> Asked | None:
        """Return what *fact* asks for; None when nobody waits for it any more.

        Raises:
            StoreUnavailableError: The store is away.
        """
        session, bot = await asyncio.gather(
            self._store.get(SESSIONS, fact.workspace, fact.session),
            self._store.get(BOTS, fact.workspace, fact.bot_id),
        )
        if session is None or not is_awaited(session, fact):
            return None
        due = session.due.get("bot_deadline", due)  # it may have got more time since
        return Asked(session=session, bot=bot, due=due, message=fact.message, epoch=fact.epoch)

    async def still(self, fact: Fact) -> bool:
        """Tell whether the answer is still waited for."""
        return is_awaited(await self._store.get(SESSIONS, fact.workspace, fact.session), fact)

    async def case(self, asked: Asked, bot: Bot, now: datetime) -> BotCase | None:
        """Return what *bot* is told; None when the message is not there.

        Raises:
            StoreUnavailableError: The store is away.
        """
        session = asked.session
        message, contact = await asyncio.gather(
            self._store.get(MESSAGES, session.workspace, asked.message),
            self._store.get(CONTACTS, session.workspace, session.contact),
        )
        if message is None:
            return None
        lines = await self._lines(session, message, now)
        before, own = _parted(lines, message)
        return BotCase(
            workspace=session.workspace,
            session=session.id,
            epoch=session.epoch,
            channel=session.channel,
            account=session.account,
            message=own,
            contact=_contact(session, contact),
            history=before,
            reply_url=self._reply_url(bot),
            deadline=asked.due,
        )

    async def _lines(self, session: Session, message: Message, now: datetime) -> list[BotLine]:
        """Return the newest messages as they stand now, oldest first; those unsent are left out."""
        page = Page(order="timeline", descending=True, limit=_LOOKED_AT)
        where = {"timeline": session.id}
        found = await self._store.find(MESSAGES, session.workspace, where, page)
        place = display_order(message)
        told = [m for m in found if m.kind == "message" and display_order(m) < place]
        chosen = [*reversed(told[:MOST_HISTORY]), message]
        changes = await self._changes(session, related(chosen))
        entries = fold(chosen, changes, None)
        return [self._line(session, entry, now) for entry in entries if _is_told(entry, message)]

    async def _changes(self, session: Session, wanted: Related) -> list[Message]:
        asked = [("target", "target", target) for target in wanted.targets]
        asked += [("provider", "provider_ids", found) for found in wanted.provider_ids]
        groups = await asyncio.gather(
            *(
                self._store.find(
                    MESSAGES,
                    session.workspace,
                    {"account": session.account, field: value},
                    Page(order=order, limit=_EVENTS_PER_MESSAGE),
                )
                for order, field, value in asked
            )
        )
        return [event for group in groups for event in group]

    def _line(self, session: Session, entry: TimelineEntry, now: datetime) -> BotLine:
        parts = tuple(self._shown(session, part, now) for part in entry.parts)
        return BotLine(id=entry.id, at=entry.at, sender=entry.sender.kind, parts=parts)

    def _shown(self, session: Session, part: ContentPart, now: datetime) -> ContentPart:
        """Return *part* with a link of ours in place of the provider's own, which is secret."""
        if not isinstance(part, MediaPart):
            return part
        url = ""
        if part.attachment and self._public_url:
            until = now + LINK_LIFE
            path = sign(self._keys, session.workspace, part.attachment, until, name=part.name)
            url = self._public_url + path
        return msgspec.structs.replace(part, url=url, media_id="")

    def _reply_url(self, bot: Bot) -> str:
        if not self._public_url:
            return ""
        return self._public_url + ANSWERS_PATH.format(workspace=bot.workspace, bot=bot.id)


def _is_told(entry: TimelineEntry, message: Message) -> bool:
    return entry.id == message.id or (entry.sender.kind in _TOLD and not entry.deleted)


def _parted(lines: list[BotLine], message: Message) -> tuple[tuple[BotLine, ...], BotLine]:
    """Return what was said before, and the message itself: without content when it was unsent."""
    own = next((line for line in lines if line.id == message.id), None)
    before = tuple(line for line in lines if line.id != message.id)
    return before, own or BotLine(
        id=message.id, at=message.occurred_at, sender=message.sender, parts=()
    )


def _contact(session: Session, found: Contact | None) -> BotContact:
    known = {
        "phone": session.contact_phone or (found.phone if found else ""),
        "email": session.contact_email or (found.email if found else ""),
    }
    return BotContact(
        id=session.contact,
        name=session.contact_name or (found.name if found else ""),
        language=session.contact_language or (found.language if found else ""),
        fields={name: value for name, value in known.items() if value},
    )
