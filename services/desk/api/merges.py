"""Making two contacts one, undoing that, and saying which may be the same person."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from libs.common.contact_documents import CONTACT_MERGES, ContactMerge
from libs.common.documents import CONTACTS, IDENTITIES, Contact, Session
from libs.common.errors import InvalidInputError, NotFoundError
from libs.common.merged import made_of, present
from libs.common.store.api import Page
from services.desk.api.contact_view import ContactRow, Id, row, shown, tags_of
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Reply
from services.desk.api.visible import contact_of, limits_places, places_of
from services.desk.ask import ask, head
from services.desk.audited import REPLAYED, key_conflict, new_id
from services.desk.contact_list import ContactFound, identities_of
from services.desk.merge_records import (
    give_contact,
    kept,
    merged_already,
    newest_of,
    refuse_many,
)
from services.desk.merging import Merger

MOST_DUPLICATES = 50


class MergeBody(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from"}
):
    """Who becomes part of the contact in the path: `from` is the id of the other."""

    source: Id


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """A contact who may be the same person, and by what."""

    contact: ContactRow
    by: tuple[Literal["email", "phone"], ...]


class Duplicates(msgspec.Struct, frozen=True, kw_only=True):
    """Contacts with the same address or number, at most 50; nothing is merged by itself."""

    items: tuple[Duplicate, ...]
    next: str | None = None


class MergeView(msgspec.Struct, frozen=True, kw_only=True):
    """Who became part of the contact: `source`, of which `target`, by whom and when."""

    source: str
    name: str
    target: str
    by: str
    at: datetime


class MergeList(msgspec.Struct, frozen=True, kw_only=True):
    """What can be undone, newest first."""

    items: tuple[MergeView, ...]
    next: str | None = None


async def merge(call: Call) -> Reply:
    """Make the contact `from` part of the one in the path; a repeat goes on where one broke off.

    Raises:
        NotFoundError: No such contact in this workspace.
        InvalidInputError: Both are the same, or there is no contact `from`.
        RefusalError: 409 `merged`, one is part of another; `too_many`; `idempotency_conflict`;
            `changed_meanwhile`; 503, no router answers: repeat it.
    """
    merger = merger_of(call)
    target = await contact_of(call)
    source = await _source(call, target)
    record = ContactMerge(
        id=new_id(call, "mrg"),
        workspace=target.workspace,
        source=source.id,
        target=target.id,
        by=call.who.agent,
        at=call.desk.now(),
    )
    port = call.desk.store.port
    before = await port.get(CONTACT_MERGES, record.workspace, record.id)
    if before is not None and (before.source, before.target) != (source.id, target.id):
        key_conflict()
    known = before is not None
    if before is None:
        for one in (source, target):
            await merger.finish(one)
        if not await _is_part(call, source.id, target.id):
            await _refuse_parts(call, source.id, target.id)
            await refuse_many(port, record.workspace, source.id, target.id)
            before = await kept(port, record)
    if before is not None and (await merger.merge(before)).state == "refused":
        raise merged_already(await call.desk.store.contact(record.workspace, source.id))
    reply = await shown(call, await contact_of(call))
    headers = {**reply.headers, **REPLAYED} if known else reply.headers
    return msgspec.structs.replace(reply, headers=headers)


async def unmerge(call: Call) -> Reply:
    """Let the contact in the path stand for itself again; one that does stays so.

    Raises:
        NotFoundError: No such contact in this workspace.
        RefusalError: 409 `not_merged_here`, a channel said that they are one; see `merge`.
    """
    merger = merger_of(call)
    source = await contact_of(call)
    await merger.finish(source)
    source = await contact_of(call)
    if source.merged_into is not None:
        record = await newest_of(call.desk.store.port, source.workspace, source.id)
        if record is None or record.target != source.merged_into:
            text = "A channel said that they are one person: that cannot be undone here."
            raise RefusalError(409, "not_merged_here", text, into=source.merged_into)
        await _check_seen(call, record)
        await merger.unmerge(record, call.who.agent)
    return await shown(call, await contact_of(call))


async def _check_seen(call: Call, record: ContactMerge) -> None:
    """Refuse to split who, by themselves, would be out of the caller's scope.

    Raises:
        NotFoundError: As for anybody who is.
    """
    if limits_places(call):
        port = call.desk.store.port
        found = await port.get_many(IDENTITIES, record.workspace, record.identities)
        if not call.who.scope.contact(places_of(list(found.values()))):
            raise NotFoundError("There is no such contact.")


async def merges(call: Call) -> Reply:
    """List who became part of the contact, as far as it can be undone.

    Raises:
        NotFoundError: No such contact in this workspace.
    """
    contact = await contact_of(call)
    port, workspace = call.desk.store.port, contact.workspace
    parts = [one for one in await made_of(port, workspace, contact.id) if one != contact.id]
    names = await port.get_many(CONTACTS, workspace, parts) if parts else {}
    records = [await newest_of(port, workspace, one) for one in parts]
    standing = sorted((one for one in records if one), key=lambda one: one.at, reverse=True)
    return Reply(
        body=MergeList(
            items=tuple(
                MergeView(
                    source=one.source,
                    name=names[one.source].name if one.source in names else "",
                    target=one.target,
                    by=one.by,
                    at=one.at,
                )
                for one in standing
            )
        )
    )


async def duplicates(call: Call) -> Reply:
    """List contacts with the same address or number.

    Raises:
        NotFoundError: No such contact in this workspace.
    """
    contact = await contact_of(call)
    port = call.desk.store.port
    by: dict[str, list[Any]] = {}
    found: dict[str, Contact] = {}
    for name in ("email", "phone"):
        key = getattr(contact, f"{name}_key")
        if key is None:
            continue
        page = Page(order=name, limit=MOST_DUPLICATES + 1)
        where = {f"{name}_key": key}
        for one in await port.find(CONTACTS, contact.workspace, where, page):
            if one.id != contact.id:
                found[one.id] = one
                by.setdefault(one.id, []).append(name)
    rows = [found[id_] for id_ in sorted(found)][:MOST_DUPLICATES]
    known = await identities_of(port, contact.workspace, rows)
    scope = call.who.scope
    if limits_places(call):
        rows = [one for one in rows if scope.contact(places_of(known.get(one.id, ())))]
    tags, now = await tags_of(call, rows), call.desk.now()
    items = tuple(
        Duplicate(
            contact=row(ContactFound(one, tuple(known.get(one.id, ()))), tags, now),
            by=tuple(by[one.id]),
        )
        for one in rows
    )
    return Reply(body=Duplicates(items=items))


def merger_of(call: Call) -> Merger:
    """Return what merges contacts of the caller's workspace, and asks the router in their name."""

    async def give(session: Session, contact: str, former: tuple[str, ...], name: str) -> None:
        common = head(call.who, session, call.desk.now())
        await ask(call.desk.bus, session, give_contact(common, contact, former, name))

    return Merger(call.desk.store.port, call.who.workspace, give, call.desk.now)


async def _source(call: Call, target: Contact) -> Contact:
    """Return the contact that is to become part of *target*.

    Raises:
        InvalidInputError: There is none, or it is the same.
    """
    body: MergeBody = call.body
    allowed = "the id of another contact"
    if body.source != target.id:
        try:
            return await contact_of(call, body.source)
        except NotFoundError:
            pass
    raise InvalidInputError(f"from: needed is {allowed}.", field="from", allowed=allowed)


async def _is_part(call: Call, source: str, target: str) -> bool:
    """Tell whether *source* is part of *target* already."""
    found = await call.desk.store.contact(call.who.workspace, source)
    now = await present(call.desk.store.port, found)
    return found.merged_into is not None and now.id == target


async def _refuse_parts(call: Call, *ids: str) -> None:
    """Refuse whoever is part of another contact.

    Raises:
        RefusalError: 409 `merged`.
    """
    for id_ in ids:
        found = await call.desk.store.contact(call.who.workspace, id_)
        if found.merged_into is not None:
            raise merged_already(found)
