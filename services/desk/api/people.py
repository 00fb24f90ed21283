"""What is unread, by account."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import msgspec
from msgspec import Meta

from services.desk.api.route import Call, Reply
from services.desk.filters import OPEN
from services.desk.inbox import SCAN_LIMIT


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's unread visitor messages in open sessions that are not snoozed.

    `total` is the sum of `accounts`.

    `complete` is false when more sessions are open than one request counts (2,000); then the
    newest are counted.
    """

    total: Annotated[int, Meta(ge=0)]
    accounts: dict[str, int]
    complete: bool


async def unread(call: Call) -> Reply:
    """Count what the caller has not read, an account each."""
    me = call.who.agent
    sessions = await call.desk.store.open_sessions(call.who.workspace, OPEN)
    counts: Counter[str] = Counter()
    for session in sessions:
        if session.snoozed_until is not None:
            continue
        counts[session.account] += max(0, session.inbound - session.reads.get(me, 0))
    return Reply(
        body=Unread(
            total=counts.total(),
            accounts={slug: n for slug, n in sorted(counts.items()) if n},
            complete=len(sessions) < SCAN_LIMIT,
        )
    )
