"""The timers of alerts: a window that is over, an email that is due, a rung of the ladder."""

from __future__ import annotations

import msgspec

from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome
from libs.common.events import Timer
from services.notifier.attention_store import Place
from services.notifier.attention_worker import Engine

_decode = msgspec.json.Decoder(Timer).decode


class Timers:
    """Takes what is due; what follows the document says."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def handle(self, delivery: Delivery) -> Outcome:
        """See `LaneHandler`.

        Raises:
            BusUnavailableError, StoreUnavailableError: It is repeated when they are back.
        """
        try:
            timer = _decode(delivery.data)
        except msgspec.DecodeError:
            return Bury(code="malformed_payload", detail="no timer")
        await self._engine.look(Place(timer.workspace, timer.key, bool(timer.session)))
        return Ack()
