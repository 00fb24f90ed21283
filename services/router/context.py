"""What a command finds around its session, and why it may be refused there. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.documents import Message, Session
from libs.common.errors import SessionEndedError, StaleEpochError
from libs.common.switches import Settings
from services.router.room import Room


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the shell looked up for the command.

    `quoted` is the message that a send answers; `failed` the one that is to be sent once more, as
    its timeline shows it; `unanswered` the visitor's newest message that waits for an answer, where
    a bot is turned on; `elsewhere` the session (id) that the visitor of what is scheduled, or of
    what is to be restored, has besides this one, where this is not open (one that has ended counts
    where it began later than what is to be restored); `visitor` the id that they
    have by now; `was_unassigned` tells that the session was seen unassigned by this very command
    before it lost a race; `asks` that the visitor is to be asked how it was.
    """

    now: datetime
    room: Room = Room()
    quoted: Message | None = None
    failed: Message | None = None
    unanswered: Message | None = None
    elsewhere: str | None = None
    visitor: str = ""
    was_unassigned: bool = False
    asks: bool = False

    @property
    def settings(self) -> Settings:
        """The workspace's switches."""
        return self.room.policy.settings


def refuse_ended(session: Session) -> None:
    """Return unless *session* has ended.

    Raises:
        SessionEndedError: It has.
    """
    if session.list == "ended":
        raise SessionEndedError("the session has ended")


def refuse_moved(session: Session, epoch: int | None) -> None:
    """Return if *epoch*, where one is given, is that of *session* now.

    Raises:
        StaleEpochError: The session changed hands since.
    """
    if epoch not in {None, session.epoch}:
        raise StaleEpochError("the session has moved since", epoch=str(session.epoch))
