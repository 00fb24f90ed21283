"""Which of two contacts stays when they turn out to be one person: the older one."""

from __future__ import annotations

import msgspec

from libs.common.contact_keys import keyed
from libs.common.documents import CONTACTS, Contact
from libs.common.merged import present
from libs.common.store.api import Store


async def older(store: Store, workspace: str, one: str, other: str) -> tuple[str, str]:
    """Return which contact holds and which is given up; the latter empty when they are one.

    Whom people merged into another counts as that one.
    """
    if one == other:
        return one, ""
    found = await store.get_many(CONTACTS, workspace, [one, other])
    now = {id_: await present(store, contact) for id_, contact in found.items()}
    order = sorted(
        {contact.id: contact for contact in now.values()}.values(),
        key=lambda contact: (contact.first_seen_at, contact.id),
    )
    if len(order) == 2:  # noqa: PLR2004 (both)
        await _complete(store, order[0], order[1])
        return order[0].id, order[1].id
    if not order:
        return one, other
    holds = order[0].id
    return holds, next(id_ for id_ in (other, one) if id_ != holds)


async def _complete(store: Store, holds: Contact, former: Contact) -> None:
    """Fill what the contact that holds does not know from the other, and unite what people set.

    The former is marked last: until then a repeat finds everything as it was.
    """
    told = former if former.email_by and not holds.email_by else holds
    facts = ("name", "phone", "language", "zone", "gender", "birthday")
    lacks = [name for name in facts if not getattr(holds, name)]
    after = msgspec.structs.replace(
        holds,
        email_by=told.email_by,
        tags=tuple(dict.fromkeys((*holds.tags, *former.tags))),
        fields={**former.fields, **holds.fields},
        set_by={k: v for k, v in former.set_by.items() if k in lacks} | holds.set_by,
        **{name: getattr(former, name) for name in lacks},
        email=told.email or holds.email or former.email,
    )
    if after != holds:
        await store.replace(CONTACTS, keyed(after))
    gone = msgspec.structs.replace(former, merged_into=holds.id, tags=())
    await store.replace(CONTACTS, keyed(gone))
