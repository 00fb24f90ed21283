"""Sessions by the names that their contacts have now.

A session keeps the name that its visitor told; an agent may have given the contact another since.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from libs.common.documents import CONTACTS, Session
from libs.common.store.api import Store


async def named(port: Store, workspace: str, sessions: Sequence[Session]) -> list[Session]:
    """Return *sessions* of *workspace* in their order, named as their contacts are.

    Raises:
        StoreUnavailableError: The store is away.
    """
    ids = sorted({session.contact for session in sessions if session.contact})
    found = await port.get_many(CONTACTS, workspace, ids) if ids else {}
    return [
        replace(session, contact_name=found[session.contact].name)
        if session.contact in found and found[session.contact].name
        else session
        for session in sessions
    ]
