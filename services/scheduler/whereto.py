"""Where a scheduled message goes: the visitor's open session, the newest, or a new ended one.

The visitor may be another by now: a channel gave them a new id, or people merged the contact.
"""

from __future__ import annotations

from typing import NamedTuple

from libs.common.documents import (
    CONTACTS,
    IDENTITIES,
    MESSAGES,
    Contact,
    Message,
    Session,
)
from libs.common.ids import derive_id
from libs.common.store.api import Store
from libs.common.timeline import COMMAND_KEY
from libs.common.visitor_sessions import current_session, newest_sessions

_RENAMES = 5
"""Ids in a row that a channel may have given a visitor since."""
_NEWEST = 5


class Target(NamedTuple):
    """Where it goes. `session` is None where the visitor never had one: `id` is derived then."""

    id: str
    session: Session | None
    visitor: str
    contact: str

    @property
    def over(self) -> bool:
        """Whether it is known to be no open session."""
        return self.session is None or self.session.list == "ended"


async def target(store: Store, workspace: str, account: str, visitor: str, ref: str) -> Target:
    """Return where what *ref* names goes.

    Raises:
        StoreUnavailableError: The store is away.
    """
    contact, ids = "", [visitor]
    for _ in range(_RENAMES):
        identity = await store.get(
            IDENTITIES, workspace, derive_id("idn", workspace, account, ids[-1])
        )
        contact = identity.contact if identity is not None else contact
        if identity is None or not identity.became:
            break
        ids.append(identity.became)
    newest = [await current_session(store, workspace, account, one) for one in reversed(ids)]
    found = next((session for session in newest if session is not None), None)
    if found is not None:
        return Target(found.id, found, found.visitor, found.contact or contact)
    made = derive_id("ses", workspace, account, ids[-1], ref)
    return Target(made, None, ids[-1], contact)


async def contact_of(store: Store, workspace: str, contact: str) -> Contact | None:
    """Return the contact; None where it is gone."""
    return await store.get(CONTACTS, workspace, contact) if contact else None


async def message_of(
    store: Store, workspace: str, account: str, visitor: str, ref: str
) -> Message | None:
    """Return the message that was made already of what *ref* names, in whichever session.

    A session may have it and not have said so yet; what it has said is stored under the key.
    """
    made = derive_id("msg", workspace, "", f"{COMMAND_KEY}schedule:{ref}:{ref}")
    for session in await newest_sessions(store, workspace, account, visitor, _NEWEST):
        for entry in session.writes:
            if entry.id == made:
                return entry
    return await store.get(MESSAGES, workspace, made)
