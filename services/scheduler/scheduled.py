"""A scheduled message is due: claimed, brought to a router, and settled by what that answered.

Each step is a guarded write or a command whose repeat has the effect of one, and the timer is
settled last, so that a crash anywhere repeats from the document. Whoever wrote the document before
it was claimed has won: an acknowledged cancel or change holds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from libs.common import armed
from libs.common.bus.delivery import Ack, Delivery, Outcome
from libs.common.commands import Actor, Done, Refused, SendScheduled
from libs.common.errors import BusUnavailableError, StaleRevisionError, StoreUnavailableError
from libs.common.events import TemplatePart, Timer
from libs.common.later import SCHEDULED, ScheduledMessage
from libs.common.variables import rendered, values_of
from libs.common.wallclock import after_quiet
from services.scheduler import metrics, verdicts
from services.scheduler.asking import ANSWER_S, ask
from services.scheduler.means import Means, by
from services.scheduler.turns import Turns, earlier, left_by_others
from services.scheduler.whereto import Target, contact_of, message_of, target

log = logging.getLogger(__name__)

HELD_FOR = timedelta(days=7)
"""How long what is held waits for the visitor, where nobody said."""
LOOK = timedelta(seconds=5)
"""After so long what is held is looked at first, see `_Firing._waits`."""
PATIENCE = timedelta(minutes=1)
"""How long a router's own fault is repeated before the message fails by it."""
FAULT_AGAIN_S = 3.0
"""How long it waits each time, and leaves its place among those in hand to others."""
ORIGIN = "scheduled:"
_TRIES: Final = 8
_OVER = frozenset({"session_over", "not_found"})
_INTERNAL = 500

Change = Callable[[ScheduledMessage], ScheduledMessage]


