"""The port behind which the bytes of attachments lie: a folder, GridFS or S3 storage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from libs.common.events import MediaKind
from libs.common.ids import derive_id

ALLOWED: Mapping[str, tuple[MediaKind, str]] = {
    "mp3": ("audio", "audio/mpeg"),
    "png": ("image", "image/png"),
    "jpg": ("image", "image/jpeg"),
    "jpeg": ("image", "image/jpeg"),
    "gif": ("image", "image/gif"),
    "mp4": ("video", "video/mp4"),
    "m4a": ("audio", "audio/mp4"),
    "webm": ("video", "video/webm"),
    "pdf": ("file", "application/pdf"),
    "vcf": ("file", "text/vcard"),
    "ogg": ("audio", "audio/ogg"),
    "3gpp": ("video", "video/3gpp"),
    "wav": ("audio", "audio/wav"),
    "mov": ("video", "video/quicktime"),
    "aac": ("audio", "audio/aac"),
    "acc": ("audio", "audio/aac"),
}
"""What people may send, by extension: how it is shown, and the content type that it must have.

`acc` stands in the product's own list for `aac`; both are taken.
"""


def attachment_id(workspace: str, message_id: str, part: int) -> str:
    """Return the id of the file at place *part* (from 0) of a visitor's message.

    Known without a query, so that whoever shows or fetches it finds the same document.
    """
    return derive_id("att", workspace, message_id, str(part))


class Files(Protocol):
    """Stored bytes by (workspace, attachment id). An id is written once and never changed."""

    async def put(self, workspace: str, file_id: str, chunks: AsyncIterator[bytes]) -> int:
        """Store whole or not at all, durably; return the size in bytes.

        What is there already under this id stays, so that a repeat after a crash is harmless.
        Whatever *chunks* raises ends it with nothing stored, and passes through.

        Raises:
            StoreUnavailableError: The storage is away or full.
        """

    def read(self, workspace: str, file_id: str, *, start: int = 0) -> AsyncIterator[bytes]:
        """Yield the bytes from *start* on, in pieces of at most 256 KiB.

        Raises:
            NotFoundError: Nothing is stored under this id.
            StoreUnavailableError: The storage is away.
        """

    async def delete(self, workspace: str, file_id: str) -> None:
        """Remove; nothing happens when it is not there.

        Raises:
            StoreUnavailableError: The storage is away.
        """

    async def check(self) -> None:
        """Return if it can be used now.

        Raises:
            StoreUnavailableError: It cannot.
        """
