"""The Meta family's webhook envelope: opened strictly, and piece by piece where that fails.

A body is `{"object", "entry": [{"id", "time", "messaging" | "standby" | "changes": [...]}]}`.
The items stay raw JSON here, so that each is decoded, refused and kept by itself: one bad item
costs its neighbours nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from libs.common.decode import convert, decode, salvage
from libs.common.errors import MalformedPayloadError
from libs.common.items import limited_to_items
from libs.common.providers.normal import EPOCH, Id, moment

T = TypeVar("T", bound=msgspec.Struct)

Raws = list[msgspec.Raw] | None


class Entry(msgspec.Struct):
    """What a body says about one page, phone number's owner or professional account."""

    id: Id = None
    time: Any = None
    messaging: Raws = None
    standby: Raws = None
    changes: Raws = None

    @property
    def at(self) -> datetime:
        """When the provider sent it; the epoch where it does not say."""
        return moment(self.time) or EPOCH


class Lost(msgspec.Struct, frozen=True):
    """An entry of which key `name` could not be read; `name` is "" where no key is known."""

    id: Id
    at: datetime
    name: str
    raw: bytes


class Envelope(msgspec.Struct, frozen=True):
    """A whole body; `object` is `page`, `instagram` or `whatsapp_business_account`."""

    object: str
    entries: list[Entry]
    lost: list[Lost]


class _Body(msgspec.Struct):
    object: str = ""
    entry: list[Entry] | None = None


class Change(msgspec.Struct):
    """One element of `changes`."""

    field: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")


_body = msgspec.json.Decoder(_Body)
_entry = msgspec.json.Decoder(Entry)
_change = msgspec.json.Decoder(Change)

_ITEMS = ("messaging", "standby", "changes")


def read(body: bytes) -> Envelope:
    """Open a verified body.

    Raises:
        MalformedPayloadError: It is no envelope at all, even leniently read, or has too many items.
    """
    try:
        found = decode(_body, body)
    except MalformedPayloadError:
        return _read_leniently(body)
    entries = found.entry or []
    _limit(entries)
    for entry in entries:
        if entry.messaging is None and entry.changes is None and entry.standby is None:
            return _read_leniently(body)  # to keep what else is in it
    return Envelope(found.object, entries, [])


def same(given: Id, expected: str) -> bool:
    """Compare an id that may be a JSON number with ours; a missing one is nobody's."""
    return given is not None and (given if isinstance(given, str) else str(given)) == expected


def open_item(decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw) -> T:
    """Decode one item strictly, or else leniently: half an emoji becomes U+FFFD.

    Raises:
        MalformedPayloadError: It does not fit even then; quarantine it alone.
    """
    try:
        return decoder.decode(raw)  # `decode` without its call: this runs for every event
    except (ValueError, RecursionError):
        return convert(salvage(bytes(raw)), decoder.type)


def open_change(raw: msgspec.Raw) -> Change:
    """Decode one element of `changes`; what is no change at all has an empty field."""
    try:
        return decode(_change, raw)
    except MalformedPayloadError:
        return Change(value=raw)


def open_container(
    decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw
) -> tuple[T, tuple[str, ...]]:
    """Decode an object that holds items, without the keys that do not fit; names those.

    Raises:
        MalformedPayloadError: It is not an object.
    """
    try:
        return decode(decoder, raw), ()
    except MalformedPayloadError:
        return _fitting(decoder, salvage(bytes(raw)))


def _read_leniently(body: bytes) -> Envelope:
    value = salvage(body)
    if not isinstance(value, dict):
        raise MalformedPayloadError("not an envelope")
    found = value.get("entry")
    if not isinstance(found, list | None):
        raise MalformedPayloadError("entry is no list")
    name = value.get("object")
    envelope = Envelope(name if isinstance(name, str) else "", [], [])
    limited_to_items(found)
    for item in found or ():
        if isinstance(item, dict):
            _repair(envelope, item)
    _limit(envelope.entries)
    return envelope


def _limit(entries: list[Entry]) -> None:
    limited_to_items(entries)
    limited_to_items(
        *(items for one in entries for items in (one.messaging, one.standby, one.changes))
    )


def _repair(envelope: Envelope, item: dict[str, Any]) -> None:
    entry, names = _fitting(_entry, item)
    envelope.entries.append(entry)
    if not any(name in item for name in _ITEMS) and not {"id", "time"}.issuperset(item):
        names = (*names, "")
    raw = msgspec.json.encode(item) if names else b""
    envelope.lost.extend(Lost(entry.id, entry.at, name, raw) for name in names)


def _fitting(decoder: msgspec.json.Decoder[T], value: Any) -> tuple[T, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise MalformedPayloadError("not an object")
    good, names = {}, []
    for name, item in value.items():
        try:
            decode(decoder, msgspec.json.encode({name: item}))
        except MalformedPayloadError:
            names.append(name)
        else:
            good[name] = item
    return decode(decoder, msgspec.json.encode(good)), tuple(names)
