"""Simulated webhooks are what the channels take for real ones."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from libs.common.channel import WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.errors import BadSignatureError
from libs.common.events import (
    DeliveryReported,
    InboundEvent,
    MessageEchoed,
    MessageReceived,
    TextPart,
    Unparsed,
)
from libs.common.simulate.bodies import build, kinds, text_body, visitor_for
from libs.common.simulate.follow import Taken, follow_ups
from libs.common.simulate.said import Said
from libs.common.simulate.scenarios import spoiled
from libs.common.simulate.signing import signed
from tests.simulate.accounts import account

NOW = datetime.now(UTC).replace(microsecond=0)
EVERY_KIND = [(channel, kind) for channel in sorted(CHANNELS) for kind in kinds(channel)]
AWKWARD = 'ค่ะ <b> ]]> & "ä" \U0001f600'


def events(channel: str, request: WebhookRequest) -> tuple[InboundEvent, ...]:
    CHANNELS[channel].verify(account(channel), request)
    return CHANNELS[channel].parse(account(channel), request).events


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_a_text_arrives_whole_from_its_visitor(channel: str) -> None:
    of = account(channel)
    body = text_body(of, visitor=visitor_for(channel), message_id="4077", text=AWKWARD, now=NOW)
    (event,) = events(channel, signed(of, body, now=NOW))
    assert isinstance(event, MessageReceived)
    assert event.parts == (TextPart(text=AWKWARD),)
    assert event.visitor == visitor_for(channel)


@pytest.mark.parametrize(("channel", "kind"), EVERY_KIND)
def test_every_kind_is_known_to_its_channel(channel: str, kind: str) -> None:
    of = account(channel)
    said = Said(visitor=visitor_for(channel), message_id="4077", text="hello", now=NOW)
    found = events(channel, signed(of, build(of, kind, said), now=NOW))
    assert len(found) == 1
    assert not isinstance(found[0], Unparsed)


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_the_same_message_gives_the_same_key(channel: str) -> None:
    of = account(channel)
    said = Said(visitor=visitor_for(channel), message_id="4077", text="hello", now=NOW)
    other = Said(visitor=visitor_for(channel), message_id="4078", text="hello", now=NOW)
    keys = [
        events(channel, signed(of, build(of, "text", one), now=NOW))[0].event_id
        for one in (said, said, other)
    ]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("channel", sorted(CHANNELS))
@pytest.mark.parametrize("plain", [False, True], ids=["sealed", "plain"])
def test_a_spoiled_proof_is_refused(channel: str, plain: bool) -> None:
    of = account(channel, plain=plain)
    body = text_body(of, visitor=visitor_for(channel), message_id="4077", text="x", now=NOW)
    request = signed(of, body, now=NOW)
    CHANNELS[channel].verify(of, request)
    with pytest.raises(BadSignatureError):
        CHANNELS[channel].verify(of, spoiled(request))


FOLLOWING = {
    "messenger": [MessageEchoed, DeliveryReported, DeliveryReported],
    "fb_comment": [MessageEchoed],
    "instagram": [MessageEchoed, DeliveryReported],
    "telegram": [],
    "whatsapp": [DeliveryReported, DeliveryReported, DeliveryReported],
    "line": [],
    "wechat": [],
    "web": [],
}


@pytest.mark.parametrize(
    ("channel", "expected"), [f for f in FOLLOWING.items() if f[0] in CHANNELS]
)
def test_what_follows_a_send(channel: str, expected: list[type[InboundEvent]]) -> None:
    of = account(channel)
    taken = Taken(
        recipient=visitor_for(channel),
        message_id="out-1",
        text="hi",
        metadata="msg_ours",
        parent="55_4077",
    )
    said = Said(visitor=taken.recipient, message_id="out-1", text="hi", now=NOW)
    found = [
        event
        for body in follow_ups(of, taken, said)
        for event in events(channel, signed(of, body, now=NOW))
    ]
    assert [type(event) for event in found] == expected
    for event in found:
        if isinstance(event, MessageEchoed) and channel == "messenger":
            assert (event.message_id, event.metadata) == ("out-1", "msg_ours")
        if isinstance(event, DeliveryReported) and channel == "whatsapp":
            assert (event.targets, event.metadata) == (("out-1",), "msg_ours")
