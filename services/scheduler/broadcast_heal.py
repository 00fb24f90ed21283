"""Recipients that stand as being sent to, and of whom an answer or a fact may have been lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from libs.common.later import RECIPIENTS, Broadcast, Recipient, RecipientState
from services.scheduler import broadcasts_metrics as metrics
from services.scheduler.broadcast_plan import in_state
from services.scheduler.broadcast_send import claim, send
from services.scheduler.means import Means
from services.scheduler.outcomes_state import Told, moved, stored_status
from services.scheduler.whereto import message_of

ASK_AGAIN_S = 10.0
"""After so long without the router's answer it is asked for once more."""
LOOK_S = 30.0
"""After so long without an outcome the stored message is looked at."""
_MOST = 500


async def heal(means: Means, broadcast: Broadcast) -> bool:
    """Look after those under way; tell whether any is still.

    Raises:
        StoreUnavailableError: The store is away.
    """
    rows = await in_state(means.store, broadcast, "sending", _MOST)
    now = means.now()
    unasked = [row for row in rows if not row.message and _is_older(row, now, ASK_AGAIN_S)]
    unheard = [row for row in rows if row.message and _is_older(row, now, LOOK_S)]
    if unasked:
        await _go_on(means, broadcast, unasked)
    if unheard:
        await _look(means, unheard)
    return bool(rows) and bool(await in_state(means.store, broadcast, "sending", 1))


async def _go_on(means: Means, broadcast: Broadcast, rows: Sequence[Recipient]) -> None:
    """Note the messages that were made; where none was, ask again, or take the claim back.

    The command's deadline has passed long since, so that none is made any more. Of a broadcast
    that was paused or cancelled meanwhile nothing more is asked for.
    """
    left = [row for row in rows if not await _is_made(means, row)]
    if broadcast.state == "running":
        metrics.ASKED_AGAIN.inc(len(left))
        await send(means, broadcast, await claim(means.store, left, means))
        return
    back: RecipientState = "cancelled" if broadcast.state == "cancelled" else "pending"
    now = means.now()
    taken = [msgspec.structs.replace(row, state=back, updated_at=now) for row in left]
    await means.store.replace_many(RECIPIENTS, taken)


async def _is_made(means: Means, row: Recipient) -> bool:
    """Tell whether the message of *row* was made, and note it then."""
    whose = (row.workspace, row.account, row.visitor, row.id)
    message = await message_of(means.store, *whose)
    if message is None:
        return False
    now = means.now()
    known = msgspec.structs.replace(
        row, message=message.id, session=message.session, updated_at=now
    )
    await means.store.replace_many(RECIPIENTS, [known])
    return True


async def _look(means: Means, rows: Sequence[Recipient]) -> None:
    """Move those whose stored messages say how far they got; the others are looked at later."""
    now = means.now()
    found = []
    for row in rows:
        standing = await stored_status(means.store, row.workspace, row.message)
        told = Told(
            message=row.message,
            session=row.session,
            status=standing.status,
            reason=standing.reason,
        )
        after = moved(row, told, now)
        if after.state != row.state:
            metrics.RECIPIENTS.labels(after.state).inc()
        found.append(msgspec.structs.replace(after, updated_at=now))
    await means.store.replace_many(RECIPIENTS, found)


def _is_older(row: Recipient, now: datetime, seconds: float) -> bool:
    return row.updated_at + timedelta(seconds=seconds) <= now
