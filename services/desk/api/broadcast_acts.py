"""Starting, pausing, resuming, cancelling and copying broadcasts: each safe to be repeated.

Who is answered has won: the scheduler takes the broadcast's revision before each slice, so after a
pause or a cancellation nothing goes out but what is under way, at most a second's worth.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from libs.common import broadcasts as course
from libs.common.errors import UniqueConflictError
from libs.common.later import BROADCASTS, Broadcast
from services.desk.api.broadcast_body import CopyBody
from services.desk.api.broadcast_make import checked
from services.desk.api.broadcast_shown import recorded, shown
from services.desk.api.broadcasts import about, one, wrong_state
from services.desk.api.route import Call, Reply
from services.desk.armed import write_armed
from services.desk.audited import digest_of, entry, key_conflict, new_id, retried, write

Turn = Callable[[Broadcast, datetime], Broadcast | None]

LONGEST_NAME = 200


async def start(call: Call) -> Reply:
    """Start a draft: at once, or at its time; what is on its way stays so.

    Raises:
        NotFoundError: No such broadcast in this workspace.
        InvalidInputError: Something in it is not right any more, such as its time.
        RefusalError: 409 `wrong_state`.
    """

    async def check(before: Broadcast) -> None:
        if before.state == "draft":
            await checked(call, before)

    return await _act(call, "start", course.started, ("draft",), check)


async def pause(call: Call) -> Reply:
    """Let it rest; `under_way` tells how many go out still.

    Raises:
        NotFoundError: No such broadcast in this workspace.
        RefusalError: 409 `wrong_state`.
    """
    return await _act(call, "pause", course.paused, ("scheduled", "running"))


async def resume(call: Call) -> Reply:
    """Let it go on where it was; what has come due meanwhile goes out now.

    Raises:
        NotFoundError: No such broadcast in this workspace.
        RefusalError: 409 `wrong_state`.
    """
    return await _act(call, "resume", course.resumed, ("paused",))


async def cancel(call: Call) -> Reply:
    """End it: who was not written to will not be; `under_way` tells how many go out still.

    Raises:
        NotFoundError: No such broadcast in this workspace.
        RefusalError: 409 `wrong_state`.
    """
    allowed = ("draft", "scheduled", "running", "paused")
    return await _act(call, "cancel", course.cancelled, allowed)


async def copy(call: Call) -> Reply:
    """Make a draft of the same content and audience; with an `Idempotency-Key` only one.

    Raises:
        NotFoundError: No such broadcast in this workspace.
        RefusalError: 409 `idempotency_conflict`.
    """
    body: CopyBody = call.body
    before = await one(call)
    name = body.name.strip() or f"{before.name[: LONGEST_NAME - 7]} (copy)"
    id_, now = new_id(call, "brd"), call.desk.now()
    made = course.copied(before, id_, name, call.who.agent, now)
    made.author_name, made.digest = call.who.name, digest_of(before.id, body)
    record = entry(call, "broadcast.copy", about(made), None, recorded(made))
    try:
        return await shown(call, await write(call, BROADCASTS, made, record), status=201)
    except UniqueConflictError:
        known = await call.desk.store.port.get(BROADCASTS, call.who.workspace, id_)
    if known is None or known.digest != made.digest:
        key_conflict()
    return await shown(call, known, headers={"Idempotent-Replayed": "true"})


async def _nothing(_before: Broadcast) -> None:
    """Look at nothing before."""


async def _act(
    call: Call,
    word: str,
    turn: Turn,
    allowed: tuple[str, ...],
    check: Callable[[Broadcast], Awaitable[None]] = _nothing,
) -> Reply:
    async def step(before: Broadcast) -> Broadcast:
        await check(before)
        after = turn(before, call.desk.now())
        if after is None:
            raise wrong_state(before, allowed)
        if after is before:
            return before
        record = entry(call, f"broadcast.{word}", about(before), recorded(before), recorded(after))
        return await write_armed(call, BROADCASTS, before, after, record)

    return await shown(call, await retried(call, lambda: one(call), step))
