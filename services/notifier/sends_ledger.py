"""What became of each message of OUTBOUND, judged by the sender's marks in the store."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import StoredMessage
from libs.common.documents import SENDS, SendAttempt
from libs.common.erased import erasure_keys, watched_erased
from libs.common.events import SendRequest
from libs.common.ledger.buried import buried, stored_time
from libs.common.ledger.trail import Item, Trail
from libs.common.store.api import Store
from libs.common.subjects import OUTBOUND
from services.notifier.metrics import channel_label
from services.notifier.sends_ledger_metrics import told

SERVICE = "notifier"
DURABLE = "sender"
ENDED = frozenset({"sent", "failed", "unknown"})

Since = Callable[[str, str, str], datetime | None]
"""When the visitor of a workspace's account was erased last."""


class _Envelope(msgspec.Struct, frozen=True):
    """As much of `SendRequest` as finds its mark."""

    message_id: str
    workspace: str
    channel: str
    account: str


_envelope = msgspec.json.Decoder(_Envelope)
_request = msgspec.json.Decoder(SendRequest)


class SendJudge:
    """Looks sends up in the store, then among the erased, then on DEAD.

    Args:
        bus: Where DEAD is.
        store: Where the marks are.
        erased: Tells who was erased, and when.
    """

    def __init__(self, bus: Bus, store: Store, erased: Since) -> None:
        self._bus = bus
        self._store = store
        self._erased = erased

    def read(self, message: StoredMessage) -> Item:
        """Return what is to be judged; without an id where nobody can read it."""
        known = _decoded(message.data)
        return Item(
            sequence=message.sequence,
            subject=message.subject,
            stored_at=stored_time(message.stored_at_ns),
            data=message.data,
            channel=channel_label(known.channel if known else ""),
            workspace=known.workspace if known else "",
            account=known.account if known else "",
            event=known.message_id if known else "",
        )

    async def judge(self, items: Sequence[Item]) -> list[str]:
        """Return the outcome of each; empty for what is nowhere.

        Raises:
            GatewayError: The bus or the store is away.
        """
        marks = await self._marks(items)
        outcomes: dict[int, str] = {}
        for place, item in enumerate(items):
            mark = marks.get(item.event)
            if mark is not None and mark.state in ENDED:
                outcomes[place] = mark.state
            elif self._is_erased(item):
                outcomes[place] = "erased"
        nowhere = [item for place, item in enumerate(items) if place not in outcomes]
        dead = await buried(self._bus, SERVICE, OUTBOUND, nowhere) if nowhere else set()
        return [
            outcomes.get(place, "buried" if item.sequence in dead else "")
            for place, item in enumerate(items)
        ]

    async def _marks(self, items: Sequence[Item]) -> dict[str, SendAttempt]:
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for item in items:
            if item.event:
                wanted[item.workspace].add(item.event)
        found: dict[str, SendAttempt] = {}
        for workspace, ids in wanted.items():
            found |= await self._store.get_many(SENDS, workspace, sorted(ids))
        return found

    def _is_erased(self, item: Item) -> bool:
        if item.data is None:
            return False
        try:
            request = _request.decode(item.data)
        except (ValueError, RecursionError):
            return False
        before = self._erased(request.workspace, request.account, request.visitor)
        return before is not None and request.queued_at < before


@asynccontextmanager
async def sends_ledger(
    bus: Bus, store: Store, secret_key: str, now: Callable[[], datetime]
) -> AsyncIterator[None]:
    """Count what became of everything on OUTBOUND until the block ends."""
    keeping = asyncio.create_task(_keep(bus, store, erasure_keys(secret_key), now))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _keep(bus: Bus, store: Store, keys: Sequence[bytes], now: Callable[[], datetime]) -> None:
    async with watched_erased(bus, keys) as erased:
        await erased.complete.wait()
        judge = SendJudge(bus, store, erased.since)
        await Trail(
            bus, store, OUTBOUND, durable=DURABLE, judge=judge, tell=told().tell, now=now
        ).keep()


def _decoded(data: bytes) -> _Envelope | None:
    try:
        known = _envelope.decode(data)
    except (ValueError, RecursionError):
        return None
    return known if known.workspace and "/" not in known.workspace else None
