"""Events that name a comment in place of a person: what the page itself did below it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from libs.common.documents import MESSAGES, Message
from libs.common.events import BELOW, MessageReceived
from libs.common.store.api import Page, Store
from services.router.entry import Arrival

COMMENTS = "fb_comment"
"""The channel where the page's own doings name a comment in place of a person."""

_PAGE = 100


async def addressed(store: Store, workspace: str, arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Return *arrivals* with the visitor whose comment it is, where that comment is known.

    The page's answer typed at the provider, or the removal of a comment that names nobody, belong
    to the conversation of whoever wrote the comment. What comes before the comment itself stays as
    it is, and in no conversation until `early` finds it. Nothing is asked for other events.
    """
    wanted = {_place(arrival) for arrival in arrivals} - {None}
    if not wanted:
        return list(arrivals)
    writers = _writers(arrivals)
    places = sorted(place for place in wanted if place is not None and place not in writers)
    page = Page(order="provider", limit=1)
    found = await asyncio.gather(
        *(
            store.find(MESSAGES, workspace, {"account": account, "provider_ids": comment}, page)
            for account, comment in places
        )
    )
    writers |= {
        place: messages[0].visitor
        for place, messages in zip(places, found, strict=True)
        if messages and not messages[0].visitor.startswith(BELOW)
    }
    return [_given(arrival, writers.get(_place(arrival) or ("", ""))) for arrival in arrivals]


async def early(
    store: Store, workspace: str, arrivals: Sequence[Arrival]
) -> dict[tuple[str, str], list[Message]]:
    """Return what was stored before the comments among *arrivals*, by account and comment.

    It points at the comment (`entry.place_below`), and still does once it has a session, so that a
    repeat after a crash finds it again. Nothing is asked for other channels.
    """
    places = sorted(
        {
            (arrival.inbound.account, event.message_id)
            for arrival in arrivals
            if arrival.inbound.channel == COMMENTS
            and isinstance(event := arrival.inbound.event, MessageReceived)
        }
    )
    page = Page(order="target", limit=_PAGE)
    found = await asyncio.gather(
        *(
            store.find(MESSAGES, workspace, {"account": account, "target": BELOW + comment}, page)
            for account, comment in places
        )
    )
    return {place: rows for place, rows in zip(places, found, strict=True) if rows}


def _writers(arrivals: Sequence[Arrival]) -> dict[tuple[str, str], str]:
    """Return who wrote the comments that came in the same batch, by account and comment."""
    return {
        (arrival.inbound.account, event.message_id): event.visitor
        for arrival in arrivals
        if isinstance(event := arrival.inbound.event, MessageReceived)
    }


def _place(arrival: Arrival) -> tuple[str, str] | None:
    """Return the account and the comment that the event names, or None."""
    inbound = arrival.inbound
    if not inbound.event.visitor.startswith(BELOW):
        return None
    return inbound.account, inbound.event.visitor.removeprefix(BELOW)


def _given(arrival: Arrival, visitor: str | None) -> Arrival:
    if visitor is None:
        return arrival
    event = msgspec.structs.replace(arrival.inbound.event, visitor=visitor)
    inbound = msgspec.structs.replace(arrival.inbound, event=event)
    return msgspec.structs.replace(arrival, inbound=inbound)
