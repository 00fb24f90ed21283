"""What is unread, by account."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from services.desk.api.inbox_sources import counted
from services.desk.api.route import Call, Reply


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's unread visitor messages in open sessions that they see and are not snoozed.

    `total` is the sum of `accounts`, and of `unread` of all those sessions. `complete` is always
    true: however many sessions are open, all are counted.
    """

    total: Annotated[int, Meta(ge=0)]
    accounts: dict[str, int]
    complete: bool = True


async def unread(call: Call) -> Reply:
    """Count what the caller has not read, an account each.

    Raises:
        RefusalError: 503, the sessions are still being counted.
    """
    return Reply(body=await unread_now(call))


async def unread_now(call: Call) -> Unread:
    """Return what the caller has not read.

    Raises:
        RefusalError: 503, the sessions are still being counted.
    """
    found = await counted(call)
    return Unread(total=sum(found.values()), accounts=found)
