"""Mails: one to send, what became of it, and the addresses that get none.

The notifier alone sends, and writes `Mailing`; a `Suppression` is written by it, and by desk.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from libs.common.ids import derive_id
from libs.common.store.api import Collection, Document, Index

MailKind = Literal["alert", "visitor", "account"]
"""To an agent, to a visitor who has left, or about a person's own access."""

MailState = Literal["waiting", "started", "sent", "failed", "unknown"]

SuppressionReason = Literal["bounced", "complaint", "unsubscribed", "manual"]
"""Why an address gets no mail: it does not exist, its reader called us spam or asked for no more,
or a person here decided so."""

SuppressionScope = Literal["all", "visitor"]
"""Which mails it holds for: all of the workspace's, or those to visitors."""


class Mail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mail to one address, ready but for its bytes.

    Names and the subject may be anything that somebody called themselves: the headers are made
    safe where they are written, see `mail_bytes`.

    Attributes:
        key: Names this mail for ever in its workspace; a repeat with the same key is the same mail.
        to_name, from_name: Shown beside the addresses; without `from_name`, the one of the setting.
        message_id: `left@right` without brackets; empty: made of the key.
        in_reply_to, references: Of a thread, as `message_id`; both of mails before this one.
        reply_to: An address; empty: none.
        unsubscribe: Address of the page on which its reader wants no more; takes RFC 8058's POST.
        about: What it is about, kept in the ledger (an alert's session, say).
    """

    key: str
    workspace: str
    kind: MailKind
    to: str
    to_name: str = ""
    from_name: str = ""
    subject: str
    text: str
    html: str = ""
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    reply_to: str = ""
    unsubscribe: str = ""
    about: str = ""


class Mailed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a mail.

    Attributes:
        state: `sent`, `failed`, `unknown` (it may have arrived; it is not tried again) and
            `suppressed` are final; `waiting` is to be tried again after `delay_s`; `off`: there is
            no mail server.
        reason: Stable word: `bad_address`, `bounced`, `unsubscribed`, `refused`,
            `sender_refused`, `too_late`, `unreachable`, `busy`, ...
        code: The server's, such as 550; 0: none.
    """

    state: Literal["sent", "failed", "unknown", "suppressed", "waiting", "off"]
    reason: str = ""
    code: int = 0
    delay_s: float = 0.0
    maybe_duplicate: bool = False


class Mailing(Document, kw_only=True):
    """The ledger's line of a mail; its id is `Mail.key`.

    `started` is written before the server is given the mail (DATA), and `waiting` tells that
    certainly nothing is out, or nothing but what `maybe_duplicate` admits. Who finds `started`
    after `started_at` has aged cannot know what happened: it is sent once more, with
    `maybe_duplicate`, and if that is not known either it is `unknown`, never a third time.

    Attributes:
        tries: How often it was begun, a connection that failed included.
        reason, code: Of the last try, see `Mailed`.
        refused: Addresses that the server refused for good.
        first_at: Of the first try; mails are given up by it.
        updated_at: Of this line.
    """

    kind: MailKind
    state: MailState
    about: str = ""
    message_id: str = ""
    tries: int = 0
    reason: str = ""
    code: int = 0
    refused: tuple[str, ...] = ()
    maybe_duplicate: bool = False
    first_at: datetime
    started_at: datetime | None = None
    sent_at: datetime | None = None
    updated_at: datetime


class Suppression(Document, kw_only=True):
    """An address that gets no mail; its id is made of the address, see `suppression_id`.

    Attributes:
        shown: The address, all but covered: `a…@example.com`.
        until: When it may be tried again; None: never, until it is lifted.
        code: The mail server's, where it was that; 0: none.
    """

    scope: SuppressionScope = "all"
    reason: SuppressionReason
    shown: str
    since: datetime
    until: datetime | None = None
    code: int = 0


def suppression_id(address: str, scope: SuppressionScope = "all") -> str:
    """Return the id of an address's suppression; the same however its case is written."""
    return derive_id("sup", scope, address.strip().casefold())


def covered(address: str) -> str:
    """Return an address as a list may show it: `a…@example.com`."""
    local, _, domain = address.strip().rpartition("@")
    return f"{local[:1]}…@{domain}"


MAILINGS = Collection(
    "mailings",
    Mailing,
    (
        Index("state", ("state", "updated_at", "id")),
        Index("time", ("updated_at", "id")),
    ),
)
SUPPRESSIONS = Collection("mail_suppressions", Suppression, (Index("since", ("since", "id")),))

MAILS = (MAILINGS, SUPPRESSIONS)
