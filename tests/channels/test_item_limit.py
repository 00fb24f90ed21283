"""A body of more items than any provider sends is refused whole, before work on any of them."""

from __future__ import annotations

import pytest

from libs.common.channels import CHANNELS
from libs.common.errors import MalformedPayloadError
from libs.common.items import MAX_ITEMS
from tests.channels.conformance import SUBJECTS

MOST, MORE = b"1," * (MAX_ITEMS - 1) + b"1", b"1," * MAX_ITEMS + b"1"
HALF = b"1," * (MAX_ITEMS // 2) + b"1"

LISTS: dict[str, tuple[str, bytes, bytes]] = {
    "the web plugin's messages": ("web", b'{"messages":[%b]}', MORE),
    "LINE's events": ("line", b'{"events":[%b]}', MORE),
    "Messenger's items": ("messenger", b'{"object":"page","entry":[{"messaging":[%b]}]}', MORE),
    "Messenger's items of two lists": (
        "messenger",
        b'{"object":"page","entry":[{"messaging":[%b]},{"standby":[' + HALF + b"]}]}",
        HALF,
    ),
    "Messenger's entries": ("messenger", b'{"object":"page","entry":[%b]}', MORE),
    "Messenger's entries that are objects": (
        "messenger",
        b'{"object":"page","entry":[%b]}',
        b"{}," * MAX_ITEMS + b"{}",
    ),
    "a page's changes": ("fb_comment", b'{"object":"page","entry":[{"changes":[%b]}]}', MORE),
    "a page's changes beside what fits nothing": (
        "fb_comment",
        b'{"object":"page","entry":[{"messaging":7,"changes":[%b]}]}',
        MORE,
    ),
    "WhatsApp's changes": (
        "whatsapp",
        b'{"object":"whatsapp_business_account","entry":[{"changes":[%b]}]}',
        MORE,
    ),
}


@pytest.mark.parametrize(("channel", "envelope", "items"), LISTS.values(), ids=LISTS)
def test_too_many_items_are_refused(channel: str, envelope: bytes, items: bytes) -> None:
    subject = SUBJECTS[channel]
    request = subject.sign(envelope % items)
    with pytest.raises(MalformedPayloadError, match="too many items"):
        CHANNELS[channel].parse(subject.account, request)


WHATSAPP_CHANGE = (
    b'{"field":"messages","value":{"metadata":{"phone_number_id":"%b"},"messages":[%b]}}'
)
WHATSAPP: dict[str, tuple[bytes, ...]] = {
    "in one change": (MORE,),
    "in all changes together": (HALF, HALF),
}


@pytest.mark.parametrize("lists", WHATSAPP.values(), ids=WHATSAPP)
def test_too_many_messages_of_whatsapp_are_refused(lists: tuple[bytes, ...]) -> None:
    subject = SUBJECTS["whatsapp"]
    number = subject.account.external_id.encode()
    changes = b",".join(WHATSAPP_CHANGE % (number, items) for items in lists)
    envelope = b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[%b]}]}'
    with pytest.raises(MalformedPayloadError, match="too many items"):
        CHANNELS["whatsapp"].parse(subject.account, subject.sign(envelope % changes))


def test_as_many_items_as_allowed_are_each_kept() -> None:
    subject = SUBJECTS["line"]
    parsed = CHANNELS["line"].parse(subject.account, subject.sign(b'{"events":[%b]}' % MOST))
    assert len(parsed.events) == MAX_ITEMS
