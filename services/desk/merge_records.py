"""Records of merges in the store, and what is refused about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.common.commands import GiveContact
from libs.common.contact_documents import CONTACT_MERGES, ContactMerge
from libs.common.documents import Contact
from libs.common.errors import UniqueConflictError
from libs.common.merged import MOST, made_of
from libs.common.store.api import Page, Store
from services.desk.api.problem import RefusalError

MERGED = "merged"
STANDING = ("planned", "merged", "unmerging")
"""States of a record by which its source is part of its target."""
_PAGE = 500


async def newest_of(store: Store, workspace: str, source: str) -> ContactMerge | None:
    """Return the newest record by which *source* is part of another contact, or None."""
    page = Page(order="source", descending=True, limit=_PAGE)
    found = await store.find(CONTACT_MERGES, workspace, {"source": source}, page)
    return next((one for one in found if one.state in STANDING), None)


async def kept(store: Store, record: ContactMerge) -> ContactMerge:
    """Store a new record, or return the one that a repeat finds."""
    try:
        return await store.insert(CONTACT_MERGES, record)
    except UniqueConflictError:
        return await store.get(CONTACT_MERGES, record.workspace, record.id) or record


async def refuse_many(store: Store, workspace: str, source: str, target: str) -> None:
    """Refuse to make one of more contacts than can be read at once.

    Raises:
        RefusalError: 409 `too_many`.
    """
    sizes = [len(await made_of(store, workspace, one)) for one in (source, target)]
    if sum(sizes) > MOST:
        allowed = f"at most {MOST} contacts in one"
        raise RefusalError(409, "too_many", f"from: {allowed}.", field="from", allowed=allowed)


def merged_already(contact: Contact) -> RefusalError:
    """Return the refusal of who is part of another contact."""
    text = "One of the contacts was merged into another one; merge that one."
    return RefusalError(409, MERGED, text, contact=contact.id, into=contact.merged_into or "")


def busy() -> RefusalError:
    """Return the refusal where others write the same all the time."""
    text = "Others make changes right now; repeat it, and what was begun goes on."
    return RefusalError(409, "changed_meanwhile", text)


def give_contact(head: Mapping[str, Any], contact: str, former: tuple[str, ...], name: str) -> Any:
    """Return the command that gives a session to *contact*."""
    return GiveContact(**head, contact=contact, former=former, name=name)
