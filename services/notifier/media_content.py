"""What comes in as a visitor's file: looked at while it passes, and never held whole."""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
import re
from collections.abc import AsyncIterator

import msgspec

from libs.common.errors import FileRefusedError, NotSentError
from libs.common.events import MediaPart
from libs.common.files.check import HEAD_BYTES, is_active, runs_by_name, sniff, types
from libs.common.files.containers import container_types

_SHA256_BYTES = 32
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f/\\]+")
_MAX_NAME = 200
_EXTENSIONS = {"audio/mpeg": "mp3", "audio/ogg": "ogg", "audio/amr": "amr", "image/jpeg": "jpg"}
"""Where the table of the standard library has none, or several."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about a file; `sha256` is hexadecimal."""

    mime_type: str
    size_bytes: int
    sha256: str


class ErrorDocumentError(NotSentError):
    """The provider answered with a text where a picture, sound or film was promised."""


class Content:
    """A stream of bytes that is checked on its way: type from the beginning, digest at the end."""

    def __init__(self, chunks: AsyncIterator[bytes], part: MediaPart) -> None:
        self._chunks = chunks
        self._part = part
        self._head = bytearray()
        self._digest = hashlib.sha256()
        self._size = 0
        self.ended = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the bytes.

        Raises:
            FileRefusedError: It is a program, a script or a page (`type_not_allowed`).
            ErrorDocumentError: It is no file at all.
            NotSentError: It is empty, or its digest is not what the provider said.
        """
        held: list[bytes] | None = []
        async for chunk in self._chunks:
            self._take(chunk)
            if held is None:
                yield chunk
            else:
                held.append(chunk)
                if len(self._head) >= HEAD_BYTES:
                    self._check_head()
                    yield b"".join(held)
                    held = None
        if held is not None:
            self._check_head()
            yield b"".join(held)
        self._check_end()
        self.ended = True

    def facts(self) -> Facts:
        """Return what is known at the end."""
        head = bytes(self._head)
        return Facts(
            mime_type=_mime_type(head, self._part),
            size_bytes=self._size,
            sha256=self._digest.hexdigest(),
        )

    def _take(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self._digest.update(chunk)
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]

    def _check_head(self) -> None:
        head = bytes(self._head)
        if is_active(head) or runs_by_name(self._part.name):
            raise FileRefusedError("a program, a script or a page")
        if self._part.kind != "file" and sniff(head) == "text/plain":
            raise ErrorDocumentError(f"text in place of {self._part.kind}")

    def _check_end(self) -> None:
        if not self._size:
            raise NotSentError("the file is empty")
        expected = _digest_of(self._part.sha256)
        if expected and expected != self._digest.digest():
            raise NotSentError("the digest is not what the provider said")


def shown_name(part: MediaPart, mime_type: str) -> str:
    """Return the name to keep: the visitor's, or one made of kind and type."""
    name = _UNSHOWN.sub("_", part.name).strip()[-_MAX_NAME:]
    if name:
        return name
    guessed = _EXTENSIONS.get(mime_type) or (mimetypes.guess_extension(mime_type) or "").lstrip(".")
    return f"{part.kind}.{guessed}" if guessed else part.kind


def _mime_type(head: bytes, part: MediaPart) -> str:
    """Return the type found; a container of sound only is told by what the message calls it."""
    found = sniff(head)
    if part.kind == "audio" and found.startswith("video/"):
        sounds = (t for t in container_types(head) if t.startswith("audio/"))
        return next(sounds, found.replace("video/", "audio/") if found == "video/webm" else found)
    claimed = part.mime_type.partition(";")[0].strip().lower()
    return claimed if claimed in types(head) and claimed.startswith("image/") else found


def _digest_of(text: str) -> bytes:
    """Read a SHA-256 in hexadecimal or base64 (WhatsApp); empty where it is neither."""
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if len(raw) == _SHA256_BYTES else b""
