"""Show a web visitor what they wrote themselves, so that their other tabs have it too.

What the page shows is what is stored: it is published once the session has it. A repeat has the
same message id, and a page shows an id once; so what a crash cut off is simply said again with the
redelivery, and what cannot be said is not worth holding up a conversation for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import msgspec

from libs.common import subjects
from libs.common.bus.delivery import PubAck
from libs.common.channels.web.wire import VisitorMessage
from libs.common.events import Inbound, MessageReceived
from libs.common.ids import derive_id
from services.router.entry import Arrival, message_id, order_time
from services.router.outbox import Publishes

log = logging.getLogger(__name__)

WEB = "web"

_encode = msgspec.json.Encoder().encode


class Mirror:
    """Publishes to VISITORS what web visitors wrote."""

    def __init__(self, bus: Publishes) -> None:
        self._bus = bus

    async def show(self, arrivals: Iterable[Arrival]) -> None:
        """Publish the messages of web visitors among *arrivals*, and wait until they are kept."""
        said = [
            self._publish(arrival.inbound, arrival.inbound.event)
            for arrival in arrivals
            if arrival.inbound.channel == WEB and isinstance(arrival.inbound.event, MessageReceived)
        ]
        if not said:
            return
        found = await asyncio.gather(*said, return_exceptions=True)
        failed = [type(one).__name__ for one in found if isinstance(one, BaseException)]
        if failed:
            log.warning("mirror.unsaid", extra={"reasons": sorted(set(failed))})

    def _publish(self, inbound: Inbound, event: MessageReceived) -> asyncio.Future[PubAck]:
        shown = VisitorMessage(
            id=event.message_id,
            at=order_time(event.occurred_at, inbound.received_at),
            sender="visitor",
            parts=event.parts,
            reply_to=event.reply_to,
        )
        visitor = derive_id("vis", inbound.account, event.visitor)
        return self._bus.publish_soon(
            subjects.visitor(inbound.workspace, inbound.account, visitor),
            _encode(shown),
            msg_id=f"{message_id(inbound.workspace, inbound.account, event.event_id)}:seen",
        )
