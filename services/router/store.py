"""The router's queries: what a batch needs of the store, in as few commands as possible."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from libs.common.documents import (
    CONTACTS,
    DIRECTORY,
    IDENTITIES,
    MESSAGES,
    SESSIONS,
    SYSTEM,
    Contact,
    Identity,
    Message,
    Session,
)
from libs.common.store.api import In, Page, Range, Store, Where, cursor
from libs.common.timeline import display_order, related
from services.router.decisions import RULES
from services.router.newcomer import Newcomer
from services.router.plan import Talk

STRAYS = 50
"""Entries from before the first session that it takes in, at most."""
_PAGE = 1000
_TWINS = 10
_RECENT = 50
_VALUES = 500


async def open_sessions(
    store: Store, workspace: str, talks: Collection[Talk]
) -> dict[Talk, Session]:
    """Return the open sessions of at most 500 conversations: one command."""
    keys = tuple(talk.open_key for talk in talks if talk.visitor)
    if not keys:
        return {}
    page = Page(order="open", limit=len(keys))
    found = await store.find(SESSIONS, workspace, {"open_key": In(keys)}, page)
    return {Talk(session.account, session.visitor): session for session in found}


async def elsewhere(store: Store, session: Session) -> str | None:
    """Return which session its visitor has besides *session*, which is not open; None: none.

    Of one that is not stored any counts, else only one that is open.
    """
    talk = Talk(session.account, session.visitor)
    found = await open_sessions(store, session.workspace, [talk])
    if not found and not session.rev:
        found = await newest_sessions(store, session.workspace, [talk])
    return found[talk].id if talk in found else None


async def newest_sessions(
    store: Store, workspace: str, talks: Iterable[Talk]
) -> dict[Talk, Session]:
    """Return the newest session of each conversation that ever had one: one command an account."""
    by_account: defaultdict[str, list[str]] = defaultdict(list)
    for talk in talks:
        by_account[talk.account].append(talk.visitor)
    newest: dict[Talk, Session] = {}
    for account, visitors in by_account.items():
        for session in await _newest(store, workspace, account, visitors):
            newest.setdefault(Talk(account, session.visitor), session)
    return newest


async def _newest(
    store: Store, workspace: str, account: str, visitors: Sequence[str]
) -> list[Session]:
    page = Page(order="visitor", descending=True, limit=_PAGE)
    where: Where = {"account": account, "visitor": In(tuple(visitors))}
    found = await store.find(SESSIONS, workspace, where, page)
    if len(found) == _PAGE and len(visitors) > 1:  # one visitor's many hide the others
        half = len(visitors) // 2
        return [
            *await _newest(store, workspace, account, visitors[:half]),
            *await _newest(store, workspace, account, visitors[half:]),
        ]
    return found


async def stray_entries(
    store: Store, workspace: str, opened: Mapping[Talk, str]
) -> dict[Talk, list[Message]]:
    """Return what came before the first session of each conversation: one command.

    *opened* gives the session that is about to be opened: a crash may have moved some into it
    already. At most `STRAYS` each, the newest; the others keep waiting, which nobody notices.
    """
    keys = {talk.waiting: talk for talk in opened}
    keys |= {session: talk for talk, session in opened.items()}
    page = Page(order="timeline", descending=True, limit=_PAGE)
    strays: dict[Talk, list[Message]] = {}
    for names in _chunks(tuple(keys)):
        where: Where = {"timeline": In(names)}
        for entry in await store.find(MESSAGES, workspace, where, page):
            found = strays.setdefault(keys[entry.timeline or ""], [])
            if len(found) < STRAYS:
                found.append(entry)
    return {talk: sorted(found, key=display_order) for talk, found in strays.items()}


def _chunks(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(names), _VALUES):
        yield names[start : start + _VALUES]


async def changes_of(store: Store, message: Message) -> list[Message]:
    """Return the stored entries that change *message*: reports, receipts, echoes."""
    wanted = related([message])
    asked = [("target", "target", one) for one in wanted.targets]
    asked += [("provider", "provider_ids", one) for one in wanted.provider_ids]
    found: list[Message] = []
    for order, field, value in asked:
        where: Where = {"account": message.account, field: value}
        page = Page(order=order, limit=_PAGE)
        found += await store.find(MESSAGES, message.workspace, where, page)
    return found


async def unanswered(store: Store, session: Session) -> Message | None:
    """Return the visitor's newest message that neither a person nor a bot has answered.

    What rules and hours say by themselves is no answer, and what was scheduled is none.
    """
    page = Page(order="timeline", descending=True, limit=_RECENT)
    rows = await store.find(MESSAGES, session.workspace, {"timeline": session.id}, page)
    seen = {row.id: row for row in (*session.writes, *rows) if row.timeline == session.id}
    for entry in sorted(seen.values(), key=display_order, reverse=True):
        if entry.kind == "message" and entry.direction == "in":
            return entry
        if entry.kind == "message" and entry.sender_id != RULES.id and not entry.origin:
            return None
    return None


async def stored_twins(
    store: Store, workspace: str, wanted: Mapping[str, set[str]]
) -> dict[str, dict[str, list[Message]]]:
    """Return what is stored under the provider ids *wanted*, by account: a command for each id."""
    places = [(account, one) for account, ids in wanted.items() for one in sorted(ids)]
    page = Page(order="provider", limit=_TWINS)
    rows = await asyncio.gather(
        *(
            store.find(MESSAGES, workspace, {"account": account, "provider_ids": one}, page)
            for account, one in places
        )
    )
    found: defaultdict[str, dict[str, list[Message]]] = defaultdict(dict)
    for (account, one), messages in zip(places, rows, strict=True):
        found[account][one] = messages
    return found


async def settle_people(
    store: Store, workspace: str, newcomers: Sequence[Newcomer]
) -> dict[str, Identity]:
    """Store who is new; return by id the identities that were known before."""
    identities = [n.identity for n in newcomers]
    identities += _unnamed({n.alias.id: n.alias for n in newcomers if n.alias}, identities)
    refused = await store.insert_many(IDENTITIES, identities)
    known = await store.get_many(IDENTITIES, workspace, list(refused)) if refused else {}
    contacts = [n.contact for n in newcomers if _is_own(known.get(n.identity.id), n.contact)]
    if contacts:
        await store.insert_many(CONTACTS, contacts)  # a crash may have left the identity alone
    return known


def _unnamed(aliases: dict[str, Identity], known: Sequence[Identity]) -> list[Identity]:
    """Return the *aliases* that are not in the batch under their own names."""
    named = {identity.id for identity in known}
    return [alias for id_, alias in aliases.items() if id_ not in named]


def _is_own(identity: Identity | None, contact: Contact) -> bool:
    return identity is None or identity.contact == contact.id


async def overdue_outboxes(
    store: Store, workspace: str, before: datetime, limit: int
) -> list[Session]:
    """Return sessions whose outbox was filled before *before*, the oldest first."""
    page = Page(order="outbox", limit=limit)
    return await store.find(SESSIONS, workspace, {"outbox_since": Range(lt=before)}, page)


async def workspaces(store: Store) -> list[str]:
    """Return every workspace of the installation."""
    found: list[str] = []
    page = Page(order="kind", limit=_PAGE)
    while True:
        rows = await store.find(DIRECTORY, SYSTEM, {"kind": "workspace"}, page)
        found += (row.id.partition(":")[2] for row in rows)
        if len(rows) < _PAGE:
            return found
        page = msgspec.structs.replace(page, after=cursor(DIRECTORY, "kind", rows[-1]))
