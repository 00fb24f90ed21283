"""A message on DEAD as people see it, and what its redrive publishes. Pure.

A burial keeps the body and the message's own headers, and says under `Relaydesk-…` why and whence
(see `bus.settle.dead_headers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from libs.common.bus.delivery import FOR, StoredMessage
from libs.common.errors import PermanentError
from libs.common.subjects import STREAMS, TIMERS

REDRIVES = "Relaydesk-Redrives"
"""How often a message was redriven before it was buried (again)."""
_OURS = frozenset(
    {
        "Relaydesk-Reason",
        "Relaydesk-Detail",
        "Relaydesk-Stream",
        "Relaydesk-Sequence",
        "Relaydesk-Attempts",
        "Relaydesk-Subject",
        "Relaydesk-Consumer",
        "Relaydesk-Truncated",
        REDRIVES,
        FOR,
    }
)
"""What a burial added; it says nothing of the message brought back."""
_FIRED_TTL = "24h"
"""A fired timer is kept so long: its stream has no age of its own."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A buried message: who gave it up, why, and where it came from.

    `consumer` is the durable consumer that gave it up; empty in burials of an older version.
    `sequence` is its place on DEAD; `source` its place in `stream`. `truncated` are the bytes of a
    body that did not fit on DEAD beside its reason, 0 for none.
    """

    sequence: int
    service: str
    consumer: str
    reason: str
    detail: str
    stream: str
    source: int
    subject: str
    tries: int
    redrives: int
    truncated: int
    buried_at: datetime
    workspace: str
    account: str
    message: StoredMessage


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters are meant; an empty field means any."""

    sequences: frozenset[int] = frozenset()
    service: str = ""
    reason: str = ""
    workspace: str = ""
    account: str = ""
    since: datetime | None = None

    def __contains__(self, letter: Letter) -> bool:
        """Tell whether *letter* is meant."""
        if self.sequences and letter.sequence not in self.sequences:
            return False
        if self.since is not None and letter.buried_at < self.since:
            return False
        named = ("service", "reason", "workspace", "account")
        return all(getattr(self, one) in {"", getattr(letter, one)} for one in named)


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What a redrive hands to JetStream."""

    subject: str
    data: bytes
    msg_id: str
    headers: Mapping[str, str]


def letter_of(message: StoredMessage) -> Letter:
    """Return what *message* of DEAD says; what it does not say is empty."""
    headers = message.headers
    subject = headers.get("Relaydesk-Subject", "")
    workspace, account = _whose(subject, message.data)
    return Letter(
        sequence=message.sequence,
        service=message.subject.split(".")[1],
        consumer=headers.get("Relaydesk-Consumer", ""),
        reason=headers.get("Relaydesk-Reason", ""),
        detail=headers.get("Relaydesk-Detail", ""),
        stream=headers.get("Relaydesk-Stream", ""),
        source=_number(headers, "Relaydesk-Sequence"),
        subject=subject,
        tries=_number(headers, "Relaydesk-Attempts"),
        redrives=_number(headers, REDRIVES),
        truncated=_number(headers, "Relaydesk-Truncated"),
        buried_at=datetime.fromtimestamp(message.stored_at_ns / 1e9, UTC),
        workspace=workspace,
        account=account,
        message=message,
    )


def publication(letter: Letter, data: bytes) -> Publication:
    """Return what brings *letter* back, its body being *data*.

    The message id is the letter's own: two redrives of one letter are stored once, and the window
    of the id that it had before does not swallow it. Only the consumer that gave it up takes it
    up again; the others of its stream had it.

    Raises:
        PermanentError: It does not say where it came from, or what it says is no place of ours.
    """
    streams = {stream.name: stream for stream in STREAMS}
    stream = streams.get(letter.stream)
    if stream is None or not any(fits(one, letter.subject) for one in stream.subjects):
        where = f"{letter.stream or 'no stream'}, {letter.subject or 'no subject'}"
        raise PermanentError(f"it cannot be brought back: it names {where}")
    headers = {k: v for k, v in letter.message.headers.items() if k not in _OURS}
    headers = {k: v for k, v in headers.items() if not k.lower().startswith("nats-")}
    headers[REDRIVES] = str(letter.redrives + 1)
    if letter.consumer:
        headers[FOR] = letter.consumer
    if stream is TIMERS:
        headers["Nats-TTL"] = _FIRED_TTL
    return Publication(
        subject=letter.subject,
        data=data,
        msg_id=f"redrive:{letter.sequence}:{letter.message.stored_at_ns}",
        headers=headers,
    )


def fits(pattern: str, subject: str) -> bool:
    """Tell whether *subject* is one that *pattern* (with `*` and `>`) names."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, given = wanted[:-1], given[: len(wanted) - 1] if len(given) >= len(wanted) else []
    return len(wanted) == len(given) and all(
        one in {"*", other} for one, other in zip(wanted, given, strict=True)
    )


class _Whose(msgspec.Struct):
    workspace: str = ""
    account: str = ""


def _whose(subject: str, data: bytes) -> tuple[str, str]:
    """Return workspace and account, as far as the subject or the body tells them."""
    try:
        found = msgspec.json.decode(data, type=_Whose) if data else _Whose()
    except (ValueError, RecursionError):
        found = _Whose()
    tokens = subject.split(".")
    places = {"in": (2, 4), "ev": (1, 0), "out": (0, 2), "alert": (2, 0), "raw": (1, 3)}
    workspace, account = places.get(tokens[0], (0, 0))
    return (
        _token(tokens, workspace) or found.workspace,
        _token(tokens, account) or found.account,
    )


def _token(tokens: list[str], place: int) -> str:
    return tokens[place] if 0 < place < len(tokens) else ""


def _number(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else 0
