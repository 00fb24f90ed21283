"""The same message by two paths: to us, and as a copy of what another application holds.

Both name the message by the provider's id and have dedup keys of their own, so that a copy never
shadows the original. Whichever comes first counts and is shown; the other is kept beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from libs.common.documents import Message, Session
from libs.common.events import InboundEvent, MessageEchoed, MessageReceived
from services.router.entry import Arrival


def provider_id(event: InboundEvent) -> str:
    """Return the provider's id of the message that *event* brings; empty for none."""
    return event.message_id if isinstance(event, MessageReceived | MessageEchoed) else ""


def asked(arrivals: Iterable[Arrival], session: Session | None) -> set[str]:
    """Return which messages may have come by the other path: nearly always none.

    Copies are asked for, and everything while another application seems to hold the conversation.
    """
    held = session is not None and session.standby
    events = (arrival.inbound.event for arrival in arrivals)
    return {provider_id(event) for event in events if held or event.standby} - {""}


def other_path(
    entry_id: str, event: InboundEvent, stored: Mapping[str, Sequence[Message]]
) -> list[Message]:
    """Return the *stored* entries of the same message that came by the other path."""
    return [
        twin
        for twin in stored.get(provider_id(event), ())
        if twin.id != entry_id and is_copy(twin) != event.standby
    ]


def is_copy(entry: Message) -> bool:
    """Tell whether a stored message is a copy of what another application holds."""
    return entry.event is not None and entry.event.standby


def settle(entry: Message, event: InboundEvent, *, again: bool) -> InboundEvent:
    """Show *entry*, or keep it beside its twin that has counted; return what there is to apply.

    What came to us as well, nobody else holds.
    """
    if not provider_id(event):
        return event
    entry.kind = "event" if again else "message"
    return msgspec.structs.replace(event, standby=False) if again and _is_theirs(event) else event


def _is_theirs(event: InboundEvent) -> bool:
    return isinstance(event, MessageReceived)
