"""What agents look at in the inbox: filters that they saved, and the one a fresh login shows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.store.api import Collection, Document, Index
from libs.common.switches import ListName

MOST_VALUES = 50
"""Values of one filter."""

Name = Annotated[str, Meta(max_length=100, pattern=r"^[^\x00]*$")]
Word = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")]
_Few = Meta(max_length=MOST_VALUES)


class FilterValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filters of `GET /sessions`, by the same names; what is left out is not filtered by."""

    list: Annotated[tuple[ListName, ...], _Few] = ()
    channel: Annotated[tuple[Name, ...], _Few] = ()
    account: Annotated[tuple[Name, ...], _Few] = ()
    parties: Annotated[tuple[Literal["bot", "agent"], ...], _Few] = msgspec.field(
        name="with", default=()
    )
    assignee: Annotated[tuple[Name, ...], _Few] = ()
    tag: Annotated[tuple[Word, ...], _Few] = ()
    snoozed: Literal["false", "true", "all"] = "false"


WITH_AGENT = FilterValues(parties=("agent",))
"""What a fresh login shows: conversations that agents answer."""


class SavedFilter(Document, kw_only=True):
    """A filter under a name, of an agent, or `shared` with everybody.

    `place` is the agent whose it is, empty for a shared one. `digest`: hash of the request that
    made it, to tell a repeat from another one.
    """

    place: str
    agent: str
    name: str
    query: FilterValues
    created_at: datetime
    digest: str = ""


class InboxChoice(Document, kw_only=True):
    """What an agent (the id) wants to be shown at login: a saved filter's id, or the values."""

    filter: str = ""
    query: FilterValues | None = None


SAVED_FILTERS = Collection("saved_filters", SavedFilter, (Index("place", ("place", "name", "id")),))
INBOX_CHOICES = Collection("inbox_choices", InboxChoice, ())
INBOXES = (SAVED_FILTERS, INBOX_CHOICES)
