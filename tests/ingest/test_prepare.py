"""What becomes of events that no message can carry."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.channel import Account, Channel, Parsed, WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.events import Inbound, InteractionReceived, MessageReceived, TextPart, Unparsed
from services.ingest.prepare import MAX_EVENTS, Arrival, Prepared, Share, crowded, prepare
from services.ingest.select import grouped
from services.ingest.stamps import Stamps
from tests.ingest.harness import NOW, account, webhook


def message(text: str, *, event_id: str = "e-1", visitor: str = "v") -> MessageReceived:
    return MessageReceived(
        event_id=event_id,
        visitor=visitor,
        occurred_at=NOW,
        message_id="m",
        parts=(TextPart(text=text),),
    )


def prepared(*events: Any) -> Prepared:
    """Prepare a request whose parser says *events*."""
    one = account("line")
    channel: Channel = msgspec.structs.replace(
        CHANNELS["line"], parse=lambda _a, _r: Parsed(events=events)
    )
    share = Share(channel, one, webhook(one, "m-1"))
    return prepare([share], Arrival(Stamps().next(), "/webhooks/line/x", "00-a-b-01"))


def said(result: Prepared) -> list[Inbound]:
    return [
        msgspec.json.decode(record.data, type=Inbound)
        for record in result.records
        if record.subject.startswith("in.")
    ]


UNSENDABLE = {
    "too large for a message": message("x" * 600_000),
    "half a character in the text": message("a\ud83d"),
    "half a character in the visitor": message("a", visitor="v\ud83d"),
    "half a character in a fact": InteractionReceived(
        event_id="e-1", visitor="v", occurred_at=NOW, kind="x", data={"a": "\udc00"}
    ),
}


@pytest.mark.parametrize("event", UNSENDABLE.values(), ids=UNSENDABLE)
def test_an_unsendable_event_is_kept_as_malformed_and_its_neighbours_go_on(event: Any) -> None:
    result = prepared(message("before"), event, message("behind", event_id="e-2"))
    first, kept, last = (one.event for one in said(result))
    assert isinstance(kept, Unparsed)
    assert (kept.reason, kept.occurred_at) == ("malformed_item", NOW)
    assert isinstance(first, MessageReceived)
    assert isinstance(last, MessageReceived)
    assert result.unparsed == [("line", "malformed_item")]
    assert result.events == [("line", 3)]
    assert prepared(event).records[1].msg_id.split("/")[2] == kept.event_id


def test_more_events_than_any_provider_sends_are_one_unparsed_body() -> None:
    events = [message("x", event_id=f"e-{n}") for n in range(MAX_EVENTS + 1)]
    (kept,) = said(prepared(*events))
    assert isinstance(kept.event, Unparsed)
    assert kept.event.reason == "malformed_body"


CROWDS = {
    "a thousand ordinary updates": (b'{"a":{"b":[1]},"text":"hello hello hello"}' * 1000, False),
    "a long text": (b'{"text":"' + b"x" * 4_000_000 + b'"}', False),
    "a million empty objects": (b"{}," * 1_000_000, True),
    "a million empty lists": (b"[]," * 1_000_000, True),
    "a million elements": (b"<a/>" * 1_000_000, True),
}


@pytest.mark.parametrize(("body", "expected"), CROWDS.values(), ids=CROWDS)
def test_crowded(body: bytes, expected: bool) -> None:
    assert crowded(body) is expected


def test_accounts_are_grouped_by_the_secret_that_signs() -> None:
    channels = {name: c for name, c in CHANNELS.items() if c.endpoint == "meta"}
    one, other = account("messenger"), account("whatsapp")
    friend = msgspec.structs.replace(account("fb_comment"), secrets=one.secrets)
    without = msgspec.structs.replace(account("messenger"), secrets={})
    foreign: Account = account("line")
    groups = grouped(channels, (one, other, friend, without, foreign))
    assert [{a.slug for a in group.accounts} for group in groups] == [
        {one.slug, friend.slug},
        {other.slug},
    ]


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_first_named_secret_is_the_one_that_signs(channel: str) -> None:
    """What `grouped` relies on: no other secret matters to `verify`."""
    one = account(channel)
    request: WebhookRequest = webhook(one, "m-1")
    first = CHANNELS[channel].secrets[0]
    only = msgspec.structs.replace(one, secrets={first: one.secrets[first]})
    CHANNELS[channel].verify(only, request)
