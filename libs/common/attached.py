"""A stored file as a message of ours carries it."""

from __future__ import annotations

from libs.common.documents import Attachment
from libs.common.events import MediaPart


def part_of(file: Attachment) -> MediaPart:
    """Return the part that names *file*."""
    return MediaPart(
        kind=file.kind,
        name=file.name,
        mime_type=file.mime_type,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        duration_ms=file.duration_ms,
        attachment=file.id,
    )
