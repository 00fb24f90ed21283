"""A web visitor's own messages in their other tabs."""

from __future__ import annotations

import msgspec
import pytest

from libs.common import subjects
from libs.common.bus.delivery import Ack
from libs.common.channels.web.wire import VisitorMessage
from libs.common.events import Inbound, MessageDeleted, TextPart
from libs.common.ids import derive_id
from services.router import batch
from tests.router.rig import ACCOUNT, WORKSPACE, Rig, arrived, at, delivery, event, said


def posted(text: str, seconds: float, visitor: str = "v1") -> Inbound:
    """Return what a page posted, as the web channel reads it."""
    wrote = said(text, seconds, visitor=visitor, key=f"web:{visitor}:{text}")
    wrote = msgspec.structs.replace(wrote, message_id=wrote.event_id)
    return arrived(wrote, channel="web")


async def test_what_a_web_visitor_wrote_is_in_their_stream(rig: Rig) -> None:
    await rig.take(posted("one", 1), posted("two", 2), posted("three", 3, "v2"))
    own = subjects.visitor(WORKSPACE, ACCOUNT, derive_id("vis", ACCOUNT, "v1"))
    shown = [message for subject, message in rig.bus.shown() if subject == own]
    assert shown == [
        VisitorMessage(
            id=f"web:v1:{text}", at=at(when), sender="visitor", parts=(TextPart(text=text),)
        )
        for text, when in (("one", 1), ("two", 2))
    ]
    assert len(rig.bus.shown()) == 3


async def test_an_answer_says_which_message_it_is_to(rig: Rig) -> None:
    one = posted("one", 1)
    answer = msgspec.structs.replace(one.event, reply_to="msg_1")
    await rig.take(msgspec.structs.replace(one, event=answer))
    assert [message.reply_to for _, message in rig.bus.shown()] == ["msg_1"]


async def test_a_repeat_is_in_the_stream_once(rig: Rig) -> None:
    first = await rig.take(posted("one", 1))
    await rig.take(posted("one", 1))
    assert await rig.deliver(first) == [Ack()]
    assert len(rig.bus.shown()) == 1


async def test_what_a_crash_cut_off_comes_with_the_redelivery(rig: Rig) -> None:
    rig.bus.away = True
    [first] = rig.number([posted("one", 1)])
    assert await rig.deliver([first]) == [Ack()]  # it is stored: that is what counts
    assert rig.bus.shown() == []
    rig.bus.away = False
    await rig.deliver([delivery(first.data, first.sequence, attempt=2)])
    assert [message.id for _, message in rig.bus.shown()] == ["web:v1:one"]
    assert (await rig.only()).inbound == 1


async def test_other_channels_and_other_events_are_not_shown(rig: Rig) -> None:
    gone = event(MessageDeleted, "d", 2, visitor="v1", target="x")
    await rig.take(arrived(said("hi", 1)), arrived(gone, channel="web"))
    assert rig.bus.shown() == []


async def test_what_could_not_be_stored_is_not_shown(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "ROUNDS", 0)  # every race is lost
    [first] = rig.number([posted("one", 1)])
    assert await rig.deliver([first]) != [Ack()]
    assert rig.bus.shown() == []
