"""Words for search are made beside other work, whatever is written."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from libs.common.documents import Message
from libs.common.events import TextPart
from services.router.wording import find_by_words

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def said(n: int, text: str) -> Message:
    return Message(
        id=f"m-{n}",
        workspace="acme",
        account="line",
        key=f"k-{n}",
        session="s",
        visitor="v",
        kind="message",
        occurred_at=NOW,
        received_at=NOW,
        parts=(TextPart(text=text),),
    )


async def test_i11_others_have_their_turn_while_a_batch_of_long_texts_gets_its_words() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    batch = [said(n, "\ufdfa" * 4000) for n in range(40)]
    beside = asyncio.create_task(others())
    await find_by_words(batch)
    beside.cancel()
    assert turns > 1
    assert all(one.words for one in batch)
