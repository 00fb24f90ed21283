"""Follow a stream behind those who settle it, and count what became of every message.

Every replica of a service has a `Trail`. They need not know of each other: a page of messages is
counted by whoever writes the sums first, by compare-and-set, and whoever sees the sums move by
another hand rests. All tell the same sums.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import StoredMessage
from libs.common.bus.settled import Reach, message_from, reach_of, settled_up_to
from libs.common.documents import SYSTEM
from libs.common.errors import GatewayError, StaleRevisionError, UniqueConflictError
from libs.common.ledger.page import (
    LEDGERS,
    MOST_MISSING,
    Judged,
    Ledger,
    Missed,
    counted,
    found,
    placed,
)
from libs.common.store.api import Store
from libs.common.subjects import Stream

log = logging.getLogger(__name__)

PAGE = 200
"""Messages that are looked at and counted at once."""
PAUSE_S = 2.0
"""Between two looks while there is nothing more to count."""
SHARE = 4
"""While behind, it rests so many times as long as a page took: at most a fifth of one core."""
GRACE = timedelta(seconds=1)
"""What the stream took just now is left alone: a consumer may not have been told of it yet."""
CONFIRM_S = 5.0
"""What is nowhere is looked for again for so long before it is called missing."""
YIELD_S = 3 * PAUSE_S
LOOK_AGAIN = 100
"""Missing messages that are looked for again at each look."""
WAIT_S = 1.0


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A settled message to be judged; `data` None: it is not in the stream any more."""

    sequence: int
    subject: str
    stored_at: datetime
    data: bytes | None = None
    channel: str = ""
    workspace: str = ""
    account: str = ""
    event: str = ""
    kind: str = ""


