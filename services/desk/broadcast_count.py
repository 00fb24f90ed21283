"""Counting an audience without writing to anybody: the same reading as of those who gather it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from libs.common.audience import Reached, slice_of
from libs.common.channel import Account, Channel
from libs.common.documents import Session
from libs.common.events import TextPart
from libs.common.later import Audience
from libs.common.store.api import Store
from libs.common.windows import Permit, Wish, permitted

COUNT_S = 5.0
"""How long one counting takes; what is not read by then is cut off."""
_WISH = Wish(parts=(TextPart(text="."),), actor_kind="schedule")


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """By which accounts (by slug) and channels (by name) people are reached, and when it is."""

    accounts: Mapping[str, Account]
    channels: Mapping[str, Channel]
    now: datetime


class Tally(msgspec.Struct, kw_only=True):
    """How many were counted of what; see `AudienceCount`."""

    total: int = 0
    channels: Counter[str] = msgspec.field(default_factory=Counter)
    accounts: Counter[str] = msgspec.field(default_factory=Counter)
    outlooks: Counter[str] = msgspec.field(default_factory=Counter)
    reasons: Counter[str] = msgspec.field(default_factory=Counter)
    complete: bool = True

    def add(self, one: Reached, ground: Ground) -> None:
        """Count *one*."""
        self.total += 1
        self.channels[one.address.channel] += 1
        self.accounts[one.address.account] += 1
        outlook, why = _outlook(one, ground)
        self.outlooks[outlook] += 1
        if why:
            self.reasons[why] += 1


async def tally(
    store: Store,
    workspace: str,
    audience: Audience,
    ground: Ground,
    clock: Callable[[], float],
) -> Tally:
    """Count who is reached now; *clock* (seconds) bounds how long that takes.

    Raises:
        StoreUnavailableError: The store is away.
    """
    found = Tally()
    seen: set[str] = set()
    after = ""
    until = clock() + COUNT_S
    while True:
        part = await slice_of(store, workspace, audience, after, ground.now)
        for one in part.reached:
            if one.contact.id not in seen:
                seen.add(one.contact.id)
                found.add(one, ground)
        after = part.cursor
        if not after:
            return found
        if clock() >= until:
            found.complete = False
            return found


def _outlook(one: Reached, ground: Ground) -> tuple[str, str]:
    """Return what could be sent now (`free_text`, ...), and why no more than that."""
    channel = ground.channels.get(one.address.channel)
    account = ground.accounts.get(one.address.account)
    if one.blocked:
        return "blocked", ""
    if channel is None or account is None:
        return "closed", "account_unavailable"
    session = one.session or _stranger(one, ground.now, account.workspace)
    answer = permitted(session, channel, account, _WISH, ground.now)
    if isinstance(answer, Permit):
        return "free_text", ""
    if answer.code == "blocked":
        return "blocked", ""
    templates = channel.window.templates and any(t.approved for t in account.templates)
    if templates and answer.code in {"window_closed", "no_window", "count_used_up"}:
        return "template_only", answer.code
    return "closed", answer.code


def _stranger(one: Reached, now: datetime, workspace: str) -> Session:
    """Return a blank session of somebody who never had one."""
    return Session(
        id="",
        workspace=workspace,
        account=one.address.account,
        channel=one.address.channel,
        visitor=one.address.visitor,
        contact=one.contact.id,
        list="ended",
        open_key=None,
        created_at=now,
        updated_at=now,
    )
