"""The containers that several types share, told apart by what stands inside them."""

from __future__ import annotations

from collections.abc import Callable

_MP4_BRANDS = ("isom", "iso2", "iso3", "iso4", "iso5", "iso6", "iso7", "iso8", "iso9")
_MP4_MORE = ("mp41", "mp42", "mp71", "avc1", "dash", "MSNV", "F4V ", "cmfc", "M4V ", "M4VH")
_SOUND_BRANDS = ("M4A ", "M4B ", "M4P ", "F4A ", "F4B ")
_PICTURE_BRANDS = {"heic": "image/heic", "heix": "image/heic", "mif1": "image/heif"}
_PICTURE_BRANDS |= {"avif": "image/avif", "avis": "image/avif"}
_OLD_QUICKTIME = (b"moov", b"mdat", b"wide", b"pnot")
_MIN_BOX = 16
_MPEG_BAD_RATE = 15
_MPEG_BAD_FREQUENCY = 3


DECIDED = frozenset(
    {
        "video/mp4",
        "audio/mp4",
        "video/quicktime",
        "video/3gpp",
        "video/webm",
        "video/x-matroska",
        "audio/ogg",
        "video/ogg",
        "audio/wav",
        "audio/mpeg",
        "audio/aac",
        "text/vcard",
    }
)
"""What only the looks below decide: their signatures alone fit too much else."""


def container_types(head: bytes) -> tuple[str, ...]:
    """Return the content types that fit, the likeliest first; empty when it is no such container.

    Several fit where the file itself does not say: an MP4 without a brand of its own may hold
    sound only.
    """
    for look in _LOOKS:
        if found := look(head):
            return found
    return ()


def _iso(head: bytes) -> tuple[str, ...]:
    """ISO/IEC 14496-12: the box `ftyp` with its major and its compatible brands."""
    if head[4:8] in _OLD_QUICKTIME and head[:2] in {b"\0\0", b"\0\1"}:
        return ("video/quicktime",)
    if head[4:8] != b"ftyp" or len(head) < _MIN_BOX:
        return ()
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[at : at + 4].decode("latin-1") for at in (8, *range(16, length - 3, 4))]
    return _of_brands(brands[0], brands[1:])


def _of_brands(major: str, compatible: list[str]) -> tuple[str, ...]:
    if major == "qt  ":
        return ("video/quicktime",)
    if major.startswith(("3gp", "3g2", "3gr", "3gs")):
        return ("video/3gpp",)
    if major in _SOUND_BRANDS:
        return ("audio/mp4",)
    if major in _PICTURE_BRANDS:
        return (_PICTURE_BRANDS[major],)
    if major in {*_MP4_BRANDS, *_MP4_MORE}:
        mobile = any(brand.startswith(("3gp", "3g2")) for brand in compatible)
        return ("video/mp4", "audio/mp4", *(("video/3gpp",) if mobile else ()))
    return ()


def _matroska(head: bytes) -> tuple[str, ...]:
    """EBML (RFC 8794): the element DocType, 0x4282, with a length of one byte."""
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return ()
    at = head.find(b"\x42\x82", 4, 128)
    length = head[at + 2] & 0x7F if 0 < at < len(head) - 3 else 0
    kind = head[at + 3 : at + 3 + length] if length else b""
    return ("video/webm",) if kind == b"webm" else ("video/x-matroska",)


def _ogg(head: bytes) -> tuple[str, ...]:
    """RFC 3533; a film has a Theora stream."""
    if not head.startswith(b"OggS\0"):
        return ()
    return ("video/ogg",) if b"\x80theora" in head else ("audio/ogg",)


def _wave(head: bytes) -> tuple[str, ...]:
    return ("audio/wav",) if head[:4] == b"RIFF" and head[8:12] == b"WAVE" else ()


def _speech(head: bytes) -> tuple[str, ...]:
    return ("audio/amr",) if head.startswith((b"#!AMR\n", b"#!AMR-WB\n")) else ()


def _mpeg(head: bytes) -> tuple[str, ...]:
    """MP3 and AAC: a frame header of ISO/IEC 11172-3 or 13818-7 (ADTS), perhaps behind ID3 tags."""
    if head.startswith(b"ID3"):
        at = _behind_tags(head)
        found = _frame(head[at : at + 4])
        return found or (("audio/mpeg",) if at >= len(head) else ())
    return _frame(head[:4])


def _behind_tags(head: bytes) -> int:
    """Return where the tags end: sizes have seven bits a byte, without the header of ten."""
    at = 0
    while head[at : at + 3] == b"ID3" and at + 10 <= len(head):
        size = 0
        for byte in head[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        at += 10 + size
    while at < len(head) and head[at] == 0:  # padding
        at += 1
    return at


def _frame(start: bytes) -> tuple[str, ...]:
    if len(start) < 4 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:  # noqa: PLR2004 (eleven set bits)
        return ()
    layer, rate, frequency = start[1] >> 1 & 3, start[2] >> 4, start[2] >> 2 & 3
    if layer == 0:  # ADTS has twelve set bits and no layer
        return ("audio/aac",) if start[1] & 0xF0 == 0xF0 else ()  # noqa: PLR2004
    reserved = start[1] >> 3 & 3 == 1
    good = rate != _MPEG_BAD_RATE and frequency != _MPEG_BAD_FREQUENCY and not reserved
    return ("audio/mpeg",) if good else ()


def _card(head: bytes) -> tuple[str, ...]:
    """RFC 6350, 3.3: a card begins with `BEGIN:VCARD`, in any case."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:12].upper()
    return ("text/vcard",) if text.startswith(b"BEGIN:VCARD") else ()


_LOOKS: tuple[Callable[[bytes], tuple[str, ...]], ...] = (
    _iso,
    _matroska,
    _ogg,
    _wave,
    _speech,
    _mpeg,
    _card,
)
