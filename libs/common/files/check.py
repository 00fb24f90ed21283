"""What a file is, by its content; what people may send; and what is never stored.

`puremagic` knows the signatures; the containers that several of our types share (MP4 and its kin,
Matroska, Ogg, the sounds without a header) are looked into here.
"""

from __future__ import annotations

import re

import puremagic

from libs.common.errors import FileRefusedError
from libs.common.events import MediaKind
from libs.common.files.api import ALLOWED
from libs.common.files.containers import DECIDED, container_types

HEAD_BYTES = 4096
"""How much of a file's beginning is looked at."""
UNKNOWN = "application/octet-stream"

_MEBIBYTE = 1024 * 1024
_ALIASES = {
    "image/pjpeg": "image/jpeg",
    "image/x-ms-bmp": "image/bmp",
    "application/x-gzip": "application/gzip",
}
_TRUSTED = re.compile(
    r"(image|audio|video)/(?!svg)[a-z0-9.+-]+"
    r"|application/(pdf|zip|gzip|rtf|x-7z-compressed|vnd\.rar)"
    r"|application/vnd\.(openxmlformats-officedocument|oasis\.opendocument)[a-z0-9.+-]+"
)
_SURE = 0.3
"""Confidence of `puremagic` (0 to 1) from which its word is taken for any visitor's file."""
_ZIP = b"PK\x03\x04"

_RUNNING = re.compile(
    r"ade|adp|app|application|appref-ms|bat|chm|cmd|com|command|cpl|desktop|dll|dmg|exe|gadget|hta"
    r"|html?|inf|ins|iso|jar|jnlp|jse?|ksh|lnk|mht|mhtml|msc|msh|msix?|msp|mst|pif|ps1|psm1|pyw?"
    r"|reg|scf|scr|sct|sh|shb|svgz?|sys|terminal|url|vbe?|vbs|vxd|workflow|ws[cfh]?|xht|xhtml|xslt?"
)
"""Extensions that Windows, macOS or a Linux desktop runs or opens in a browser on a click."""

_PROGRAMS = (
    b"MZ",
    b"\x7fELF",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\xca\xfe\xba\xbf",
    b"dex\n",
    b"\x00asm",
    b"L\x00\x00\x00\x01\x14\x02\x00",
)
"""Windows, Linux, macOS, Java, Android, WebAssembly, and a Windows shortcut."""
_SOUNDS_LIKE_SCRIPTS = (b"#!AMR", b"#!SILK")
_MARKUP = re.compile(
    r"<(!doctype\s+(html|svg)|!--|\?php|\?xml-stylesheet|"
    r"(html|head|title|script|iframe|body|svg|style|table|div|font|img|br|link|meta|base|object|"
    r"embed|form|a|b|p|h1|xsl:stylesheet|math|video|audio)[\s>/])",
    re.IGNORECASE,
)
_ACTIVE_XML = re.compile(
    r"<(svg|html|xsl:|\w+:(svg|html|script))|xml-stylesheet|xhtml", re.IGNORECASE
)
_BATCH = re.compile(r"@echo\s+(off|on)", re.IGNORECASE)


def allowed(
    name: str, head: bytes, size: int, *, limit: int = 100 * _MEBIBYTE
) -> tuple[MediaKind, str]:
    """Return how a file that somebody wants to send is shown, and its content type (B06).

    Args:
        name: The file's name; only its extension counts.
        head: Its first `HEAD_BYTES` bytes, or all of a shorter one.
        size: Its size in bytes.
        limit: Largest size taken, in bytes.

    Raises:
        FileRefusedError: `too_large`, `type_not_allowed` (the extension) or `type_mismatch` (the
            content is something else).
    """
    extension = name.rpartition(".")[2].strip().lower() if "." in name else ""
    if extension not in ALLOWED:
        listed = ", ".join(ALLOWED)
        shown = (
            f"files of the type .{extension[:16]}" if extension else "files without an extension"
        )
        raise FileRefusedError(f"{shown} cannot be sent; allowed are {listed}", allowed=listed)
    if size > limit:
        raise FileRefusedError(
            f"the file has {_megabytes(size)} MB; at most {_megabytes(limit)} MB can be sent",
            code="too_large",
            limit_bytes=str(limit),
        )
    kind, mime_type = ALLOWED[extension]
    if mime_type not in types(head):
        raise FileRefusedError(
            f"the content of the file is not what its name says (.{extension})",
            code="type_mismatch",
            found=sniff(head),
        )
    return kind, mime_type


def sniff(head: bytes) -> str:
    """Return the content type of a visitor's file, `application/octet-stream` when unsure.

    It is never a type that a browser would run: those are `is_active`.
    """
    if is_active(head):
        return UNKNOWN
    if contained := container_types(head):
        return contained[0]
    surest = {mime_type for mime_type in _signatures(head, _SURE) if _TRUSTED.fullmatch(mime_type)}
    if len(surest) == 1:
        return surest.pop()
    if head.startswith(_ZIP):
        return "application/zip"
    return "text/plain" if _is_text(head) else UNKNOWN


def types(head: bytes) -> frozenset[str]:
    """Return every content type that the beginning of a file fits; empty when it is active."""
    if is_active(head):
        return frozenset()
    return frozenset(container_types(head) or _signatures(head))


def is_active(head: bytes) -> bool:
    """Tell whether the content is a program, a script, or markup that a browser would run."""
    if head.startswith(_PROGRAMS):
        return True
    if head.startswith(b"#!"):
        return not head.startswith(_SOUNDS_LIKE_SCRIPTS)
    text = _text(head)
    if text.startswith("<?xml"):
        return _ACTIVE_XML.search(text) is not None
    return _MARKUP.match(text) is not None or _BATCH.match(text) is not None


def runs_by_name(name: str) -> bool:
    """Tell whether a desktop would run a file of this name, whatever is in it."""
    _, dot, extension = name.rstrip(" .").rpartition(".")
    return bool(dot) and _RUNNING.fullmatch(extension.lower()) is not None


def _signatures(head: bytes, least: float | None = None) -> list[str]:
    """Return the content types that `puremagic` finds; with *least* only the surest ones."""
    if not head:
        return []
    try:
        matches = [match for match in puremagic.magic_string(head) if match.mime_type]
    except (puremagic.PureError, ValueError):
        return []
    if least is not None:
        best = max((match.confidence for match in matches), default=0.0)
        matches = [match for match in matches if match.confidence == best >= least]
    named = [_ALIASES.get(match.mime_type, match.mime_type) for match in matches]
    return [mime_type for mime_type in named if mime_type not in DECIDED]


def _text(head: bytes) -> str:
    """Return the beginning as a browser would read it: by its byte order mark, blanks skipped."""
    encoding = "utf-8"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    return head.decode(encoding, "replace").lstrip("\ufeff \t\r\n\f\0")


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", "ignore")  # a character may be cut at the end
    return len(head) - len(text.encode()) < _CUT and bool(text) and not _CONTROLS.search(text)


_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_CUT = 4
"""A character of UTF-8 has at most four bytes, so fewer are lost where the head ends."""


def _megabytes(size: int) -> str:
    return f"{size / _MEBIBYTE:.1f}".removesuffix(".0")
