"""What a handler that tries without end may do that long, and what it may not: be wrong.

An alert is tried until it is stale, however often its service fails. What fails for a fault of
ours fails each time, at once: after a few tries it is buried, where somebody looks at it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict

from libs.common.bus.delivery import Bury, Delivery, LaneHandler, Outcome, Retry
from libs.common.bus.options import backoff_s
from libs.common.errors import GatewayError

log = logging.getLogger(__name__)

TRIES = 5
REMEMBERED = 10_000


class Bounded:
    """Calls *handle*, and buries what it cannot handle in `TRIES` tries of this process."""

    def __init__(self, handle: LaneHandler) -> None:
        self._handle = handle
        self._faults: OrderedDict[int, int] = OrderedDict()

    async def __call__(self, delivery: Delivery) -> Outcome:
        """See `LaneHandler`.

        Raises:
            GatewayError: As the handler does.
        """
        try:
            return await self._handle(delivery)
        except GatewayError:
            raise
        except Exception as error:
            log.exception("handler.fault", extra={"subject": delivery.subject})
            return self._fault(delivery, error)

    def _fault(self, delivery: Delivery, error: Exception) -> Outcome:
        faults = self._faults.pop(delivery.sequence, 0) + 1
        if faults >= TRIES:
            return Bury(code="bug", detail=type(error).__name__)
        self._faults[delivery.sequence] = faults
        if len(self._faults) > REMEMBERED:
            self._faults.popitem(last=False)
        return Retry("bug", backoff_s(faults))