class Judge(Protocol):
    """Knows what became of messages."""

    def read(self, message: StoredMessage) -> Item:
        """Return what is to be judged."""
        ...

    async def judge(self, items: Sequence[Item]) -> list[str]:
        """Return the outcome of each, in their order; empty for what is nowhere."""
        ...


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a look showed: the sums, how many places wait, when the oldest of them was taken."""

    ledger: Ledger
    in_flight: int
    oldest: datetime | None = None


class Trail:
    """Counts one stream.

    Args:
        bus: Where the stream is.
        store: Where the sums are.
        stream: What is followed.
        durable: The name of its partitions' consumers.
        judge: Knows what became of its messages.
        tell: Called with each look's standing.
        now: The clock, UTC.
    """

    def __init__(  # noqa: PLR0913 (made in one place a service)
        self,
        bus: Bus,
        store: Store,
        stream: Stream,
        *,
        durable: str,
        judge: Judge,
        tell: Callable[[Standing], None],
        now: Callable[[], datetime],
    ) -> None:
        self._bus = bus
        self._store = store
        self._source = stream
        self._stream = stream.name
        self._durable = durable
        self._judge = judge
        self._tell = tell
        self._now = now
        self._clock = asyncio.get_running_loop().time
        self._seen = -1
        self._rests_until = float("-inf")
        self._suspects: dict[int, float] = {}
        self._rewound: tuple[str, int, float] | None = None
        self._turn = 0

    async def keep(self) -> None:
        """Count for ever; run as a task. What is away, or fails, is tried again."""
        while True:
            began = self._clock()
            try:
                more = await self.step()
            except GatewayError as error:
                log.info("ledger.waits", extra={"stream": self._stream, "reason": error.detail})
                more = False
            except Exception:  # the boundary: nothing else begins it again
                log.exception("ledger.bug", extra={"stream": self._stream})
                more = False
            await asyncio.sleep(SHARE * (self._clock() - began) if more else PAUSE_S)

    async def step(self) -> bool:
        """Look once, count at most a page; tell whether there is more to count now.

        Raises:
            GatewayError: The bus or the store is away; nothing is counted twice by a repeat.
        """
        reach = await reach_of(self._bus.asker, self._stream)
        known = await self._store.get(LEDGERS, SYSTEM, self._stream)
        ledger = known or Ledger(id=self._stream, workspace=SYSTEM)
        more = False
        if self._is_ours(ledger.rev):
            before, ledger = ledger, await self._advanced(ledger, reach)
            more = ledger.sequence - before.sequence >= PAGE and before.made == ledger.made
            ledger = await self._found_again(ledger, reach)
            if ledger != before:
                if not await self._written(ledger):
                    return False
                self._warn(before, ledger)
        self._tell(await self._standing(ledger, reach))
        return more

    # --- whose turn ----------------------------------------------------------------------------

    def _is_ours(self, rev: int) -> bool:
        """Tell whether to count; not while the sums move by another hand."""
        if self._seen not in {-1, rev}:
            self._rests_until = self._clock() + YIELD_S
        self._seen = rev
        return self._clock() >= self._rests_until

    async def _written(self, ledger: Ledger) -> bool:
        try:
            if ledger.rev:
                await self._store.replace(LEDGERS, ledger)
            else:
                await self._store.insert(LEDGERS, ledger)
        except (StaleRevisionError, UniqueConflictError):
            self._rests_until = self._clock() + YIELD_S
            return False
        self._seen = ledger.rev + 1
        return True

    def _warn(self, before: Ledger, after: Ledger) -> None:
        for one in set(after.missing) - set(before.missing):
            log.error(
                "ledger.missing",
                extra={"stream": self._stream, "account": one.account, "event_id": one.event},
            )

    # --- counting ------------------------------------------------------------------------------

    async def _advanced(self, ledger: Ledger, reach: Reach) -> Ledger:
        """Return *ledger* with the next page of what is settled."""
        ledger = self._on_stream(ledger, reach)
        if ledger.sequence >= reach.last or len(ledger.missing) >= MOST_MISSING:
            return ledger
        settled = await settled_up_to(self._bus.asker, self._stream, self._durable, reach.last)
        if settled <= ledger.sequence:
            return ledger
        begins = ledger.sequence + 1
        page = await self._bus.read(self._source, ">", from_sequence=begins, limit=PAGE)
        fresh = self._now() - GRACE
        items = [self._judge.read(one) for one in page]
        due = [one for one in items if one.sequence <= settled and one.stored_at < fresh]
        end = due[-1].sequence if due else ledger.sequence
        if len(due) == len(page) < PAGE and await self._is_end(reach, end + 1):
            end = settled  # behind the last message places are empty
        return await self._counted(ledger, due, end)

    async def _is_end(self, reach: Reach, start: int) -> bool:
        """Tell whether the stream, the same one still, holds nothing from *start* to its reach."""
        following = await message_from(self._bus.asker, self._stream, start)
        again = await reach_of(self._bus.asker, self._stream)
        empty = following is None or following.sequence > reach.last
        return empty and again.made == reach.made and again.last >= reach.last

    async def _counted(self, ledger: Ledger, due: Sequence[Item], end: int) -> Ledger:
        """Return *ledger* with *due* up to *end*, or up to what is to be looked for again."""
        outcomes = await self._judge.judge(due) if due else []
        now = self._clock()
        nowhere = [one.sequence for one, outcome in zip(due, outcomes, strict=True) if not outcome]
        self._suspects = {place: self._suspects.get(place, now) for place in nowhere}
        for place, since in self._suspects.items():
            if now - since < CONFIRM_S:
                end = place - 1
                break
        judged = [
            self._judged(one, outcome, ledger.made)
            for one, outcome in zip(due, outcomes, strict=True)
            if one.sequence <= end
        ]
        return counted(ledger, judged, end) if end > ledger.sequence else ledger

    def _judged(self, item: Item, outcome: str, made: str) -> Judged:
        if outcome:
            return Judged(sequence=item.sequence, channel=item.channel, outcome=outcome)
        missed = Missed(
            sequence=item.sequence,
            made=made,
            subject=item.subject,
            channel=item.channel,
            workspace=item.workspace,
            account=item.account,
            event=item.event,
            stored_at=item.stored_at,
            found_at=self._now(),
        )
        return Judged(sequence=item.sequence, channel=item.channel, missed=missed)

    def _on_stream(self, ledger: Ledger, reach: Reach) -> Ledger:
        """Return *ledger* on the stream as it is: made anew, restored, or overtaken by its limits.

        A stream that ends before our place was restored from an older copy and counts on from
        there, unless its new leader is only late: it is looked at for a while.
        """
        ledger = placed(ledger, reach.made, reach.first)
        if ledger.sequence <= reach.last:
            self._rewound = None
            return ledger
        seen = self._rewound
        if seen is None or seen[:2] != (reach.made, reach.last):
            self._rewound = (reach.made, reach.last, self._clock())
        elif self._clock() - seen[2] >= CONFIRM_S:
            log.error("ledger.rewound", extra={"stream": self._stream, "last": reach.last})
            return msgspec.structs.replace(ledger, sequence=reach.last)
        return ledger

    # --- what was missing ----------------------------------------------------------------------

    async def _found_again(self, ledger: Ledger, reach: Reach) -> Ledger:
        """Return *ledger* without what was missing and is there by now: replayed, or erased."""
        if not ledger.missing:
            return ledger
        start = self._turn % len(ledger.missing)
        self._turn = start + LOOK_AGAIN
        some = ledger.missing[start : start + LOOK_AGAIN]
        items = await asyncio.gather(*(self._again(one, reach) for one in some))
        outcomes = dict(zip(some, await self._judge.judge(items), strict=True))
        for one, item in zip(some, items, strict=True):
            if not outcomes[one] and item.data is None and _is_held(one, reach):
                outcomes[one] = "erased"  # it was deleted from the midst of the stream
        return found(ledger, {(m.made, m.sequence): word for m, word in outcomes.items() if word})

    async def _again(self, missed: Missed, reach: Reach) -> Item:
        data = None
        if _is_held(missed, reach):
            message = await message_from(self._bus.asker, self._stream, missed.sequence)
            if message is not None and message.sequence == missed.sequence:
                data = message.data
        return Item(
            sequence=missed.sequence,
            subject=missed.subject,
            stored_at=missed.stored_at,
            data=data,
            channel=missed.channel,
            workspace=missed.workspace,
            account=missed.account,
            event=missed.event,
        )

    async def _standing(self, ledger: Ledger, reach: Reach) -> Standing:
        waiting = max(reach.last - ledger.sequence, 0) if ledger.made == reach.made else reach.last
        oldest = None
        if waiting:
            start = ledger.sequence + 1 if ledger.made == reach.made else 1
            message = await message_from(self._bus.asker, self._stream, start)
            if message is not None:
                oldest = datetime.fromtimestamp(message.stored_at_ns / 1e9, UTC)
        return Standing(ledger=ledger, in_flight=waiting, oldest=oldest)


def _is_held(missed: Missed, reach: Reach) -> bool:
    """Tell whether the stream's limits still hold the place of *missed*."""
    return missed.made == reach.made and reach.first <= missed.sequence <= reach.last
