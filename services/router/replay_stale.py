"""Sessions that stand at an earlier write than HISTORY tells, as in a store from a backup.

Each write here is guarded by the revision that was read: whoever writes meanwhile is not undone.
"""

from __future__ import annotations

import msgspec

from libs.common.documents import SESSIONS, Session
from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.store.api import Store
from services.router.scratch import superseded


async def bring_on(store: Store, held: Session, wanted: Session, rev: int) -> bool:
    """Write *wanted* over *held*, and raise its revision to *rev*; tell whether it is ended for it.

    Raises:
        StaleRevisionError: Somebody has written it meanwhile, and *wanted* is not stored.
    """
    first = msgspec.structs.replace(wanted, rev=held.rev)
    ended = False
    try:
        now = await store.replace(SESSIONS, first)
    except UniqueConflictError:  # its visitor has another open one by now
        ended = True
        now = await store.replace(SESSIONS, superseded(first))
    await raise_to(store, now, rev)
    return ended


async def raise_to(store: Store, session: Session, rev: int) -> None:
    """Raise the revision, by which ids of facts are made, to one that was told of before.

    Whoever writes meanwhile has the session as it is to be; the rest of the way is not taken then.
    """
    try:
        while session.rev < rev:
            session = await store.replace(SESSIONS, session)
    except StaleRevisionError:
        return
