"""The files of messages as a timeline shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.documents import Message
from libs.common.events import ContentPart, MediaKind, MediaPart, MessageEdited, TemplatePart
from libs.common.files.api import attachment_id


class AttachmentView(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a message, as people see it.

    Attributes:
        mime_type: Found in the content once `stored`; what the provider claimed before.
        size_bytes: 0 while it is not known.
        state: `pending` until it is fetched from the provider, `stored`, or `failed` for good.
        reason: Why it failed: `too_large`, `type_not_allowed`, `gone`, `refused`, `unreachable`.
        url: Path below our address that needs no login and works until `url_expires_at`; empty
            unless it is stored.
    """

    id: str
    kind: MediaKind
    name: str
    mime_type: str
    size_bytes: int
    state: Literal["pending", "stored", "failed"]
    reason: str = ""
    url: str = ""
    url_expires_at: datetime | None = None


def attached(messages: Iterable[Message]) -> tuple[str, ...]:
    """Return the ids of the attachments of *messages* and of the edits among them."""
    found = (
        file_id for message in messages for file_id, _ in files_of(message, shown_parts(message))
    )
    return tuple(dict.fromkeys(found))


def shown_parts(message: Message) -> tuple[ContentPart, ...]:
    """Return the content of an entry, or the new content that an edit brings."""
    event = message.event
    return event.parts if isinstance(event, MessageEdited) else message.parts


def files_of(
    message: Message, parts: Sequence[ContentPart], edited: Message | None = None
) -> Iterable[tuple[str, MediaPart]]:
    """Return the attachments' ids with their parts; a provider's own sticker has no file.

    *message* is where the parts came with; where that is an edit of *edited*, which repeats its
    files (a caption was changed), they are the files that were there before.
    """
    before = (
        {_same(part): found for found, part in files_of(edited, edited.parts)} if edited else {}
    )
    for place, shown in enumerate(parts):
        part = shown.header_media if isinstance(shown, TemplatePart) else shown
        if isinstance(part, MediaPart) and (part.attachment or part.url or part.media_id):
            derived = attachment_id(message.workspace, message.id, place)
            yield part.attachment or before.get(_same(part), derived), part


def _same(part: MediaPart) -> tuple[str, ...]:
    """Return what two parts with the same file at the provider share."""
    return (part.kind, part.sha256) if part.sha256 else (part.kind, part.media_id, part.url)


def unknown_file(message: Message, file_id: str, part: MediaPart) -> AttachmentView:
    """Return what *message* alone tells of a file.

    It is still to be fetched, unless it was uploaded, and is gone, or was new in an edit: those are
    not fetched.
    """
    reason = ""
    if part.attachment and not part.url and not part.media_id:
        reason = "gone"
    elif isinstance(message.event, MessageEdited) and file_id in _own_ids(message):
        reason = "unreachable"
    return AttachmentView(
        id=file_id,
        kind=part.kind,
        name=part.name,
        mime_type=part.mime_type,
        size_bytes=part.size_bytes or 0,
        state="failed" if reason else "pending",
        reason=reason,
    )


def _own_ids(message: Message) -> set[str]:
    """Return the ids of files that came with *message* and with none before it."""
    places = range(len(shown_parts(message)))
    return {attachment_id(message.workspace, message.id, place) for place in places}
