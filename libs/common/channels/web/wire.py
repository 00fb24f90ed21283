"""The web plugin's own JSON: what its page posts, and what its event stream carries.

The protocol is ours, so that names are final: the README describes it for whoever writes another
widget.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from libs.common.events import ContentPart

ClientId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""Drawn by the page for each message and kept with it, so that a repeat is recognised."""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a visitor token says: visitor id, account slug, issued at (seconds)."""

    v: str
    a: str
    i: int


class Head(msgspec.Struct):
    """Enough to file an item that is otherwise unreadable."""

    id: ClientId
    type: str = "text"


class Item(Head):
    """One thing the visitor did: wrote `text`, or tapped a button (`type` `action`).

    `at` is the page's own clock in milliseconds, hence not to be trusted.
    """

    text: str = ""
    title: str = ""
    payload: str = ""
    at: int | float | None = None
    reply_to: str = ""


class Visitor(msgspec.Struct):
    """What the visitor told about themselves, in a form before the conversation."""

    name: str = ""
    email: str = ""
    phone: str = ""
    language: str = ""


class Page(msgspec.Struct):
    """Where the widget stands; `referrer` is the page before."""

    url: str = ""
    title: str = ""
    referrer: str = ""


class About(msgspec.Struct):
    """What a body says besides its messages; read one by one, as neither is worth a message."""

    profile: msgspec.Raw | None = None
    page: msgspec.Raw | None = None


class Batch(About, kw_only=True):
    """A posted body: several messages, as after a lost connection."""

    messages: list[msgspec.Raw]


class Single(About, kw_only=True):
    """A posted body that is one message itself."""

    id: msgspec.Raw


class VisitorMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message as the visitor's event stream shows it, theirs and ours alike.

    `id` is ours for what we sent, and `<visitor>:<client id>` behind `web:` for what the page
    posted, so that a second tab shows it once. `agent` is a display name, empty for others.
    """

    id: str
    at: datetime
    sender: Literal["visitor", "agent", "bot", "automation", "system"]
    parts: tuple[ContentPart, ...]
    agent: str = ""
