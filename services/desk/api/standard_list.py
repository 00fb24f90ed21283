"""The list of standard messages that people keep: by title, by place, or by use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime

from libs.common.errors import InvalidInputError
from libs.common.later import STANDARD_MESSAGES, STANDARD_USES, StandardMessage
from libs.common.standard import Reader, sees
from libs.common.store.api import Page, Value, cursor
from services.desk.api.cursor import text_cursor, write_text_cursor
from services.desk.api.route import Call, Reply
from services.desk.api.standard_body import StandardList, StandardQuery, views
from services.desk.standard_read import NONE, Folders, all_folders, reader_of

_PAGE = 500
_USED = "used "
_UNUSED = "rest "

Cursor = tuple[str, str]
Found = tuple[StandardMessage, Cursor]
"""A message, and the cursor behind it."""


async def standard_messages(call: Call) -> Reply:
    """List the standard messages that the caller sees (B34).

    Raises:
        InvalidInputError: The folder is not known, or the order goes with one folder only.
    """
    query: StandardQuery = call.query
    held = await all_folders(call.desk.store.port, call.who.workspace)
    fits = _fits(query, held, await reader_of(call))
    found: list[Found] = []
    async for one, place in _walk(call, query):
        if fits(one):
            found.append((one, place))
            if len(found) > query.limit:
                break
    shown = found[: query.limit]
    more = len(found) > query.limit
    items = await views(call, [one for one, _ in shown])
    return Reply(
        body=StandardList(items=items, next=write_text_cursor(*shown[-1][1]) if more else None)
    )


def _fits(query: StandardQuery, held: Folders, reader: Reader) -> Callable[[StandardMessage], bool]:
    """Return what tells whether a message is wanted and seen.

    Raises:
        InvalidInputError: There is no such folder, for the caller.
    """
    seen = {id_ for id_, one in held.items() if sees(one, reader)}
    folder = "" if query.folder == NONE else query.folder
    if folder and folder not in seen:
        raise InvalidInputError(
            "folder: there is no such folder.",
            field="folder",
            allowed=f"ids of `GET /standard-messages/folders`, or {NONE}",
        )
    words = query.q.casefold().split()

    def fits(one: StandardMessage) -> bool:
        if query.folder and one.folder != folder:
            return False
        if one.folder and one.folder not in seen and not (reader.keeps and one.folder not in held):
            return False
        return all(word in one.title.casefold() for word in words)

    return fits


def _walk(call: Call, query: StandardQuery) -> AsyncIterator[Found]:
    after = text_cursor(query.cursor)
    if query.order == "place":
        if not query.folder:
            allowed = "`place` with a `folder`"
            raise InvalidInputError(f"order: {allowed}.", field="order", allowed=allowed)
        return _by_place(call, "" if query.folder == NONE else query.folder, after)
    return _by_use(call, after) if query.order == "used" else _by_title(call, after)


async def _by_title(call: Call, after: Cursor | None) -> AsyncIterator[Found]:
    async for rows in _pages(call, after):
        for row in rows:
            yield row, (row.title, row.id)


async def _pages(call: Call, after: Cursor | None) -> AsyncIterator[list[StandardMessage]]:
    place: tuple[Value, ...] | None = after
    while True:
        page = Page(order="title", after=place, limit=_PAGE)
        rows = await call.desk.store.port.find(STANDARD_MESSAGES, call.who.workspace, {}, page)
        if rows:
            yield rows
        if len(rows) < _PAGE:
            return
        place = cursor(STANDARD_MESSAGES, "title", rows[-1])


async def _by_place(call: Call, folder: str, after: Cursor | None) -> AsyncIterator[Found]:
    place: tuple[str | int | bool | datetime, ...] | None = None
    if after is not None:
        place = (folder, _number(after[0]), after[1])
    while True:
        page = Page(order="folder", after=place, limit=_PAGE)
        where = {"folder": folder}
        rows = await call.desk.store.port.find(STANDARD_MESSAGES, call.who.workspace, where, page)
        for row in rows:
            yield row, (str(row.place), row.id)
        if len(rows) < _PAGE:
            return
        place = cursor(STANDARD_MESSAGES, "folder", rows[-1])


async def _by_use(call: Call, after: Cursor | None) -> AsyncIterator[Found]:
    """Yield what was sent, the most often first; behind it the rest by title."""
    port, workspace = call.desk.store.port, call.who.workspace
    if after is None or after[0].startswith(_USED):
        place = (_number(after[0].removeprefix(_USED)), after[1]) if after else None
        async for found in _sent(call, place):
            yield found
        after = None
    else:
        after = (after[0].removeprefix(_UNUSED), after[1])
    async for rows in _pages(call, after):
        uses = await port.get_many(STANDARD_USES, workspace, [row.id for row in rows])
        for row in rows:
            if row.id not in uses or not uses[row.id].sent:
                yield row, (_UNUSED + row.title, row.id)


async def _sent(call: Call, place: tuple[Value, ...] | None) -> AsyncIterator[Found]:
    port, workspace = call.desk.store.port, call.who.workspace
    while True:
        page = Page(order="sent", descending=True, after=place, limit=_PAGE)
        uses = [use for use in await port.find(STANDARD_USES, workspace, {}, page) if use.sent]
        rows = await port.get_many(STANDARD_MESSAGES, workspace, [use.id for use in uses])
        for use in uses:
            if use.id in rows:
                yield rows[use.id], (f"{_USED}{use.sent}", use.id)
        if len(uses) < _PAGE:
            return
        place = cursor(STANDARD_USES, "sent", uses[-1])


def _number(text: str) -> int:
    """Return the number of a cursor; what is none is no cursor of this list."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):  # noqa: PLR2004
        raise InvalidInputError(
            "cursor: this is no cursor of this list; take `next` from its last answer.",
            field="cursor",
            allowed="the `next` of an answer",
        )
    return int(text)
