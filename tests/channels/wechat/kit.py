"""Both kinds of WeChat account, and what their fixtures become."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.channel import Account
from libs.common.channels.wechat import CHANNEL
from libs.common.events import ContentPart, InboundEvent, MessageReceived
from libs.common.simulate.signing import signed
from tests.channels.conformance import NOW, SUBJECTS, fixtures_of

PLAIN = SUBJECTS["wechat"].account
SEALED = SUBJECTS["wechat with all secrets"].account
BOTH = pytest.mark.parametrize("account", [PLAIN, SEALED], ids=["plain", "encrypted"])
FIXTURES = fixtures_of("wechat")


def read(account: Account, body: bytes) -> InboundEvent:
    """Return the one event of a body, as WeChat would deliver it to this account."""
    request = signed(account, body, now=NOW)
    CHANNEL.verify(account, request)
    (event,) = CHANNEL.parse(account, request).events
    return event


def at(number: int) -> datetime:
    return datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC) + timedelta(seconds=number)


def message(number: int, *parts: ContentPart) -> MessageReceived:
    message_id = str(7300000000000000000 + number)
    return MessageReceived(
        event_id=f"message:{message_id}",
        visitor="oVisitor1",
        occurred_at=at(number),
        message_id=message_id,
        parts=parts,
    )


def head(number: int, name: str, *, visitor: str = "oVisitor1") -> dict[str, Any]:
    return {
        "event_id": f"event:oVisitor1:{1760000000 + number}:{name}",
        "visitor": visitor,
        "occurred_at": at(number),
    }
