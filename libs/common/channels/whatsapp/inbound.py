"""From a verified body to WhatsApp's events."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from libs.common.channel import Account, Parsed, WebhookRequest
from libs.common.channels.whatsapp import kinds, wire
from libs.common.channels.whatsapp.kinds import Build, Spot
from libs.common.channels.whatsapp.people import NOBODY, people_of
from libs.common.decode import salvage
from libs.common.errors import MalformedPayloadError
from libs.common.events import AccountNoticed, InboundEvent
from libs.common.items import limited_to_items
from libs.common.providers.envelope import (
    Change,
    Entry,
    Lost,
    Raws,
    open_change,
    open_container,
    read,
)
from libs.common.providers.meta import phone_of, waba_of
from libs.common.providers.normal import facts, fingerprint, key, unparsed

Found = Iterator[InboundEvent | None]

_CONVERSATION = frozenset(
    {"messages", "smb_message_echoes", "standby", "user_preferences", "user_id_update", "calls"}
)
_PASSED_OVER = frozenset({"history", "smb_app_state_sync"})
"""Old messages and the phone's address book: counted, and left in the raw body."""

_ADDRESS = frozenset({"messaging_product", "metadata"})

_NOTICES = frozenset(
    {
        "account_alerts", "account_review_update", "account_settings_update", "account_update",
        "business_capability_update", "business_status_update", "flows",
        "message_template_components_update", "message_template_quality_update",
        "message_template_status_update", "partner_solutions", "payment_configuration_update",
        "phone_number_name_update", "phone_number_quality_update", "security",
        "template_category_update",
    }
)  # fmt: skip


def parse(account: Account, request: WebhookRequest) -> Parsed:
    """Turn one verified body into events of one phone number, keeping Meta's order.

    An account whose `external_id` is `waba:<id>` gets the news of the whole business account.

    Raises:
        MalformedPayloadError: Not even leniently a webhook of the Meta family, or too many items.
    """
    envelope = read(request.body)
    if envelope.object != "whatsapp_business_account":
        return Parsed()
    found: list[InboundEvent | None] = []
    for entry in envelope.entries:
        for raw in entry.changes or ():
            change = open_change(raw)
            if phone_of(entry, change) == account.external_id:
                found.extend(_change(entry, change, raw))
                limited_to_items(found)
    found.extend(_unread(lost) for lost in envelope.lost if waba_of(lost) == account.external_id)
    events = tuple(event for event in found if event is not None)
    return Parsed(events=events, ignored=len(found) - len(events))


def _change(entry: Entry, change: Change, raw: msgspec.Raw) -> Found:
    if change.field in _CONVERSATION:
        yield from _conversation(entry, change, raw)
        return
    spot = Spot(bytes(raw), NOBODY, entry.at, standby=False)
    if change.field in _PASSED_OVER:
        yield None
    elif change.field == "messaging_handovers":
        yield _safely(spot, lambda spot: kinds.control(spot, bytes(change.value)))
    elif change.field in _NOTICES or _is_group_notice(change.field):
        yield _safely(spot, lambda spot: _notice(spot, change))
    else:
        yield spot.unparsed("unknown_kind" if change.field else "malformed_item")


def _conversation(entry: Entry, change: Change, raw: msgspec.Raw) -> Found:
    try:
        value, lost = open_container(wire.value, change.value)
    except MalformedPayloadError:
        yield Spot(bytes(raw), NOBODY, entry.at, standby=False).unparsed("malformed_item")
        return
    yield from _items(entry, value, _KINDS, standby=False)
    yield from _left_over(entry, change.value, lost, wire.Value)
    if change.field == "standby":
        yield from _standby(entry, value.standby)


def _standby(entry: Entry, raw: msgspec.Raw) -> Found:
    try:
        value, lost = open_container(wire.standby, raw)
    except MalformedPayloadError:
        yield Spot(bytes(raw), NOBODY, entry.at, standby=True).unparsed("malformed_item")
        return
    if value == wire.Standby():
        yield None
    yield from _items(entry, value, _STANDBY_KINDS, standby=True)
    yield from _left_over(entry, raw, lost, wire.Standby)


def _items(
    entry: Entry, value: wire.Value | wire.Standby, table: dict[str, Build], *, standby: bool
) -> Found:
    people = people_of(value.contacts) if value.contacts else NOBODY
    for name, build in table.items():
        items: Raws = getattr(value, name)
        if items:
            limited_to_items(items)
            for raw in items:
                yield _safely(Spot(bytes(raw), people, entry.at, standby), build)


def _left_over(
    entry: Entry, raw: msgspec.Raw, lost: tuple[str, ...], known: type[msgspec.Struct]
) -> Found:
    """Keep what did not fit: a known list of the wrong shape, or a list of something new."""
    if not lost:
        return
    value = salvage(bytes(raw))
    for name in lost:
        if name not in known.__struct_fields__ and not isinstance(value[name], list):
            continue  # a new detail, not a new kind of item
        piece = msgspec.json.encode({name: value[name]})
        spot = Spot(piece, NOBODY, entry.at, standby=known is wire.Standby)
        yield spot.unparsed("malformed_item" if name in known.__struct_fields__ else "unknown_kind")


def _safely(spot: Spot, build: Build) -> InboundEvent | None:
    try:
        return build(spot)
    except MalformedPayloadError:
        return spot.unparsed("malformed_item")


def _is_group_notice(field: str) -> bool:
    return field.startswith("group_") and field.endswith("_update")


def _notice(spot: Spot, change: Change) -> InboundEvent:
    return AccountNoticed(
        event_id=key(change.field, fingerprint(spot.raw), str(spot.sent_at.timestamp())),
        visitor="",
        occurred_at=spot.sent_at,
        kind=change.field,
        data=facts(salvage(bytes(change.value)), without=_ADDRESS),
    )


def _unread(lost: Lost) -> InboundEvent:
    event_id = key("unparsed", fingerprint(lost.raw), lost.name)
    reason = "malformed_item" if lost.name else "unknown_kind"
    return unparsed(event_id, lost.raw, reason, occurred_at=lost.at)  # type: ignore[arg-type]


_KINDS: dict[str, Build] = {
    "messages": kinds.message,
    "message_echoes": kinds.echo,
    "statuses": kinds.status,
    "user_preferences": kinds.preference,
    "user_id_update": kinds.user_id_update,
    "calls": kinds.call,
    "user_actions": kinds.action,
    "errors": kinds.error,
}
_STANDBY_KINDS: dict[str, Build] = {
    "messages": kinds.message,
    "message_echoes": kinds.echo,
    "statuses": kinds.status,
}
