"""What changes in the caller's inbox, as it happens."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from libs.common.documents import AGENTS
from libs.common.errors import StoreUnavailableError
from services.desk.api.inbox_sources import EntryEvent, room_of
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import SessionFilterQuery, SessionRow, wanted_by
from services.desk.auth import still_good
from services.desk.inbox_listener import UnreadNow
from services.desk.inbox_stream import Beat, InboxStream, Ready, Reset
from services.desk.inbox_told import Point, ReadMark, Receipts, Removed
from services.desk.live_stream import resume_at
from services.desk.scope import scope_of

SessionId = Annotated[str, Meta(max_length=100, pattern=r"^[^\x00]*$")]


class StreamQuery(SessionFilterQuery, frozen=True, kw_only=True):
    """Which sessions are told of: the filters of `GET /sessions`.

    `open` names sessions whose entries are told in any case: those that are on the screen. `after`
    is the last id that was seen, for who cannot send `Last-Event-ID`.
    """

    open: Annotated[tuple[SessionId, ...], Meta(description="Sessions on the screen")] = ()
    after: Annotated[str, Meta(max_length=20, pattern=r"^[0-9]*$")] = ""


class InboxEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The data of an event is what stands here under the event's name."""

    ready: Ready
    session: SessionRow
    removed: Removed
    entry: EntryEvent
    read: ReadMark
    receipts: Receipts
    unread: UnreadNow
    reset: Reset
    beat: Beat


async def stream(call: Call) -> Reply:
    """Tell what changes until the reader leaves, or may no longer see just this.

    Raises:
        RefusalError: 429, too many streams are open; 503, changes cannot be read now.
    """
    query: StreamQuery = call.query
    who, live = call.who, call.desk.live
    point = Point(
        workspace=who.workspace,
        agent=who.agent,
        scope=who.scope,
        wanted=wanted_by(query, who),
        open=frozenset(query.open),
    )
    room = await room_of(call)
    after = resume_at(call.headers.get("last-event-id", "") or query.after)

    async def still() -> bool:
        try:
            return await _still(call)
        except StoreUnavailableError:  # nobody is cut off for a fault of ours: asked again soon
            return True

    async def pour(request: web.Request) -> web.StreamResponse:
        key = ("inbox", who.workspace, who.agent)
        with live.streams.place(key), live.inbox.listening(room, point) as listener:
            made = InboxStream(request, live.inbox, room, listener, still)
            with live.streams.watched(made):
                return await made.pour(after)

    return Reply(stream=pour)


async def _still(call: Call) -> bool:
    """Tell whether the credential is good, and shows what it showed."""
    store, who = call.desk.store, call.who
    if not await still_good(store, who, call.desk.now()):
        return False
    agent = await store.together.get(AGENTS, who.workspace, who.agent)
    return agent is not None and scope_of(agent) == who.scope