class Scheduled:
    """The handler of timers of kind `scheduled`."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._turns = Turns()

    async def fire(self, timer: Timer, _delivery: Delivery) -> Outcome:
        """Act on the timer of a scheduled message.

        Raises:
            BusUnavailableError: No router answers: kept, and repeated until one does.
            StoreUnavailableError: The store is away, or others write all the time: likewise.
        """
        return await _Firing(by(self._means, timer), self._turns).fire(timer)


class _Firing:
    """One that is due, and the clock by which it is."""

    def __init__(self, means: Means, turns: Turns) -> None:
        self._bus, self._store = means.bus, means.store
        self._directory, self._now = means.directory, means.now
        self._turns = turns

    async def fire(self, timer: Timer) -> Outcome:
        """See `Scheduled.fire`."""
        doc = await self._store.get(SCHEDULED, timer.workspace, timer.ref)
        if doc is None:
            metrics.GONE.labels(timer.kind).inc()
        elif doc.state != "pending":
            metrics.SCHEDULED.labels("settled").inc()
        else:
            async with self._turns.of(doc):
                await self._go(doc, first=False)
        return Ack()

    async def _go(self, doc: ScheduledMessage, *, first: bool) -> None:
        """Do what *doc* needs, until nothing is left to do; raises as `Scheduled.fire`."""
        newest: ScheduledMessage | None = doc
        for _ in range(_TRIES):
            if newest is None or newest.state != "pending":
                metrics.SCHEDULED.labels("settled").inc()
                return
            try:
                if await self._act(newest, first=first):
                    return
            except StaleRevisionError:  # somebody changed it: what it says now counts
                pass
            newest = await self._store.get(SCHEDULED, doc.workspace, doc.id)
        raise StoreUnavailableError("a scheduled message changes all the time")

    async def _let_go_before(self, doc: ScheduledMessage, now: datetime) -> None:
        """Let go first what should have gone before *doc*; one that is stuck keeps nothing back.

        Raises:
            BusUnavailableError: No router answers.
            StoreUnavailableError: One of them came to nothing, for a moment only.
        """
        for one in await earlier(self._store, doc, now):
            try:
                left = await left_by_others(self._store, one, now)
                if left is not None:
                    await self._go(left, first=True)
            except StoreUnavailableError:
                if not self._turns.is_stuck(one.id, now):
                    raise
            except BusUnavailableError:
                raise
            except Exception:  # the boundary: its own timer comes to it, and is buried
                log.exception("scheduled.bug", extra={"ref": one.id})
            else:
                self._turns.done(one.id)

    async def _act(self, doc: ScheduledMessage, *, first: bool) -> bool:
        """Do what *doc* needs now; tell whether nothing is left to do.

        Args:
            first: Nothing of the contact's goes before it.

        Raises:
            StaleRevisionError: It was changed meanwhile, before it was claimed.
        """
        now = self._now()
        if not doc.held and now < _due(doc):
            await armed.arm_again(self._bus, self._store, SCHEDULED, doc)
            metrics.SCHEDULED.labels("early").inc()
            return True
        if await self._waits(doc, now):
            return True
        quiet_until = after_quiet(now, doc.zone, doc.quiet_hours)
        if quiet_until > now:
            await self._move_on(doc, quiet_until)
            return True
        if not first:
            await self._let_go_before(doc, now)
        again = doc.claimed_at is not None  # an earlier try may have sent it
        claim = msgspec.structs.replace(doc, claimed_at=now)
        doc = await self._store.replace(SCHEDULED, claim)
        return (again and await self._made(doc)) or await self._send(doc)

    async def _move_on(self, doc: ScheduledMessage, until: datetime) -> None:
        """Put it off until the quiet hours are over; once claimed it stays claimed."""
        moved = verdicts.moved_on(doc, until)
        if moved != doc:
            doc = await self._store.replace(SCHEDULED, moved)
        if doc.held:
            await self._arm_held(doc, _due(doc))
        else:
            await armed.arm_again(self._bus, self._store, SCHEDULED, doc)
        metrics.SCHEDULED.labels("quiet").inc()

    async def _made(self, doc: ScheduledMessage) -> bool:
        """Settle what an earlier try has sent already, wherever that was."""
        whose = (doc.workspace, doc.account, doc.visitor, doc.id)
        message = await message_of(self._store, *whose)
        if message is None:
            return False
        await self._settle(doc, lambda each: verdicts.sent(each, message, self._now()))
        return True

    async def _send(self, doc: ScheduledMessage) -> bool:
        """Bring it to a router; tell whether it is settled, or rests until its next time."""
        where = await target(self._store, doc.workspace, doc.account, doc.visitor, doc.id)
        if verdicts.is_elsewhere(doc, where.id):
            await self._settle(doc, lambda each: verdicts.moved(each, self._now()))
            return True
        answer = await ask(self._bus, await self._command(doc, where))
        if isinstance(answer, Refused):
            return await self._refused(doc, answer)
        return await self._done(doc, answer)

    async def _command(self, doc: ScheduledMessage, where: Target) -> SendScheduled:
        contact = await contact_of(self._store, doc.workspace, where.contact or doc.contact)
        account = self._directory.known(doc.account)
        name = account.name if account is not None else ""
        values = values_of(contact, doc.author_name, name, doc.channel)
        template = doc.template if doc.when_closed == "template" else None
        if template is not None:
            filled = rendered((template,), values)[0]
            template = filled if isinstance(filled, TemplatePart) else template
        now = self._now()
        return SendScheduled(
            workspace=doc.workspace,
            session=where.id,
            actor=Actor(kind="schedule", id=doc.id, name=doc.author_name),
            key=doc.id,
            deadline=now + timedelta(seconds=ANSWER_S),
            parts=rendered(doc.parts, values),
            origin=f"{ORIGIN}{doc.id}",
            account=doc.account,
            channel=doc.channel,
            visitor=where.visitor,
            contact=where.contact or doc.contact,
            since=doc.created_at if doc.only_if_no_reply else None,
            epoch=doc.epoch if doc.unless_moved else None,
            template=template,
            hold=doc.when_closed == "hold" and now < _hold_until(doc, now),
            over=where.over,
        )

    async def _done(self, doc: ScheduledMessage, answer: Done) -> bool:
        now = self._now()
        message = answer.message
        if message is not None:
            await self._settle(doc, lambda each: verdicts.sent(each, message, now))
            return True
        until = _hold_until(doc, now)
        claim = doc.claimed_at
        held = await self._settle(doc, lambda each: verdicts.held(each, claim, until))
        return not held.held or await self._arm_held(held, min(now + LOOK, _due(held)))

    async def _waits(self, doc: ScheduledMessage, now: datetime) -> bool:
        """Tell whether it goes on waiting for the visitor, who has not written yet.

        The visitor's next session takes over what their last one holds. Where a router had read the
        last one just before this was held there, nobody has told us: the new session does not know
        of it, and the old one is over. So it is looked at again, soon and then each time after as
        long as it has waited: however long that router took between reading and writing, or if it
        died there, the new session is found after at most that time once more. Routers need no look
        of their own for this, and some twenty looks are all in a week.
        """
        if not doc.held or doc.claimed_at is not None or now >= _hold_until(doc, now):
            return False
        if not await self._is_held(doc):
            return False
        return await self._arm_held(doc, min(now + max(LOOK, now - doc.due_at), _due(doc)))

    async def _arm_held(self, doc: ScheduledMessage, due: datetime) -> bool:
        """Arm its next look, or the end of the waiting, for *due*; tell whether it still waits.

        The router arms it as soon as the visitor writes, and this may have taken that one's place.
        So it is looked at afterwards whether the session still holds it.
        """
        timer = armed.timer_of(SCHEDULED, doc, 0)
        if timer is not None:
            await armed.publish(self._bus, msgspec.structs.replace(timer, due=due))
        return await self._is_held(doc)

    async def _is_held(self, doc: ScheduledMessage) -> bool:
        """Tell whether the session in which the visitor would write to us holds it."""
        where = await target(self._store, doc.workspace, doc.account, doc.visitor, doc.id)
        return where.session is not None and doc.id in where.session.held

    async def _refused(self, doc: ScheduledMessage, answer: Refused) -> bool:
        """Settle by a refusal; False: where it goes has to be looked up again."""
        now = self._now()
        if answer.code in _OVER:
            return False
        if answer.status >= _INTERNAL and now < (doc.faulty_since or now) + PATIENCE:
            await self._wait(doc, now)
            return True
        if await self._made(doc):
            return True
        await self._settle(doc, lambda each: verdicts.refused(each, answer, now))
        return True

    async def _wait(self, doc: ScheduledMessage, now: datetime) -> None:
        """Have it come again a little later, though it is claimed: it may have gone out."""
        if doc.faulty_since is None:
            doc = await self._settle(doc, lambda each: verdicts.faulty(each, now))
        again = armed.timer_of(SCHEDULED, doc, 0)
        if again is not None:
            due = now + timedelta(seconds=FAULT_AGAIN_S)
            await armed.publish(self._bus, msgspec.structs.replace(again, due=due))
        metrics.SCHEDULED.labels("fault").inc()

    async def _settle(self, doc: ScheduledMessage, change: Change) -> ScheduledMessage:
        """Write what became of it; of those who write beside us, none loses what it wrote."""
        for _ in range(_TRIES):
            changed = change(doc)
            if changed == doc:
                return doc
            try:
                written = await self._store.replace(SCHEDULED, changed)
            except StaleRevisionError:
                newest = await self._store.get(SCHEDULED, doc.workspace, doc.id)
                if newest is None:
                    return doc
                doc = newest
                continue
            metrics.settled(doc, written, self._now())
            return written
        raise StoreUnavailableError("a scheduled message changes all the time")


def _due(doc: ScheduledMessage) -> datetime:
    return doc.fires_at or doc.due_at


def _hold_until(doc: ScheduledMessage, now: datetime) -> datetime:
    return doc.hold_until or now + HELD_FOR
