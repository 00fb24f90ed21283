"""Erasing a contact for good: asked for twice, and then done by a job."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.contact_documents import CONTACT_NOTES
from libs.common.documents import CONTACTS, MESSAGES, SESSIONS, Contact
from libs.common.erasures import ERASURES, erasure_id
from libs.common.errors import NotFoundError
from libs.common.merged import made_of, present
from libs.common.store.api import Page
from services.desk.api.act import confirmation_required, is_confirmed
from services.desk.api.jobs import view
from services.desk.api.merges import merger_of
from services.desk.api.route import Call, Reply
from services.desk.audited import digest_of
from services.desk.erasing import EraseOrder
from services.desk.jobs import start

_SHOWN = 1_000


class EraseBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`confirm` repeats the token of a refused call."""

    confirm: Annotated[str, Meta(max_length=1000)] = ""


async def erase(call: Call) -> Reply:
    """Begin to erase the contact, with all that was ever said with them; nobody can undo it.

    Raises:
        NotFoundError: No such contact in this workspace.
        RefusalError: 409 `confirmation_required` with `token`, `expires_at` and `summary`, what
            will go; 429 `too_many` jobs wait; see `merge` for a merge that is under way.
    """
    contact = await _whole(call)
    wanted = contact.id if contact is not None else call.params["id"]
    context = f"erase:{call.who.workspace}/{wanted}:{call.who.agent}"
    if not is_confirmed(call, call.body.confirm, context):
        refusal = confirmation_required(call, context, await _summary(call, contact))
        refusal.detail = (
            "Repeat the call with `confirm` set to this token to erase the contact for good."
        )
        raise refusal
    order = EraseOrder(contact=wanted)
    job = await start(call, "contact.erase", order, digest=digest_of("erase", wanted))
    return Reply(body=view(job), status=202, headers={"Location": f"/api/v1/jobs/{job.id}"})


async def _whole(call: Call) -> Contact | None:
    """Return the person in whom the contact is by now; None: they are half erased already."""
    port, workspace = call.desk.store.port, call.who.workspace
    found = await port.get(CONTACTS, workspace, call.params["id"])
    if found is not None and found.merging:
        await merger_of(call).finish(found)
        found = await port.get(CONTACTS, workspace, found.id)
    if found is not None:
        return await present(port, found)
    if await port.get(ERASURES, workspace, erasure_id(workspace, call.params["id"])) is None:
        raise NotFoundError("There is no such contact.")
    return None


async def _summary(call: Call, contact: Contact | None) -> str:
    """Say what will go, counted up to a thousand of each kind."""
    if contact is None:
        return "Erase what is left of a contact whose erasure was begun?"
    port, workspace = call.desk.store.port, call.who.workspace
    contacts = await made_of(port, workspace, contact.id)
    sessions = notes = messages = 0
    for whose in contacts:
        page = Page(order="contact", limit=_SHOWN)
        for session in await port.find(SESSIONS, workspace, {"contact": whose}, page):
            sessions += 1
            if messages < _SHOWN:
                where = {"session": session.id}
                messages += await port.count(MESSAGES, workspace, where, limit=_SHOWN)
        notes += await port.count(CONTACT_NOTES, workspace, {"contact": whose}, limit=_SHOWN)
    said = f"{messages} entries" if messages < _SHOWN else f"{_SHOWN} entries or more"
    return (
        f"Erase {contact.name or 'this contact'} for good? With them go {sessions} sessions with "
        f"{said}, all files, {notes} notes, {len(contacts) - 1} contacts that were merged into "
        "them, and every file of imports and exports of contacts in this workspace."
    )
