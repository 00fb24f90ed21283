"""Telling the sender to show visitors that somebody types or has read: now or never."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from libs.common.bus.client import Bus
from libs.common.documents import Message, Session
from libs.common.events import VisitorSignal
from libs.common.subjects import signal
from services.desk.throttle import Buckets, Limit

TYPING = Limit(burst=1, refill_s=3.0)
"""Providers show it for five seconds or longer; once in three keeps it alive."""


class Signals:
    """Publishes signals; *clock* gives seconds that only rise."""

    def __init__(self, bus: Bus, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._typing = Buckets(TYPING, clock)

    def typing(self, session: Session, newest: Message | None) -> bool:
        """Show that somebody types; tell whether it was due again."""
        if self._typing.take(session.id):
            return False
        self._shout(session, newest, "typing")
        return True

    def seen(self, session: Session, newest: Message) -> None:
        """Show that the visitor's messages up to *newest* were read."""
        self._shout(session, newest, "seen")

    def _shout(
        self, session: Session, newest: Message | None, kind: Literal["typing", "seen"]
    ) -> None:
        found = VisitorSignal(
            workspace=session.workspace,
            channel=session.channel,
            account=session.account,
            session=session.id,
            visitor=session.visitor,
            kind=kind,
            message_id=newest.provider_ids[0] if newest and newest.provider_ids else "",
            read_token=session.read_token,
        )
        subject = signal(session.workspace, session.account)
        self._bus.shout(subject, msgspec.json.encode(found))
