"""Small real files of every kind, made here: what the simulated visitors send.

Each is whole enough for its format's readers to name it by its content.
"""

from __future__ import annotations

import base64
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache

import msgspec

from libs.common.events import MediaKind

_JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhb"
    "WGkJ6jq62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSk"
    "pKSkpKSkpKSkpKSkpKSkpKT/wAARCAACAAIDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8"
    "QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0"
    "NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7"
    "i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcI"
    "CQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGR"
    "omJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmq"
    "srO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwCtRRRXonKf/9k="
)
_WEBP = "UklGRh4AAABXRUJQVlA4TBEAAAAvAUAAAAdQs86Uuf+BiOh/AAA="
_GIF = "R0lGODdhAgACAIEAADNmzAAAAAAAAAAAACwAAAAAAgACAAAIBgABCAQQEAA7"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One file: how it is shown, its extension and content type, and its bytes."""

    kind: MediaKind
    extension: str
    mime_type: str
    content: bytes

    @property
    def name(self) -> str:
        """A file name that fits."""
        return f"sample.{self.extension}"


def sample(extension: str) -> Sample:
    """Return the sample of a file type.

    Raises:
        KeyError: There is none for *extension*; `EXTENSIONS` has them all.
    """
    return _made(extension)


@cache
def _made(extension: str) -> Sample:
    kind, mime_type, make = _TYPES[extension]
    return Sample(kind=kind, extension=extension, mime_type=mime_type, content=make())


USUAL: Mapping[str, str] = {
    "image": "jpg",
    "audio": "ogg",
    "voice": "ogg",
    "video": "mp4",
    "file": "pdf",
    "document": "pdf",
    "sticker": "webp",
}
"""The word for a kind in a media id, and the file that stands behind it."""

_BY_LAST_DIGIT = {"1": "jpg", "2": "m4a", "3": "mp4", "4": "pdf"}
LAST_DIGIT: Mapping[str, str] = {"image": "1", "audio": "2", "video": "3", "file": "4"}
"""The last digit of a numeric media id (LINE) that stands for a kind."""


def behind(media_id: str, *, audio: str = "ogg") -> Sample:
    """Return the file that a made-up media id stands for.

    An id says it itself: by an extension at its end, by a word of `USUAL` in it, or, where it is
    a number, by its last digit; everything else is a picture. *audio* is how sound comes there.
    """
    extension = media_id.rpartition(".")[2]
    if extension in _TYPES:
        return sample(extension)
    word = next((word for word in USUAL if word in media_id.lower()), "")
    if word in {"audio", "voice"}:
        return sample(audio)
    return sample(USUAL.get(word) or _BY_LAST_DIGIT.get(media_id[-1:], "jpg"))


def picture(shade: int) -> bytes:
    """Return a PNG of one pixel; *shade* from 0 to 255 tells one from another."""
    return _png(shade % 256)


# --- the files ---------------------------------------------------------------------------------


def _png(shade: int = 128) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((0, shade)))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def _decoded(text: str) -> Callable[[], bytes]:
    return lambda: base64.b64decode(text)


def _boxes(brand: bytes) -> Callable[[], bytes]:
    """Return an ISO media file of *brand* without a track: the boxes `ftyp`, `moov`, `mdat`."""

    def box(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", 8 + len(data)) + name + data

    movie = box(b"mvhd", bytes(12) + struct.pack(">II", 1000, 1000) + bytes(80))
    start = box(b"ftyp", brand + bytes(4) + brand)
    return lambda: start + box(b"moov", movie) + box(b"mdat", bytes(16))


def _mp3() -> bytes:
    """Two silent frames of MPEG 1 layer III, 128 kbit/s at 44.1 kHz: 417 bytes each."""
    return (b"\xff\xfb\x90\x00" + bytes(413)) * 2


def _aac() -> bytes:
    """Two ADTS frames (AAC-LC, 44.1 kHz, one channel) of 32 bytes."""
    return (bytes.fromhex("fff1504004") + b"\x1f\xfc" + bytes(25)) * 2


def _wav() -> bytes:
    data = bytes(160)
    layout = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    inner = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", len(inner) + len(data)) + inner + data


def _ogg() -> bytes:
    """One page with the header of an Opus stream."""
    opus = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 312, 48000, 0, 0)
    return b"OggS" + struct.pack("<BBqIIIBB", 0, 2, 0, 1, 0, 0, 1, len(opus)) + opus


def _webm() -> bytes:
    """An EBML header of document type `webm`, and an empty segment."""
    kind = bytes.fromhex("4286810142f7810142f2810442f381084282") + b"\x84webm"
    kind += bytes.fromhex("42878104428581021853806780")
    size = len(kind) - 5  # the segment behind the header is five bytes long
    return bytes.fromhex("1a45dfa3") + bytes((0x80 | size,)) + kind


def _pdf() -> bytes:
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>",
    )
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(out)
    out += b"xref\n0 4\n0000000000 65535 f \n" + table
    return out + b"trailer<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % start


def _vcard() -> bytes:
    return b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Example\r\nTEL:+15557770000\r\nEND:VCARD\r\n"


def _amr() -> bytes:
    """One silent frame of AMR narrow band."""
    return b"#!AMR\n" + b"\x3c" + bytes(31)


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("readme.txt"), "hello")
    return out.getvalue()


_TYPES: Mapping[str, tuple[MediaKind, str, Callable[[], bytes]]] = {
    "jpg": ("image", "image/jpeg", _decoded(_JPEG)),
    "jpeg": ("image", "image/jpeg", _decoded(_JPEG)),
    "png": ("image", "image/png", _png),
    "gif": ("image", "image/gif", _decoded(_GIF)),
    "webp": ("sticker", "image/webp", _decoded(_WEBP)),
    "mp3": ("audio", "audio/mpeg", _mp3),
    "m4a": ("audio", "audio/mp4", _boxes(b"M4A ")),
    "ogg": ("audio", "audio/ogg", _ogg),
    "wav": ("audio", "audio/wav", _wav),
    "aac": ("audio", "audio/aac", _aac),
    "acc": ("audio", "audio/aac", _aac),
    "amr": ("audio", "audio/amr", _amr),
    "mp4": ("video", "video/mp4", _boxes(b"mp42")),
    "mov": ("video", "video/quicktime", _boxes(b"qt  ")),
    "3gpp": ("video", "video/3gpp", _boxes(b"3gp4")),
    "webm": ("video", "video/webm", _webm),
    "pdf": ("file", "application/pdf", _pdf),
    "vcf": ("file", "text/vcard", _vcard),
    "zip": ("file", "application/zip", _zip),
}
EXTENSIONS = tuple(_TYPES)
