"""What became of each event of INBOUND, judged by what lies in the store, and nothing else.

It shares no code with what stores events but the ids: else one fault could hide in both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import StoredMessage
from libs.common.channels import CHANNELS
from libs.common.documents import MESSAGES, Message
from libs.common.events import Inbound, Unparsed
from libs.common.ledger.buried import buried, stored_time
from libs.common.ledger.trail import Item, Trail
from libs.common.store.api import Store
from libs.common.subjects import INBOUND
from services.router.entry import message_id
from services.router.ledger_metrics import LedgerOutcome, told

SERVICE = "router"
OTHER = "other"
"""The channel of what no channel of ours is named by."""
_REPORT = "send.reported"
_CHANNEL_TOKEN = 3
_inbound = msgspec.json.Decoder(Inbound)


class _Head(msgspec.Struct, frozen=True):
    """What every event has."""

    event_id: str
    type: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    """As much of `Inbound` as finds its entry: a third of the cost of all of it."""

    workspace: str
    account: str
    event: _Head


_envelope = msgspec.json.Decoder(_Envelope)


class EventJudge:
    """Looks events up in the store, then among the erased, then on DEAD.

    Args:
        bus: Where DEAD is.
        store: Where the entries are.
        erased: Tells what is of visitors who were erased since.
    """

    def __init__(self, bus: Bus, store: Store, erased: Callable[[Inbound], bool]) -> None:
        self._bus = bus
        self._store = store
        self._erased = erased

    def read(self, message: StoredMessage) -> Item:
        """Return what is to be judged; without an event id where nobody can read it."""
        known = _decoded(message.data)
        return Item(
            sequence=message.sequence,
            subject=message.subject,
            stored_at=stored_time(message.stored_at_ns),
            data=message.data,
            channel=_channel(message.subject),
            workspace=known.workspace if known else "",
            account=known.account if known else "",
            event=known.event.event_id if known else "",
            kind=known.event.type if known else "",
        )

    async def judge(self, items: Sequence[Item]) -> list[str]:
        """Return the outcome of each; empty for what is nowhere.

        Raises:
            GatewayError: The bus or the store is away.
        """
        entries = await self._entries(items)
        outcomes: dict[int, LedgerOutcome] = {}
        for place, item in enumerate(items):
            entry = entries.get(_entry_id(item))
            if entry is not None:
                outcomes[place] = _outcome(item, entry)
            elif self._is_erased(item):
                outcomes[place] = "erased"
        nowhere = [item for place, item in enumerate(items) if place not in outcomes]
        dead = await buried(self._bus, SERVICE, INBOUND, nowhere) if nowhere else set()
        return [
            outcomes.get(place, "buried" if item.sequence in dead else "")
            for place, item in enumerate(items)
        ]

    async def _entries(self, items: Sequence[Item]) -> Mapping[str, Message]:
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for item in items:
            if item.event:
                wanted[item.workspace].add(_entry_id(item))
        found: dict[str, Message] = {}
        for workspace, ids in wanted.items():
            found |= await self._store.get_many(MESSAGES, workspace, sorted(ids))
        return found

    def _is_erased(self, item: Item) -> bool:
        if item.data is None:
            return False
        try:
            return self._erased(_inbound.decode(item.data))
        except (ValueError, RecursionError):
            return False


def inbound_trail(
    bus: Bus, store: Store, erased: Callable[[Inbound], bool], now: Callable[[], datetime]
) -> Trail:
    """Return the ledger of INBOUND, which tells itself as metrics."""
    judge = EventJudge(bus, store, erased)
    return Trail(bus, store, INBOUND, durable=SERVICE, judge=judge, tell=told().tell, now=now)


def _decoded(data: bytes) -> _Envelope | None:
    try:
        known = _envelope.decode(data)
    except (ValueError, RecursionError):
        return None
    return known if known.workspace and "/" not in known.workspace else None


def _entry_id(item: Item) -> str:
    return message_id(item.workspace, item.account, item.event)


def _channel(subject: str) -> str:
    tokens = subject.split(".")
    name = tokens[_CHANNEL_TOKEN] if len(tokens) > _CHANNEL_TOKEN else ""
    return name if name in CHANNELS else OTHER


def _outcome(item: Item, entry: Message) -> LedgerOutcome:
    """Return what *entry* makes of its event: who came first has stored it."""
    if item.kind == _REPORT:
        return "reported"
    if entry.sequence != item.sequence:
        return "duplicate"
    return "quarantined" if isinstance(entry.event, Unparsed) else "stored"
