"""I5: what the page does below a comment appears there, whichever of the two arrives first."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from libs.common.bus.delivery import Ack
from libs.common.documents import CONTACTS
from libs.common.events import (
    Inbound,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    TextPart,
    Thread,
)
from libs.common.store.api import Page
from libs.common.timeline import fold, related
from tests.router.faulty import Crashed, FaultyStore, Steps
from tests.router.rig import WORKSPACE, Rig, arrived, event, rig_on, said
from tests.router.test_cost import counted


def fb(told: Any) -> Inbound:
    return arrived(told, channel="fb_comment")


def words(text: str) -> dict[str, Any]:
    return {"parts": (TextPart(text=text),)}


COMMENT = fb(said("price?", 1, key="66_a", thread=Thread(post="66", comment="m-66_a", parent="66")))
BELOW: dict[str, tuple[Inbound, list[str], str]] = {
    "the page's own comment": (
        fb(
            event(
                MessageEchoed,
                "b",
                5,
                visitor="comment:m-66_a",
                message_id="66_b",
                thread=Thread(post="66", comment="66_b", parent="m-66_a"),
                **words("12 euro"),
            )
        ),
        ["price?", "12 euro"],
        "12 euro",
    ),
    "a removal that names nobody": (
        fb(event(MessageDeleted, "b", 5, visitor="comment:m-66_a", target="m-66_a")),
        [""],
        "",
    ),
    "an edit that names nobody": (
        fb(event(MessageEdited, "b", 5, visitor="comment:m-66_a", target="m-66_a", **words("?"))),
        ["?"],
        "?",
    ),
}
ORDERS = {"the comment first": [0, 1], "the comment last": [1, 0]}


async def seen(rig: Rig) -> tuple[list[str], str, int, int]:
    """Return the lines of the only conversation, its row, and what has counted."""
    session = await rig.only()
    entries = await rig.timeline(session.id)
    lines = [line.text for line in fold(entries, await rig.related(related(entries)), session)]
    assert session.last_message is not None
    return lines, session.last_message.excerpt, session.inbound, session.entries


@pytest.mark.parametrize(("below", "lines", "row"), BELOW.values(), ids=BELOW)
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("known", [False, True], ids=["a new visitor", "in an open session"])
async def test_i5_what_comes_before_the_comment_appears_with_it(
    rig: Rig, below: Inbound, lines: list[str], row: str, order: list[int], *, known: bool
) -> None:
    if known:
        await rig.take(fb(said("hi", 0)))
    events = [(COMMENT, below)[place] for place in order]
    for one in (*events, *events, *reversed(events)):
        await rig.take(one)
    await rig.take(*events, *reversed(events))
    expected = (["hi"] * known + lines, row, 1 + known, 2 + known)
    assert await seen(rig) == expected
    assert len(await rig.store.find(CONTACTS, WORKSPACE, {}, Page(order="seen"))) == 1


async def test_i5_an_answer_below_an_early_answer_appears_too(rig: Rig) -> None:
    first, *_ = BELOW["the page's own comment"]
    second = fb(
        event(MessageEchoed, "c", 6, visitor="comment:66_b", message_id="66_c", **words("each"))
    )
    for one in (first, COMMENT, second):
        await rig.take(one)
    assert (await seen(rig))[0] == ["price?", "12 euro", "each"]


@pytest.mark.parametrize("known", [False, True], ids=["a new visitor", "in an open session"])
@pytest.mark.parametrize("together", [False, True], ids=["alone", "with a repeat of the answer"])
async def test_i1_a_crash_at_any_step_of_the_comment_loses_nothing(
    fresh_url: Callable[[], str], *, known: bool, together: bool
) -> None:
    answer, lines, row = BELOW["the page's own comment"]
    for step in itertools.count(1):
        async with rig_on(fresh_url()) as rig:
            await rig.take(*[fb(said("hi", 0))] * known, answer)
            await rig.outbox.flush()
            deliveries = rig.number([COMMENT, *[answer] * together])
            doomed = rig.process(FaultyStore(rig.store, Steps(step)), rig.bus)
            try:
                await doomed.deliver(deliveries)
                break
            except Crashed:
                pass
            assert await rig.deliver(deliveries) == [Ack()] * len(deliveries)
            assert await seen(rig) == (["hi"] * known + lines, row, 1 + known, 2 + known)
    assert step > 4


LOOKS = {"fb_comment": True, "messenger": False, "line": False}


@pytest.mark.parametrize(("channel", "looks"), LOOKS.items())
async def test_only_comments_cost_a_look(rig: Rig, channel: str, *, looks: bool) -> None:
    await rig.take(arrived(said("hi", 0), channel=channel))
    router, store = counted(rig)
    await router.take(arrived(said("more", 1), channel=channel))
    assert ("find messages" in store.steps.names) == looks
