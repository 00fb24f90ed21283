"""That two visitors are one person, as an event told it."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec


class Person(NamedTuple):
    """A visitor on an account."""

    account: str
    channel: str
    visitor: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """*one* and *other* are the same person, told at `at`.

    With `became_at`, *other* is who *one* was until then, by the provider's time. An `alias` is an
    id that the person still has, and that may be given to somebody else.
    """

    one: Person
    other: Person
    at: datetime
    became_at: datetime | None = None
    alias: bool = False
