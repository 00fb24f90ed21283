"""A multipart/form-data body (RFC 7578) around a stored file that is read while it is sent."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator

from libs.common.channel import Upload
from libs.common.errors import NotFoundError, NotSentError, RejectedError, StoreUnavailableError
from libs.common.files.api import Files

_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
UNKNOWN = "application/octet-stream"
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")


class Form:
    """One body. Its size is known before the first byte is sent; nothing is held whole.

    Args:
        upload: What to send; `file.size_bytes` must be its true size.
        pieces: The file's bytes.
    """

    def __init__(self, upload: Upload, pieces: AsyncIterator[bytes]) -> None:
        boundary = f"relaydesk-{secrets.token_hex(16)}"
        self._head = _head(upload, boundary)
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._expected = upload.file.size_bytes
        self._pieces = pieces
        self.incomplete = False
        """The file ended early or could not be read on: whoever received the body has no whole
        one, so nothing came of it."""
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.size = len(self._head) + self._expected + len(self._tail)

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body, `size` bytes.

        Raises:
            NotSentError: The file could not be read on, or has another size.
        """
        yield self._head
        left = self._expected
        try:
            async for piece in self._pieces:
                left -= len(piece)
                if left < 0:
                    break
                yield piece
        except (StoreUnavailableError, NotFoundError):
            left = -1
        if left:
            self.incomplete = True
            raise NotSentError("the file could not be read to its end")
        yield self._tail


async def open_form(workspace: str, upload: Upload, files: Files | None) -> Form:
    """Begin to read the file, so that a missing one is known before anything is sent.

    Raises:
        RejectedError: The file is not there (`file_missing`).
        NotSentError: The storage is away.
    """
    if files is None:
        raise RejectedError("no storage of files is open", reason="file_missing")
    pieces = files.read(workspace, upload.file.id)
    try:
        first = await anext(pieces, b"")
    except NotFoundError:
        raise RejectedError("the file is not there any more", reason="file_missing") from None
    except StoreUnavailableError as error:
        raise NotSentError(f"the file cannot be read: {error.detail}") from None
    return Form(upload, _from(first, pieces))


async def _from(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for piece in rest:
        yield piece


def _head(upload: Upload, boundary: str) -> bytes:
    lines: list[str] = []
    for field, value in upload.fields.items():
        lines += [f"--{boundary}", f'Content-Disposition: form-data; name="{_quoted(field)}"']
        lines += ["", value]
    name, mime_type = _quoted(upload.file.name or upload.file.id), upload.file.mime_type
    lines += [
        f"--{boundary}",
        f'Content-Disposition: form-data; name="{_quoted(upload.field)}"; filename="{name}"',
        f"Content-Type: {mime_type if _TYPE.fullmatch(mime_type) else UNKNOWN}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("utf-8", "replace")


def _quoted(text: str) -> str:
    """Escape what would end the quotes, as browsers do (WHATWG HTML, multipart/form-data)."""
    return text.translate(_ESCAPES)
