"""Replies that wait for a visitor of the web chat who has left, and what they are mailed.

The notifier alone writes both. A reply waits in the plugin in any case (stream VISITORS): these
documents say only which of them may have to go out by email as well, and which did.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.errors import InvalidInputError
from libs.common.mail_bytes import check_address
from libs.common.store.api import Collection, Document, Index

MOST_REPLIES = 50
"""Replies of one email, and settled ones that are remembered, at most; older ones are forgotten."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of ours that was put into the plugin at `at`, by our clock.

    `said_at` is its time as the plugin shows it, by which the visitor tells what they have read;
    `method` is its author's choice, empty: by the settings.
    """

    id: str
    at: datetime
    said_at: datetime
    method: Literal["", "email", "plugin"] = ""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """An email that is on its way: begun once, and finished by whoever finds it after a crash.

    `key` is that of its `mails.Mail`, `replies` are the ids of the messages in it.
    """

    key: str
    to: str
    replies: tuple[str, ...]
    at: datetime


class Awaited(Document, kw_only=True):
    """What of a session (the id) its visitor has perhaps not seen.

    Attributes:
        replies: Those that nothing has become of yet, oldest first.
        settled: Ids of those that something has: seen, mailed, or waiting in the plugin alone. A
            message that is published once more is not told once more.
        due_at: When to look; the timer `offline` is armed for it. None: nothing is open.
        letter: The email that is being sent.
        mailed_at: When the last one went out.
    """

    account: str
    visitor: str
    replies: tuple[Reply, ...] = ()
    settled: tuple[str, ...] = ()
    due_at: datetime | None = None
    letter: Letter | None = None
    mailed_at: datetime | None = None
    updated_at: datetime


class Written(Document, kw_only=True):
    """How often an address (the id is its hash) was written to as a visitor's.

    Attributes:
        mails: Keys and times of the emails of the last day, oldest first.
    """

    mails: tuple[tuple[str, datetime], ...] = ()
    updated_at: datetime


AWAITED = Collection(
    "awaited",
    Awaited,
    (Index("updated", ("updated_at", "id")), Index("due", ("due_at", "id"))),
)
WRITTEN = Collection("visitor_mails", Written, (Index("updated", ("updated_at", "id")),))

OFFLINE = (AWAITED, WRITTEN)


def first_address(*known: str) -> str:
    """Return the first of what may be addresses that is one, or ""."""
    return next((address for address in map(valid_address, known) if address), "")


def valid_address(text: str) -> str:
    """Return *text* as it goes over the wire if it is an email address of the internet, else ""."""
    try:
        address = check_address(text)
    except InvalidInputError:
        return ""
    return address if "." in address.rpartition("@")[2] else ""


def written_id(address: str) -> str:
    """Return the id of an address's `Written`; upper and lower case are the same mailbox."""
    return hashlib.sha256(address.lower().encode()).hexdigest()[:32]
