"""The writes of a merge: contacts, identities, and sessions by the router; safe to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from libs.common.contact_documents import CONTACT_MERGES, ContactMerge
from libs.common.contact_keys import keyed
from libs.common.documents import (
    AUDIT,
    CONTACTS,
    IDENTITIES,
    SESSIONS,
    AuditEntry,
    Contact,
    Identity,
    Session,
)
from libs.common.errors import NotFoundError, StaleRevisionError
from libs.common.ids import derive_id
from libs.common.merged import present
from libs.common.store.api import Page, Store, Where
from services.desk.merge_records import busy

TRIES = 16
AT_ONCE = 16
"""Sessions that the router is asked for at a time."""
_PAGE = 500
_ROUNDS = 50

Ask = Callable[[Session, str, tuple[str, ...], str], Awaitable[Any]]
"""Asks the router to give a session to a contact: the session, the contact, the former ones, its
name."""


class Moves:
    """Writes for one workspace.

    Args:
        store: Where everything is.
        workspace: Of all of it.
        ask: See `Ask`.
        now: The clock.
    """

    def __init__(self, store: Store, workspace: str, ask: Ask, now: Callable[[], datetime]) -> None:
        self._store = store
        self._workspace = workspace
        self._ask = ask
        self._now = now

    # --- identities and sessions ---------------------------------------------------------------

    async def _move(self, record: ContactMerge) -> ContactMerge:
        """Give the source's identities to the target, or to whom that is part of; then sessions."""
        for _ in range(_ROUNDS):
            page = Page(order="contact", limit=_PAGE)
            where = {"contact": record.source}
            found = await self._store.find(IDENTITIES, self._workspace, where, page)
            if not found:
                break
            fresh = [one.id for one in found if one.id not in record.identities]
            if fresh:
                moved = (*record.identities, *fresh)
                record = await self._set(record, identities=moved)
            now = await present(self._store, await self._contact(record.target))
            for identity in found:
                await self._hand(identity, now.id, (record.source,))
        now = await present(self._store, await self._contact(record.target))
        await self._sessions({"contact": record.source}, "contact", now.id, (record.source,))
        return record

    async def _theirs(self, record: ContactMerge) -> list[Identity]:
        """Return the identities that were moved, and those that became of them since."""
        found = await self._store.get_many(IDENTITIES, self._workspace, list(record.identities))
        asked = list(found.values())
        while asked:
            one = asked.pop()
            following = derive_id("idn", self._workspace, one.account, one.became)
            if not one.became or following in found:
                continue
            now = await self._store.get(IDENTITIES, self._workspace, following)
            if now is not None:
                found[now.id] = now
                asked.append(now)
        return list(found.values())

    async def _hand(self, identity: Identity, contact: str, former: tuple[str, ...]) -> None:
        """Give the identity to *contact* if it is still of one of *former*."""
        found: Identity | None = identity
        for _ in range(TRIES):
            if found is None or found.contact not in former:
                return
            try:
                moved = msgspec.structs.replace(found, contact=contact)
                await self._store.replace(IDENTITIES, moved)
            except StaleRevisionError:
                found = await self._store.get(IDENTITIES, self._workspace, identity.id)
                continue
            return
        raise busy()

    async def _sessions(
        self, where: Where, order: str, contact: str, former: tuple[str, ...]
    ) -> None:
        """Have the router give the sessions to *contact* that are of one of *former*."""
        now = await self._contact(contact)
        page = Page(order=order, limit=_PAGE)
        while True:
            found = await self._store.find(SESSIONS, self._workspace, where, page)
            asked = [one for one in found if one.contact in former]
            for start in range(0, len(asked), AT_ONCE):
                some = asked[start : start + AT_ONCE]
                given_to = (self._ask(one, contact, former, now.name) for one in some)
                await asyncio.gather(*given_to)
            if len(found) < _PAGE:
                return
            last = found[-1]
            lead = (last.account, last.visitor) if order == "visitor" else (former[0],)
            page = msgspec.structs.replace(page, after=(*lead, last.created_at, last.id))

    # --- writing -------------------------------------------------------------------------------

    async def _contact(self, id_: str) -> Contact:
        found = await self._store.get(CONTACTS, self._workspace, id_)
        if found is None:
            raise NotFoundError("There is no such contact.")
        return found

    async def _edit(self, id_: str, edit: Callable[[Contact], Contact]) -> Contact:
        """Write what *edit* makes of the contact, whoever else writes it meanwhile."""
        for _ in range(TRIES):
            before = await self._contact(id_)
            after = keyed(edit(before))
            if after == before:
                return before
            try:
                return await self._store.replace(CONTACTS, after)
            except StaleRevisionError:
                continue
        raise busy()

    async def _set(self, record: ContactMerge, **fields: object) -> ContactMerge:
        """Write the record.

        Raises:
            StaleRevisionError: Somebody finishes the same one.
        """
        changed = msgspec.structs.replace(record, **fields)
        return await self._store.replace(CONTACT_MERGES, changed)

    async def _read(self, id_: str) -> ContactMerge:
        found = await self._store.get(CONTACT_MERGES, self._workspace, id_)
        if found is None:
            raise NotFoundError("There is no such merge.")
        return found

    async def _audit(self, record: ContactMerge, action: str, by: str) -> None:
        """Record who did it, once."""
        undone = action == "contact.unmerge"
        words: Mapping[str, Any] = {
            "from": record.source,
            "into": record.target,
            "given": record.given,
            "identities": record.identities,
        }
        told = msgspec.json.encode(words).decode()
        entry = AuditEntry(
            id=derive_id("aud", self._workspace, record.id, action),
            workspace=self._workspace,
            at=self._now(),
            actor=f"agent:{by}",
            action=action,
            object=f"contact:{record.target}",
            before=told if undone else "",
            after="" if undone else told,
        )
        await self._store.insert_many(AUDIT, [entry])
