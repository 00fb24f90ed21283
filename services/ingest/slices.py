"""Cutting a body that speaks of several accounts, so that none gets another's data. Pure.

The body is `{"object": ..., "entry": [...]}`, each entry with lists of items (`messaging`,
`standby`, `changes`), as the Meta family sends it. Whom a piece is for is asked of the channel,
so nothing about ids is known here: an entry for one account stays whole, any other is cut into
its items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from libs.common.channel import WebhookRequest
from libs.common.decode import decode, salvage
from libs.common.errors import MalformedPayloadError

Address = tuple[str, str]
"""(channel, external id)."""

Addressees = Callable[[WebhookRequest], frozenset[Address]]


class _Body(msgspec.Struct):
    object: msgspec.Raw = msgspec.Raw(b'""')
    entry: list[msgspec.Raw] = []


_body = msgspec.json.Decoder(_Body)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_encoder = msgspec.json.Encoder()


def slices(request: WebhookRequest, addressees: Addressees) -> dict[Address, bytes]:
    """Return a body for each address that *request* speaks of, with its own items only.

    Raises:
        MalformedPayloadError: It is no such body, even leniently read.
    """
    body = _opened(request.body)
    found: dict[Address, list[msgspec.Raw]] = {}
    for entry in body.entry:
        for piece, addresses in _pieces(request, body.object, entry, addressees):
            for address in addresses:
                found.setdefault(address, []).append(piece)
    return {
        address: _encoder.encode(_Body(body.object, entries)) for address, entries in found.items()
    }


def _opened(body: bytes) -> _Body:
    try:
        return decode(_body, body)
    except MalformedPayloadError:
        return decode(_body, _encoder.encode(salvage(body)))


def _pieces(
    request: WebhookRequest, kind: msgspec.Raw, entry: msgspec.Raw, addressees: Addressees
) -> Iterator[tuple[msgspec.Raw, frozenset[Address]]]:
    def whom(piece: msgspec.Raw) -> frozenset[Address]:
        body = _encoder.encode(_Body(kind, [piece]))
        try:
            return addressees(msgspec.structs.replace(request, body=body))
        except MalformedPayloadError:  # nobody's, rather than perhaps another's
            return frozenset()

    addresses = whom(entry)
    if len(addresses) <= 1:
        yield entry, addresses
        return
    for piece in _cut(entry):
        yield piece, whom(piece)


def _cut(entry: msgspec.Raw) -> Iterator[msgspec.Raw]:
    """Yield the entry once for each item of its lists, with that item alone."""
    fields = _opened_entry(entry)
    lists = {name: items for name, raw in fields.items() if (items := _as_list(raw)) is not None}
    rest = {name: raw for name, raw in fields.items() if name not in lists}
    for name, items in lists.items():
        for item in items:
            yield msgspec.Raw(_encoder.encode({**rest, name: [item]}))


def _opened_entry(entry: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return decode(_fields, entry)
    except MalformedPayloadError:
        return decode(_fields, _encoder.encode(salvage(bytes(entry))))


def _as_list(raw: msgspec.Raw) -> list[msgspec.Raw] | None:
    try:
        return decode(_items, raw)
    except MalformedPayloadError:
        return None
