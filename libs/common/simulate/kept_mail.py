"""A mail as the sink keeps and shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import msgspec


class KeptMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as it came; `raw` is all of it, headers as lines, and bytes that are no UTF-8 marked.

    `sender` and `to` are of the envelope, `headers` in their order.
    """

    at: datetime
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...]
    raw: str


def kept(sender: str, to: tuple[str, ...], raw: bytes) -> KeptMail:
    """Return a mail as it is shown."""
    parsed = message_from_bytes(raw, policy=policy.default)
    return KeptMail(
        at=datetime.now(UTC),
        sender=sender,
        to=to,
        subject=str(parsed.get("Subject", "")),
        text=_content(parsed, "plain"),
        html=_content(parsed, "html"),
        headers=tuple((name, str(value)) for name, value in parsed.items()),
        raw=raw.decode("utf-8", "replace"),
    )


def _content(mail: EmailMessage, subtype: str) -> str:
    part = mail.get_body((subtype,))
    return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""
