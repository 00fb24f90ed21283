"""From a fact to what endpoints are told of it: reads what the fact names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from libs.common.documents import MESSAGES, SESSIONS, Message, Session
from libs.common.errors import RetryableError
from libs.common.events import Fact
from libs.common.files.links import sign
from libs.common.store.api import Store
from libs.common.webhook_events import (
    SESSION_FACTS,
    SPOKEN,
    Event,
    Link,
    body_of,
    contact_event,
    message_data,
    session_data,
    status_data,
    workspace_event,
)
from libs.common.webhooks import EVENT_TYPES, EventType

LINK_LIFE = timedelta(days=7)
_BY_FACT: dict[str, tuple[EventType, ...]] = {
    **{kind: (kind,) for kind in EVENT_TYPES if kind in SESSION_FACTS},
    "message.stored": ("message.received", "message.sent"),
    "message.status": ("message.status",),
    "contact.changed": ("contact.changed",),
    "account.unhealthy": ("account.unhealthy",),
    "import.finished": ("import.finished",),
}


class NotStoredError(RetryableError):
    """What a fact names is not there (yet)."""

    code = "not_stored"


def possible(fact: Fact) -> tuple[EventType, ...]:
    """Return the types of event that *fact* may become; none: it is not told."""
    return _BY_FACT.get(fact.type, ())


class Events:
    """Makes events.

    Args:
        store: Has sessions and messages open.
        keys: Keys of links to files.
        public_url: Address at which the world reaches this installation; empty: none, then files
            have no links.
    """

    def __init__(self, store: Store, keys: Sequence[bytes], public_url: str) -> None:
        self._store = store
        self._keys = keys
        self._public_url = public_url.rstrip("/")

    async def of(self, fact: Fact, now: datetime) -> Event | None:
        """Return what is told of *fact*; None: nothing.

        Raises:
            NotStoredError: The session or message that it names is not there.
            StoreUnavailableError: The store is away.
        """
        if not possible(fact):
            return None
        told = workspace_event(fact)
        if told is not None:
            return told
        session, message = await asyncio.gather(
            self._store.get(SESSIONS, fact.workspace, fact.session), self._message(fact)
        )
        if session is None:
            raise NotStoredError("the session is not there")
        if fact.type.startswith("message."):
            return self._spoken(fact, session, message, now)
        if fact.type == "contact.changed":
            return _event(fact, session, "contact.changed", contact_event(session))
        [kind] = possible(fact)
        return _event(fact, session, kind, session_data(fact, session))

    async def _message(self, fact: Fact) -> Message | None:
        if not fact.type.startswith("message."):
            return None
        return await self._store.get(MESSAGES, fact.workspace, fact.message)

    def _spoken(
        self, fact: Fact, session: Session, message: Message | None, now: datetime
    ) -> Event | None:
        if message is None:
            raise NotStoredError("the message is not there")
        if fact.type == "message.status":
            return _event(fact, session, "message.status", status_data(fact, message, session))
        if message.kind != "message" or message.direction is None:  # a note, or a system line
            return None
        data = message_data(message, session, self._link(fact.workspace, now))
        return _event(fact, session, SPOKEN[message.direction], data)

    def _link(self, workspace: str, now: datetime) -> Link:
        def link(file_id: str, name: str) -> str:
            if not self._public_url:
                return ""
            path = sign(self._keys, workspace, file_id, now + LINK_LIFE, name=name)
            return self._public_url + path

        return link


def _event(fact: Fact, session: Session, kind: EventType, data: object) -> Event:
    return Event(
        id=fact.fact_id,
        type=kind,
        at=fact.at,
        body=body_of(kind, fact.at, data),
        channel=session.channel,
        account=session.account,
    )


def any_wants(wanted: Iterable[tuple[EventType, ...]], kinds: tuple[EventType, ...]) -> bool:
    """Tell whether one of the lists of types, of which an empty one is all, has one of *kinds*."""
    return any(not one or set(one) & set(kinds) for one in wanted)
