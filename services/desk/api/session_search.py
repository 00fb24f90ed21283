"""Sessions that `q` finds: with a message that says it now, or of a contact who is known by it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from libs.common.documents import MESSAGES, SESSIONS, Message, Session
from libs.common.events import MessageDeleted, MessageEdited
from libs.common.store.api import In, Page, Where
from libs.common.words import query_words
from services.desk.api.route import Call
from services.desk.api.search import SearchQuery, seen_accounts
from services.desk.api.search_messages import shown
from services.desk.search import MOST_IDS, Sought, contacts_matching, messages_found

MOST_SESSIONS = 1000
"""Sessions of the contacts found that are looked at."""
_AT_ONCE = 100
"""Questions to the store at once."""
_MOST_EVENTS = 50


class SessionsFound(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is narrowed to; not `complete`: more were found than are looked at."""

    rows: tuple[Session, ...]
    complete: bool


async def sessions_found(
    call: Call, text: str, channels: Sequence[str] = (), accounts: Sequence[str] = ()
) -> SessionsFound:
    """Return the sessions that *text* finds: by the newest messages, and by contacts.

    What the caller does not see may be among them. *channels* and *accounts* tell where to look,
    empty: wherever the caller may.
    """
    query = SearchQuery(q=text, channel=tuple(channels), account=tuple(accounts))
    call = msgspec.structs.replace(call, query=query)
    sought = Sought(asked=query_words(text))
    if sought.asked.empty:
        return SessionsFound(rows=(), complete=True)
    (said, said_all), (known, known_all) = await asyncio.gather(
        _by_messages(call, sought), _by_contacts(call, text)
    )
    rows = {row.id: row for row in (*known, *said)}
    return SessionsFound(rows=tuple(rows.values()), complete=said_all and known_all)


async def _by_messages(call: Call, sought: Sought) -> tuple[Iterable[Session], bool]:
    accounts = await seen_accounts(call)
    if accounts == ():
        return (), True
    sought = msgspec.structs.replace(sought, accounts=accounts)
    port, workspace = call.desk.store.port, call.who.workspace
    found = await messages_found(port, workspace, sought, after=None, limit=MOST_IDS)
    changed = await _changed(call, found.rows)
    hits = await shown(call, sought, [row for row in found.rows if row.id in changed])
    ids = {row.session for row in found.rows if row.session and row.id not in changed}
    ids |= {hit.session for hit in hits.values()}
    return (await call.desk.store.sessions(workspace, ids)).values(), found.next is None


async def _changed(call: Call, rows: Sequence[Message]) -> set[str]:
    """Return which of *rows* are edits, or were edited or unsent: their words may not hold."""
    names = sorted({(row.account, name) for row in rows for name in (row.id, *row.provider_ids)})
    retold: set[tuple[str, str]] = set()
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        found = await asyncio.gather(*(_is_retold(call, *name) for name in some))
        retold |= {name for name, is_so in zip(some, found, strict=True) if is_so}
    return {
        row.id
        for row in rows
        if isinstance(row.event, MessageEdited)
        or any((row.account, name) in retold for name in (row.id, *row.provider_ids))
    }


async def _is_retold(call: Call, account: str, name: str) -> bool:
    """Tell whether an edit or a deletion of the message that has this id may be there."""
    where: Where = {"account": account, "target": name}
    page = Page(order="target", limit=_MOST_EVENTS)
    found = await call.desk.store.port.find(MESSAGES, call.who.workspace, where, page)
    return len(found) == _MOST_EVENTS or any(
        isinstance(one.event, MessageEdited | MessageDeleted) for one in found
    )


async def _by_contacts(call: Call, text: str) -> tuple[Iterable[Session], bool]:
    port, workspace = call.desk.store.port, call.who.workspace
    ids, more = await contacts_matching(port, workspace, text)
    if not ids:
        return (), not more
    page = Page(order="contact", descending=True, limit=MOST_SESSIONS)
    rows = await port.find(SESSIONS, workspace, {"contact": In(ids)}, page)
    return rows, not more and len(rows) < MOST_SESSIONS
