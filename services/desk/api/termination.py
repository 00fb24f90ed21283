"""Automatic ends: what they would do before they are switched on, and taking them back (D07)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from libs.common.commands import RestoreSession
from libs.common.documents import AUDIT, SESSIONS, ListName, Session
from libs.common.errors import BusUnavailableError, CommandError, StoreUnavailableError
from libs.common.store.api import Page, Range, Where, cursor
from libs.common.switches import Settings
from libs.common.termination import LISTS, TERMINATED, UNDO_MOST_S, counted, is_on
from services.desk.api.cursor import time_cursor, write_cursor
from services.desk.api.problem import unavailable
from services.desk.api.proposal import Proposal, proposed
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import Cursor
from services.desk.api.settings import SettingsPatch
from services.desk.ask import ask, head
from services.desk.audited import entry
from services.desk.idle_preview import DAY, HOUR, Sample, Tally, paced, switched_on, within
from services.desk.scheduling import utc

LOOKED_AT_MOST = 50_000
"""Open sessions that a preview looks at."""
PAGE = 1000
UNDO_MOST = 500
AT_ONCE = 8
"""Restores under way of one call, so that an undo leaves room for everybody else."""

Outcome = Literal["restored", "another_open", "too_late", "failed"]


class PreviewBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings to try, as `PATCH /settings` takes them; without: those that are set."""

    settings: SettingsPatch | None = None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would end if nobody wrote any more; where it is switched off, as if it were on.

    Attributes:
        on: It is switched on by these settings.
        looked_at: Open sessions, in the caller's scope, of the lists that the rules name; `cut`:
            there are more.
        idle: Those that are idle for longer than their rule says, whenever that began.
        rules: The same by the number of the rule, from 1; `channels`, `lists`: by name.
        since: Since when idle time counts, which is now where these settings would be a change.
        within_hour, within_day: How many end within that time, after their idle time since then
            and as the pace allows.
        first_at, last_at: When the first and the last of all that end would do so.
        samples: The sessions among those that have been idle for longest, at most ten.
    """

    on: bool
    looked_at: int
    cut: bool
    idle: int
    rules: dict[str, int]
    channels: dict[str, int]
    lists: dict[str, int]
    since: datetime | None
    per_minute: int
    within_hour: int
    within_day: int
    first_at: datetime | None
    last_at: datetime | None
    samples: tuple[Sample, ...]


class UndoBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which ends to take back: those since a time, and how many in one call.

    Attributes:
        since: None: all that can still be taken back by the present `undo_s`.
        cursor: `next` of the answer before.
    """

    since: Annotated[datetime, Meta(tz=True)] | None = None
    limit: Annotated[int, Meta(ge=1, le=UNDO_MOST)] = 100
    cursor: Cursor = ""


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the ends that this call has looked at.

    Attributes:
        another_open: The visitor has a newer session by now, open or ended again.
        too_late: They cannot be taken back any more.
        failed: They could not be looked at; ask again for them.
        next: Where to go on; null: that was all.
    """

    restored: int
    another_open: int
    too_late: int
    failed: int
    next: str | None


async def preview(call: Call) -> Reply:
    """Count what would end.

    Raises:
        InvalidInputError: A setting is wrong, as with `PATCH /settings`.
    """
    body: PreviewBody = call.body
    now, workspace = call.desk.now(), call.who.workspace
    policy, _warnings = await proposed(call, Proposal(settings=body.settings), "")
    on = is_on(policy.settings)
    before = (await call.desk.store.workspace(workspace)).settings
    settings = counted(before, policy.settings if on else switched_on(policy.settings), now)
    tally, cut, looked_at = Tally(settings, now), False, 0
    async for page in _open(call, settings):
        room = LOOKED_AT_MOST - looked_at
        looked_at += len(page)
        tally.add(filter(call.who.scope.session, page[:room]))
        await asyncio.sleep(0)  # a page takes a while
        if cut := len(page) > room:
            break
    return Reply(body=_preview(settings, tally, now, on=on, cut=cut))


def _preview(settings: Settings, tally: Tally, now: datetime, *, on: bool, cut: bool) -> Preview:
    ends = paced(tally.dues, settings.termination.per_minute, now)
    return Preview(
        on=on,
        looked_at=tally.looked_at,
        cut=cut,
        idle=tally.idle,
        rules={str(number): count for number, count in sorted(tally.rules.items())},
        channels=dict(sorted(tally.channels.items())),
        lists=dict(sorted(tally.lists.items())),
        since=settings.termination.since,
        per_minute=settings.termination.per_minute,
        within_hour=within(ends, now + HOUR),
        within_day=within(ends, now + DAY),
        first_at=ends[0] if ends else None,
        last_at=ends[-1] if ends else None,
        samples=tuple(tally.samples),
    )


async def _open(call: Call, settings: Settings) -> AsyncIterator[list[Session]]:
    named = {name for rule in settings.termination.rules for name in rule.lists}
    for name in LISTS:
        if name in named:
            async for page in _pages(call, {"list": name}):
                yield page


async def _pages(call: Call, where: Where) -> AsyncIterator[list[Session]]:
    page = Page(order="list", limit=PAGE)
    while True:
        found = await call.desk.store.port.find(SESSIONS, call.who.workspace, where, page)
        yield found
        if len(found) < PAGE:
            return
        page = msgspec.structs.replace(page, after=cursor(SESSIONS, "list", found[-1]))


async def undo(call: Call) -> Reply:
    """Take back automatic ends, the oldest first, a page at a time; again, it does no harm.

    Raises:
        InvalidInputError: The cursor is none of ours, or `since` is no time in UTC.
        RefusalError: 503, nothing could be taken back right now.
    """
    body: UndoBody = call.body
    now = call.desk.now()
    ends, last, more = await _ended(call, body, await _since(call, body, now))
    if ends:
        of = {"since": body.since, "sessions": [session.id for session in ends]}
        record = entry(call, "termination.undo", "termination", None, of)
        await call.desk.store.port.insert(AUDIT, record)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(session: Session) -> Outcome:
        async with gate:
            return await _restored(call, session, now)

    counts = Counter(await asyncio.gather(*map(one, ends)))
    if ends and counts["failed"] == len(ends):
        raise unavailable("Nobody can decide about sessions right now; nothing was restored.")
    return Reply(
        body=Undone(
            restored=counts["restored"],
            another_open=counts["another_open"],
            too_late=counts["too_late"],
            failed=counts["failed"],
            next=write_cursor(last.updated_at, last.id) if more and last else None,
        )
    )


async def _since(call: Call, body: UndoBody, now: datetime) -> datetime:
    """Return since when an end counts; before that none could be taken back anyway.

    Raises:
        InvalidInputError: It is no time in UTC.
    """
    longest = now - timedelta(seconds=UNDO_MOST_S)
    if body.since is not None:
        return max(utc(body.since, "since"), longest)
    workspace = await call.desk.store.workspace(call.who.workspace)
    return now - timedelta(seconds=workspace.settings.termination.undo_s)


class Ends(NamedTuple):
    """Automatic ends to take back, the last session that was looked at, and whether more follow."""

    found: list[Session]
    last: Session | None
    more: bool


async def _ended(call: Call, body: UndoBody, since: datetime) -> Ends:
    """Return the next automatic ends, up to `limit`, of one page of ended sessions.

    What has ended was written last at its end or later, so that this order finds all since then;
    what was only written since then, and ended before, is left out.
    """
    after = time_cursor(body.cursor)
    ended: ListName = "ended"
    ends: list[Session] = []
    page = Page(order="list", after=(ended, *after) if after else None, limit=PAGE)
    where: Where = {"list": ended, "updated_at": Range(ge=since)}
    found = await call.desk.store.port.find(SESSIONS, call.who.workspace, where, page)
    for number, session in enumerate(found, 1):
        ended_at = session.ended_at or session.updated_at
        automatic = session.end_reason == TERMINATED and ended_at >= since
        if automatic and call.who.scope.session(session):
            ends.append(session)
        if len(ends) == body.limit:
            return Ends(ends, session, number < len(found) or len(found) == PAGE)
    return Ends(ends, found[-1] if found else None, len(found) == PAGE)


async def _restored(call: Call, session: Session, now: datetime) -> Outcome:
    if session.ended_from is None or session.ended_from.until < now:
        return "too_late"
    command = RestoreSession(**head(call.who, session, call.desk.now()))
    try:
        await ask(call.desk.bus, session, command)
    except CommandError as error:
        return _outcome(error)
    except (BusUnavailableError, StoreUnavailableError):
        return "failed"
    return "restored"


_REFUSED: dict[str, Outcome] = {"another_open": "another_open", "not_restorable": "too_late"}


def _outcome(error: CommandError) -> Outcome:
    return _REFUSED.get(error.code, "failed")
