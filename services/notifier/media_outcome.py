"""What a try to fetch a file comes to: pure."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from libs.common.documents import Attachment
from libs.common.errors import (
    CredentialError,
    FileRefusedError,
    GatewayError,
    RejectedError,
    RetryableError,
)
from libs.common.events import MediaPart
from services.notifier.media_content import ErrorDocumentError, Facts, shown_name
from services.notifier.media_fetch import GoneError

REFUSED_TRIES = 8
"""Tries, about two minutes, until a refusal by the provider is believed."""
LONGEST_PAUSE_S = 600.0
_FINAL = {"too_large": "too_large", "forbidden_target": "refused", "redirected": "refused"}
_LARGEST_POWER = 10


def stored(doc: Attachment, part: MediaPart, facts: Facts) -> Attachment:
    """Return the document of a file that is in the storage."""
    return msgspec.structs.replace(
        doc,
        state="stored",
        reason="",
        fetch_at=None,
        name=shown_name(part, facts.mime_type),
        mime_type=facts.mime_type,
        size_bytes=facts.size_bytes,
        sha256=facts.sha256,
    )


def failed(doc: Attachment, reason: str) -> Attachment:
    """Return the document of a file that will never come."""
    return msgspec.structs.replace(doc, state="failed", reason=reason, fetch_at=None)


def after_failure(doc: Attachment, error: GatewayError, now: datetime) -> Attachment:
    """Return what becomes of a file whose *doc.tries*-th try ended with *error*.

    A link that expired or a file that is not ready comes right by itself, so a refusal is believed
    only after `REFUSED_TRIES`; everything else is tried until the file can be there no more.
    """
    if isinstance(error, FileRefusedError):
        return failed(doc, error.code)
    if isinstance(error, RejectedError) and error.reason in _FINAL:
        return failed(doc, _FINAL[error.reason])
    refused = isinstance(error, RejectedError | ErrorDocumentError)
    if refused and not isinstance(error, CredentialError) and doc.tries >= REFUSED_TRIES:
        return failed(doc, "gone" if _is_gone(error) else "refused")
    pause_s = min(float(2 ** min(doc.tries - 1, _LARGEST_POWER)), LONGEST_PAUSE_S)
    if isinstance(error, RetryableError):
        pause_s = max(pause_s, error.delay_s)
    again = now + timedelta(seconds=pause_s)
    return msgspec.structs.replace(doc, fetch_at=min(again, doc.fetch_before or again))


def _is_gone(error: GatewayError) -> bool:
    """Tell whether the provider has it no more: by its status, or in its own words."""
    return isinstance(error, GoneError) or getattr(error, "reason", "") == "gone"
