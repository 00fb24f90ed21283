"""A list row shows the newest message as it stands: edited, or empty once it was unsent."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from libs.common.bus.delivery import Ack
from libs.common.documents import LastMessage
from libs.common.events import (
    InboundEvent,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    SendReported,
    TextPart,
)
from libs.common.timeline import fold, related
from services.router.shown import KEPT
from tests.router.rig import Rig, arrived, at, delivery, event, said

Story = Callable[[str], list[InboundEvent]]
Row = tuple[str, bool]


def message(visitor: str) -> InboundEvent:
    return said("secret", 2, key=visitor, visitor=visitor)


def edit(visitor: str, text: str, seconds: float, version: int = 0) -> InboundEvent:
    return event(
        MessageEdited,
        f"{visitor}-{text}",
        seconds,
        target=f"m-{visitor}",
        parts=(TextPart(text=text),),
        version=version,
        visitor=visitor,
    )


def unsend(visitor: str, seconds: float = 5, target: str = "") -> InboundEvent:
    target = target or f"m-{visitor}"
    return event(MessageDeleted, f"{visitor}-x-{target}", seconds, target=target, visitor=visitor)


def echo(visitor: str) -> InboundEvent:
    return event(
        MessageEchoed,
        f"{visitor}-echo",
        3,
        message_id=f"m-{visitor}",
        parts=(TextPart(text="typed elsewhere"),),
        visitor=visitor,
    )


STORIES: dict[str, tuple[Story, Row]] = {
    "a message, two edits and its unsending": (
        lambda v: [message(v), edit(v, "one", 3), edit(v, "two", 4), unsend(v)],
        ("", True),
    ),
    "an unsending that is older than the edits": (
        lambda v: [message(v), unsend(v, 3), edit(v, "one", 4), edit(v, "two", 5)],
        ("", True),
    ),
    "the later of two edits": (
        lambda v: [message(v), edit(v, "one", 3), edit(v, "two", 4)],
        ("two", False),
    ),
    "the edit with the higher version": (
        lambda v: [message(v), edit(v, "one", 4, 1), edit(v, "two", 3, 2)],
        ("two", False),
    ),
    "the unsending of an older message": (
        lambda v: [
            message(v),
            said("newer", 4, key=f"{v}-new", visitor=v),
            unsend(v),
        ],
        ("newer", False),
    ),
    "a message from the provider's own inbox, edited and removed": (
        lambda v: [
            said("0", 1, key=f"{v}-first", visitor=v),
            echo(v),
            edit(v, "other", 4),
            unsend(v),
        ],
        ("", True),
    ),
}


def shown(last: LastMessage | None) -> Row:
    assert last is not None
    return last.excerpt, last.deleted


async def live(rig: Rig, make: Story, size: int) -> dict[str, LastMessage | None]:
    """Let a visitor for each order have the events so, *size* to a batch; return the rows."""
    orders = list(permutations(range(len(make("x")))))
    visitors = [f"U{n}" for n in range(len(orders))]
    for first in range(0, len(orders[0]), size):
        batch = [
            delivery(arrived(make(v)[place], received_at=at(30)), 100 + place)
            for v, order in zip(visitors, orders, strict=True)
            for place in order[first : first + size]
        ]
        assert await rig.deliver(batch) == [Ack()] * len(batch)
    return {session.visitor: session.last_message for session in await rig.sessions()}


@pytest.mark.parametrize("size", [1, 2, 4], ids=["one by one", "in pairs", "in one batch"])
@pytest.mark.parametrize("begun", [False, True], ids=["at first", "in an open session"])
@pytest.mark.parametrize(("make", "expected"), STORIES.values(), ids=STORIES)
async def test_i5_in_every_order_the_row_shows(
    rig: Rig, make: Story, expected: Row, begun: bool, size: int
) -> None:
    count = len(list(permutations(make("x"))))
    if begun:
        await rig.take(*(said("hello", 0, key=f"U{n}-0", visitor=f"U{n}") for n in range(count)))
    rows = await live(rig, make, size)
    assert len(rows) == count
    assert {shown(row) for row in rows.values()} == {expected}


async def test_i5_the_row_says_what_the_timeline_says(rig: Rig) -> None:
    make, _ = STORIES["the edit with the higher version"]
    await live(rig, make, 1)
    for session in await rig.sessions():
        page = await rig.timeline(session.id)
        [entry] = fold(page, await rig.related(related(page)), session)
        assert session.last_message is not None
        assert entry.text == session.last_message.excerpt


async def test_no_unsent_text_stays_anywhere_in_the_session(rig: Rig) -> None:
    await rig.take(message("U1"), edit("U1", "secret too", 3), unsend("U1"))
    await rig.outbox.flush()
    assert "secret" not in repr((await rig.everything())["sessions"])


@pytest.mark.parametrize("late", [False, True], ids=["report first", "removal first"])
async def test_our_own_message_is_known_by_the_ids_that_the_provider_gave_it(
    rig: Rig, late: bool
) -> None:
    await rig.take(said("hi", 1))
    done = await rig.done(rig.send((await rig.only()).id, "amy", "a slip"))
    assert done.message is not None
    told: dict[str, Any] = {"message_id": done.message.id, "status": "sent"}
    report = event(SendReported, "r", 61, provider_ids=("p1", "p2"), **told)
    both = [report, unsend("U1", 62, "p2")]
    for one in reversed(both) if late else both:
        await rig.take(one)
    assert shown((await rig.only()).last_message) == ("", True)


async def test_a_session_remembers_a_bounded_number_of_changes(rig: Rig) -> None:
    """However many come, that of the shown message stays, and so does its place in the order."""
    await rig.take(message("U1"), edit("U1", "two", 3, version=2))
    for n in range(3 * KEPT):
        await rig.take(unsend("U1", 6 + n, f"elsewhere-{n}"))
    session = await rig.only()
    assert len(session.altered) == KEPT
    await rig.take(edit("U1", "one", 60, version=1))
    assert shown((await rig.only()).last_message) == ("two", False)


async def test_a_new_message_replaces_an_unsent_one(rig: Rig) -> None:
    await rig.take(message("U1"), unsend("U1"))
    await rig.take(said("again", 9))
    assert shown((await rig.only()).last_message) == ("again", False)
