"""Erasing a contact, as a job: in steps that are safe to repeat, after a crash at any of them.

What leads to the person is written down first (`erasing_find`), and tombstones keep out what is
late (`libs.common.erased`). Then the conversation itself goes, what is kept beside it, and what
lies in the streams; all of that twice, since other processes may have been writing of it.
"""

from __future__ import annotations

import asyncio

import msgspec

from libs.common.documents import ATTACHMENTS, CONTACTS, IDENTITIES, MESSAGES, SENDS, SESSIONS
from libs.common.erased import bury, erasure_keys
from libs.common.erasures import ERASED_IDS, ERASURES, Found
from libs.common.errors import RetryableError
from libs.common.ids import derive_id
from libs.common.jobs import JOBS, REFUSED_ROWS, Counts, Job
from libs.common.store.api import Page, Range
from libs.common.subjects import (
    ALERTS,
    DEAD,
    EVENTS,
    HISTORY,
    INBOUND,
    OUTBOUND,
    TIMERS,
    VISITORS,
    WEBHOOKS,
    Stream,
)
from services.desk import metrics
from services.desk.erasing_beside import erase_beside, erase_uploads
from services.desk.erasing_find import (
    begun,
    blanked,
    known,
    messages_of,
    note_messages,
    note_sessions,
    pages,
    sessions_of,
)
from services.desk.erasing_seen import Seen
from services.desk.jobs import Work

STREAMS: tuple[Stream, ...] = (
    INBOUND, WEBHOOKS, EVENTS, OUTBOUND, VISITORS, TIMERS, ALERTS, HISTORY, DEAD,
)  # fmt: skip
"""What names the webhooks comes before the webhooks themselves."""
SETTLE_S = 0.5
"""For tombstones to be known everywhere, and for what is being written to be written."""
OUTBOX_WAIT_S = 10.0
"""So long a router has to empty an outbox; what it has not said by then is never said."""
FILES_WAIT_S = 60.0
_FILES = ("contacts.export", "contacts.import")


class EraseOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to erase: the id of the contact, in whom all who were merged with them are."""

    contact: str


async def run(work: Work) -> None:
    """Erase the contact; a repeat goes on with what is left."""
    order = work.order(EraseOrder)
    try:
        await _erase(work, order.contact)
    except Exception:
        metrics.ERASURES.labels("failed").inc()
        raise
    metrics.ERASURES.labels("done").inc()


async def _erase(work: Work, contact: str) -> None:
    store = work.desk.store.port
    asked, now = work.job.created_at, work.desk.now()
    found = await begun(store, work.workspace, contact, asked=asked, now=now)
    if found is None:  # it was erased by another job, or this one ended its work
        await store.scrub()
        return
    count = work.job.counts.done
    await _bury(work, found)
    await asyncio.sleep(SETTLE_S)
    await _detach(work, found)
    for _ in range(2):
        count += await _said(work, found)
        await _bury(work, found)
        count += await erase_beside(store, found, work.hold)
        count += await erase_uploads(store, found, lambda one: _forget_file(work, one))
        await _files_of_jobs(work)
        seen = Seen(found)
        for stream in STREAMS:
            count += await work.desk.bus.erase(stream, seen.is_theirs)
            await work.report(Counts(done=count))
        await asyncio.sleep(SETTLE_S)
    after = {"documents": count, "sessions": len(found.sessions)}
    await work.audit("contact.erased", f"contact:{contact}", after=after)
    await _forget_erasure(work, found)
    await store.scrub()


async def _bury(work: Work, found: Found) -> None:
    """Write the tombstones: what comes late is dropped from now on."""
    keys, erasure = erasure_keys(work.desk.settings.secret_key), found.erasure
    for place in erasure.places:
        events = [key for account, visitor, key in found.recent if (account, visitor) == place]
        await bury(work.desk.bus, keys, work.workspace, place, erasure.before, events)


async def _detach(work: Work, found: Found) -> None:
    """Take the sessions out of use, then the person: whoever writes from now on is new.

    A session that was opened for the person in between has nobody then, and goes as well.
    """
    await _blank_sessions(work, found)
    await _delete_person(work, found)
    await _blank_sessions(work, found)


async def _blank_sessions(work: Work, found: Found) -> None:
    store = work.desk.store.port
    end = asyncio.get_running_loop().time() + OUTBOX_WAIT_S
    while sessions := [one for one in await sessions_of(store, found) if one.contact]:
        late = asyncio.get_running_loop().time() > end
        for session in sessions:
            if session.outbox_since is None or late:
                await note_sessions(store, found, [session])
                await blanked(store, session)
        await work.hold()
        await asyncio.sleep(0.05)


async def _delete_person(work: Work, found: Found) -> None:
    store, erasure = work.desk.store.port, found.erasure
    for whose in erasure.contacts:
        async for rows in pages(store, IDENTITIES, work.workspace, {"contact": whose}, "contact"):
            for one in rows:
                if one.first_seen_at < erasure.before:
                    await store.delete(IDENTITIES, work.workspace, one.id)
        person = await store.get(CONTACTS, work.workspace, whose)
        if person is not None and person.first_seen_at < erasure.before:
            await store.delete(CONTACTS, work.workspace, whose)


async def _said(work: Work, found: Found) -> int:
    """Delete messages with their files, and then the sessions; return how many."""
    store, count = work.desk.store.port, 0
    async for rows in messages_of(store, found):
        await note_messages(store, found, rows)
        for one in rows:
            async for files in pages(
                store, ATTACHMENTS, work.workspace, {"message": one.id}, "message"
            ):
                for each in files:
                    await _forget_file(work, each.id)
            await store.delete(SENDS, work.workspace, one.id)
            count += await store.delete(MESSAGES, work.workspace, one.id)
        await work.hold()
    for session in sorted(found.sessions):
        count += await store.delete(SESSIONS, work.workspace, session)
    return count


async def _forget_file(work: Work, file_id: str) -> None:
    """Delete the bytes, then the document that leads to them."""
    await work.desk.attachments.files.delete(work.workspace, file_id)
    await work.desk.store.port.delete(ATTACHMENTS, work.workspace, file_id)


async def _files_of_jobs(work: Work) -> None:
    """Delete every file of contacts that was given or made: any may have the person in it.

    One that is being made may as well; it is waited for.
    """
    store = work.desk.store.port
    end = asyncio.get_running_loop().time() + FILES_WAIT_S
    while await _is_busy_with_files(work):
        if asyncio.get_running_loop().time() > end:  # gives its place to whom it waits for
            raise RetryableError("a file of contacts is being read or made")
        await work.hold()
        await asyncio.sleep(0.2)
    async for rows in pages(store, JOBS, work.workspace, {}, "created"):
        for job in rows:
            if job.kind in _FILES and job.waiting_since is None:
                await _strip(work, job)


async def _is_busy_with_files(work: Work) -> bool:
    page = Page(order="open", limit=100)
    found = await work.desk.store.port.find(JOBS, work.workspace, {"waiting_since": Range()}, page)
    now = work.desk.now()
    running = {one.kind for one in found if one.lease_until is not None and one.lease_until > now}
    return "contacts.export" in running or any(one.kind == "contacts.import" for one in found)


async def _strip(work: Work, job: Job) -> None:
    store = work.desk.store.port
    for file_id in {job.source, job.result, derive_id("fil", job.id, "result")} - {""}:
        await work.desk.attachments.files.delete(work.workspace, file_id)
    async for rows in pages(store, REFUSED_ROWS, work.workspace, {"job": job.id}, "job"):
        for one in rows:
            await store.delete(REFUSED_ROWS, work.workspace, one.id)
    bare = {"source": "", "result": "", "errors": "", "columns": ()}
    if any(getattr(job, name) for name in bare):
        await store.replace(JOBS, msgspec.structs.replace(job, **bare))


async def _forget_erasure(work: Work, found: Found) -> None:
    """Delete what was written down, the ids first: who resumes needs the head to see them."""
    store, erasure = work.desk.store.port, found.erasure
    again = await known(store, work.workspace, erasure.contact)
    if again is None:
        return
    where = {"erasure": erasure.id}
    async for rows in pages(store, ERASED_IDS, work.workspace, where, "erasure"):
        for one in rows:
            await store.delete(ERASED_IDS, work.workspace, one.id)
    await store.delete(ERASURES, work.workspace, erasure.id)
