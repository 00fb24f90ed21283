"""Where an item of an update stands: its bytes, its dedup key, and the bot it came to."""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.events import InboundEvent
from libs.common.providers.normal import EPOCH, Reason, fingerprint, key, unparsed


class Spot(msgspec.Struct, frozen=True):
    """`update` is Telegram's number of the update as text, "" where it has none; `bot` our id."""

    raw: bytes
    update: str
    bot: str

    @property
    def number(self) -> int:
        """The update's number, 0 where it has none."""
        return int(self.update) if self.update.isdecimal() and len(self.update) < 19 else 0

    def key(self, *parts: str) -> str:
        """Return the dedup key of the update, or of a part of it."""
        return key("update", ":".join((self.update or fingerprint(self.raw), *parts)))

    def unparsed(
        self, reason: Reason, visitor: str = "", occurred_at: datetime = EPOCH
    ) -> InboundEvent:
        """Keep the item as it came."""
        return unparsed(
            key("unparsed", self.update or fingerprint(self.raw)),
            self.raw,
            reason,
            visitor=visitor,
            occurred_at=occurred_at,
        )
