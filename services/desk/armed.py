"""Writing what goes out later, with its record and its timer: the timer first, see `armed`."""

from __future__ import annotations

from typing import TypeVar

from libs.common.armed import Change, written
from libs.common.documents import AuditEntry
from libs.common.later import Broadcast, ScheduledMessage
from libs.common.store.api import Collection
from services.desk.api.route import Call
from services.desk.audited import write

L = TypeVar("L", ScheduledMessage, Broadcast)


async def write_armed(
    call: Call, collection: Collection[L], before: L | None, after: L, record: AuditEntry
) -> L:
    """Write *after* in place of *before*, None where it is new, as `write` does.

    Raises:
        BusUnavailableError: Its timer cannot be armed; nothing is written.
        StaleRevisionError: As `write`.
        UniqueConflictError: As `write`.
    """
    return await written(
        call.desk.bus,
        call.desk.store.port,
        Change(collection, before, after),
        lambda: write(call, collection, after, record),
        call.desk.now,
    )
