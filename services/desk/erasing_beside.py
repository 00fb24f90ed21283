"""What is kept beside contacts, sessions and messages: found by ids, and deleted or blanked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from libs.common.alerts import ATTENTION
from libs.common.awaited import AWAITED, WRITTEN, written_id
from libs.common.contact_documents import CONTACT_MERGES, CONTACT_NOTES
from libs.common.documents import ATTACHMENTS, AUDIT, DECISIONS, AuditEntry
from libs.common.erasures import Found
from libs.common.errors import StaleRevisionError
from libs.common.figures import FIGURES, SURVEY_GATES
from libs.common.ids import derive_id
from libs.common.later import RECIPIENTS, SCHEDULED
from libs.common.mails import MAILINGS, SUPPRESSIONS, suppression_id
from libs.common.store.api import Collection, Store
from libs.common.webhooks import DELIVERIES
from services.desk.erasing_find import anonymous_id, encoded, note_ids, pages
from services.desk.erasing_seen import Seen

Held = Callable[[], Awaitable[None]]
"""Keeps the job ours between two pages."""

_BY_CONTACT: tuple[Collection[Any], ...] = (SCHEDULED, RECIPIENTS, CONTACT_NOTES)
_BY_ID: tuple[Collection[Any], ...] = (AWAITED, ATTENTION)
_WALKED: Mapping[str, tuple[Collection[Any], str]] = {
    "merges": (CONTACT_MERGES, "source"),
    "scheduled": (SCHEDULED, "due"),
    "mails": (MAILINGS, "time"),
    "webhooks": (DELIVERIES, "created"),
}
"""Whatever names one of the ids goes; by an index that holds every document."""


async def erase_beside(store: Store, found: Found, held: Held) -> int:
    """Delete what names the person; return how many documents."""
    count = await _by_contact(store, found)
    for session in sorted(found.sessions):
        count += await _of_session(store, found, session)
        await held()
    await _hashes(store, found)
    seen = Seen(found)
    for collection, order in _WALKED.values():
        async for rows in pages(store, collection, found.erasure.workspace, {}, order):
            for doc in rows:
                if seen.names(encoded(doc)):
                    count += await store.delete(collection, doc.workspace, doc.id)
            await held()
    await _alerts(store, found, seen)
    await _blank_records(store, found, seen, held)
    return count


async def _by_contact(store: Store, found: Found) -> int:
    workspace, count = found.erasure.workspace, 0
    for contact in found.erasure.contacts:
        for collection in _BY_CONTACT:
            async for rows in pages(store, collection, workspace, {"contact": contact}, "contact"):
                old = [one for one in rows if _made(one) < found.erasure.before]
                await note_ids(store, found, [one.id for one in old])
                for doc in old:
                    count += await store.delete(collection, workspace, doc.id)
        await store.delete(SURVEY_GATES, workspace, derive_id("srv", workspace, contact))
    return count


def _made(doc: Any) -> Any:
    """Return when *doc* was made: a contact that came back may have new ones."""
    for name in ("created_at", "updated_at", "at"):
        if hasattr(doc, name):
            return getattr(doc, name)
    raise LookupError(type(doc).__name__)


async def _of_session(store: Store, found: Found, session: str) -> int:
    workspace, count = found.erasure.workspace, 0
    async for rows in pages(store, DECISIONS, workspace, {"session": session}, "session"):
        for doc in rows:
            count += await store.delete(DECISIONS, workspace, doc.id)
    for collection in _BY_ID:
        count += await store.delete(collection, workspace, session)
    figures = await store.get(FIGURES, workspace, session)
    if figures is not None:
        survey = figures.survey and msgspec.structs.replace(figures.survey, question="")
        id_ = anonymous_id(found.erasure, session)
        kept = msgspec.structs.replace(figures, id=id_, rev=0, survey=survey)
        await store.insert_many(FIGURES, [kept])  # there already: a repeat
        await store.delete(FIGURES, workspace, session)
    return count


async def _hashes(store: Store, found: Found) -> None:
    """Leave of an address that wants no mail its hash alone, and nothing of what it got."""
    workspace = found.erasure.workspace
    for email in found.erasure.emails:
        await store.delete(WRITTEN, workspace, written_id(email))
        for scope in ("all", "visitor"):
            known = await store.get(SUPPRESSIONS, workspace, suppression_id(email, scope))
            if known is not None and known.shown:
                await _kept(store, SUPPRESSIONS, msgspec.structs.replace(known, shown=""))


async def _alerts(store: Store, found: Found, seen: Seen) -> None:
    """Empty outboxes that tell of them; whoever has such a document goes on without."""
    async for rows in pages(store, ATTENTION, found.erasure.workspace, {}, "updated"):
        for doc in rows:
            if not seen.names(encoded(doc)):
                continue
            if doc.id in found.ids:
                await store.delete(ATTENTION, doc.workspace, doc.id)
            else:
                told = tuple(one for one in doc.outbox if not seen.names(msgspec.json.encode(one)))
                await _kept(store, ATTENTION, msgspec.structs.replace(doc, outbox=told))


async def _blank_records(store: Store, found: Found, seen: Seen, held: Held) -> None:
    """Keep of changes who made them, when, and what was done; no values."""
    async for rows in pages(store, AUDIT, found.erasure.workspace, {}, "at"):
        for doc in rows:
            if _tells(doc, seen):
                await _kept(store, AUDIT, msgspec.structs.replace(doc, before="", after=""))
        await held()


def _of_erasure(entry: AuditEntry) -> bool:
    """Tell whether the entry is that of an erasure itself, which has counts alone."""
    return entry.action.startswith("contact.erase") or '"kind":"contact.erase"' in entry.after


def _tells(entry: AuditEntry, seen: Seen) -> bool:
    if not (entry.before or entry.after) or _of_erasure(entry):
        return False
    return seen.names(encoded(entry))


async def _kept(store: Store, collection: Collection[Any], doc: Any) -> None:
    try:
        await store.replace(collection, doc)
    except StaleRevisionError:
        return  # the second pass finds what its writer made of it


async def erase_uploads(
    store: Store, found: Found, forget: Callable[[str], Awaitable[None]]
) -> int:
    """Delete files that their visitors have uploaded and not sent."""
    owners = {f"visitor:{visitor}" for _, visitor in found.erasure.places}
    count = 0
    async for rows in pages(store, ATTACHMENTS, found.erasure.workspace, {}, "created"):
        for doc in rows:
            if doc.owner in owners or doc.message in found.ids:
                await forget(doc.id)
                count += 1
    return count
