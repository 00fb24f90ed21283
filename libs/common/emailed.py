"""What became of the email with a reply that the web chat has shown. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from libs.common.documents import Message
from libs.common.events import SendReported
from libs.common.status import BY_EMAIL


class Emailed(NamedTuple):
    """When the first email went out, or else why the last one did not; neither: there was none."""

    at: datetime | None = None
    failed: str = ""


def emailed(reports: Iterable[Message]) -> Emailed:
    """Return what the *reports* about one message say of emails with it, in any order."""
    said = [
        (report.occurred_at, report.event)
        for report in reports
        if isinstance(report.event, SendReported) and report.event.via == BY_EMAIL
    ]
    out = min((at for at, event in said if event.status == "sent"), default=None)
    if out is not None:
        return Emailed(at=out)
    last = max(((at, event.reason) for at, event in said), default=None)
    return Emailed(failed=last[1] if last else "")
