"""Putting sessions aside until a time, taking them back, and undoing automatic ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.commands import RestoreSession, Snooze
from libs.common.errors import InvalidInputError
from services.desk.api.act import do, head_of
from services.desk.api.route import Call, Reply
from services.desk.api.visible import session_of

LONGEST_SNOOZE = timedelta(days=365)


class SnoozeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Until when the session is put aside: a time to come with its zone, at most a year ahead."""

    until: Annotated[datetime, Meta(tz=True)]


async def snooze(call: Call) -> Reply:
    """Put the session aside until a time, or until the visitor writes or an agent answers.

    Raises:
        InvalidInputError: The time has passed, or is more than a year away.
        RefusalError: 409 `session_ended`.
    """
    until: datetime = call.body.until
    if not call.desk.now() < until <= call.desk.now() + LONGEST_SNOOZE:
        allowed = "a time to come, at most a year ahead"
        raise InvalidInputError(
            f"until: {until.isoformat()} is not {allowed}.", field="until", allowed=allowed
        )
    session = await session_of(call)
    return await do(call, session, Snooze(**head_of(call, session), until=until))


async def unsnooze(call: Call) -> Reply:
    """Take the session back at once; one that is not put aside stays as it is.

    Raises:
        RefusalError: 409 `session_ended`.
    """
    session = await session_of(call)
    return await do(call, session, Snooze(**head_of(call, session), until=None))


async def restore(call: Call) -> Reply:
    """Undo an automatic end: the session stands again where it stood.

    Raises:
        RefusalError: 409 `not_restorable`, it ended otherwise or too long ago; 409 `another_open`.
    """
    session = await session_of(call)
    return await do(call, session, RestoreSession(**head_of(call, session)))
