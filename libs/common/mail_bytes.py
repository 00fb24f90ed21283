"""A mail's bytes: every header is written here, so that none of them is another's content.

The standard library's writer is not used for headers: Python before 3.11.10 takes a line break
that hides in an encoded word of a name for a real one (CVE-2024-6923), and folds some addresses
into others (CVE-2025-1795). RFC 5322 (format), 2047 (encoded words), 2045 (quoted-printable).
"""

from __future__ import annotations

import quopri
import re
import unicodedata
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from email.utils import format_datetime
from hashlib import sha256

from libs.common.errors import InvalidInputError
from libs.common.mails import Mail
from libs.common.text import split_text

NAME_CHARS = 80
SUBJECT_CHARS = 160
_LINE = 76
_WORD_BYTES = 45  # of UTF-8 in one encoded word: 60 of base64, and 12 around it
_ADDRESS_CHARS = 254
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_LOCAL_CHARS = 64
_ID = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+")
_URL = re.compile(r"https?://[!-;=?-~]+")
_KEPT_FORMATS = frozenset("\u200c\u200d") | {chr(c) for c in range(0xE0020, 0xE0080)}
_DROPPED = frozenset({"Cf"})
_BLANKED = frozenset({"Cc", "Zl", "Zp", "Zs"})
_TEXT_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def clean_header(text: str, limit: int = NAME_CHARS) -> str:
    """Return *text* as a header may show it: one line, nothing hidden, no encoded word.

    Line breaks and other controls become blanks, what turns the direction of writing or is
    invisible goes (joiners inside words and emoji stay), `=?` is torn, and it is cut to *limit*
    characters without tearing one that a reader sees.
    """
    shown = "".join(_shown(char) for char in text[: 8 * limit])
    line = " ".join(shown.split())
    if len(line) > limit:
        line = split_text(line, limit - 1, "characters")[0] + "…"
    return line.replace("=?", "= ?")


def check_address(address: str, field: str = "email") -> str:
    """Return the address as it goes over the wire; a domain in other scripts becomes ASCII.

    Raises:
        InvalidInputError: It is none, or one that needs SMTPUTF8; names *field*.
    """
    local, at, domain = address.strip().rpartition("@")
    try:
        wire = domain.encode("idna").decode("ascii") if domain else ""
    except UnicodeError:
        wire = ""
    labels = wire.split(".")
    fits = (
        bool(at)
        and len(local) <= _LOCAL_CHARS
        and _LOCAL.fullmatch(local) is not None
        and "=?" not in local
        and all(_LABEL.fullmatch(label) for label in labels)
        and len(local) + 1 + len(wire) <= _ADDRESS_CHARS
    )
    if not fits:
        raise InvalidInputError(
            f"{field} is not an email address, `name@example.com` in ASCII before the @",
            field=field,
        )
    return f"{local}@{wire}"


def message_id(*parts: str, n: int = 0, domain: str) -> str:
    """Return a Message-ID without brackets that is the same for the same *parts* for ever."""
    digest = sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:40]
    return f"{digest}.{n}@{domain}"


def render(mail: Mail, sender: tuple[str, str], at: datetime, *, maybe_duplicate: bool) -> bytes:
    """Return the whole mail, CRLF throughout, ASCII throughout.

    Args:
        mail: Its addresses are as `check_address` returned them.
        sender: Name and address of From.
        at: For Date.
        maybe_duplicate: An earlier try may have arrived; a header says so.

    Raises:
        InvalidInputError: An address, message id or link in it is none.
    """
    name, address = sender
    lines = [
        _header("From", _mailbox(mail.from_name or name, address)),
        _header("To", _mailbox(mail.to_name, mail.to)),
        *([_header("Reply-To", _mailbox("", mail.reply_to))] if mail.reply_to else ()),
        _header("Subject", _words(clean_header(mail.subject, SUBJECT_CHARS))),
        _header("Date", [format_datetime(at)]),
        *_thread(mail, address.rpartition("@")[2]),
        _header("Auto-Submitted", ["auto-generated"]),
        _header("X-Auto-Response-Suppress", ["All"]),
        *([_header("Precedence", ["bulk"])] if mail.kind == "alert" else ()),
        *_unsubscribe(mail.unsubscribe),
        *([_header("X-Maybe-Duplicate", ["yes"])] if maybe_duplicate else ()),
        _header("MIME-Version", ["1.0"]),
    ]
    return "".join(lines).encode("ascii") + _body(mail)


def _shown(char: str) -> str:
    category = unicodedata.category(char)
    if category in _BLANKED:
        return " "
    if category == "Cs":
        return "\ufffd"
    return "" if category in _DROPPED and char not in _KEPT_FORMATS else char


def _thread(mail: Mail, domain: str) -> list[str]:
    own = mail.message_id or message_id(mail.workspace, mail.key, domain=domain)
    lines = [_header("Message-ID", [_bracketed(own)])]
    if mail.in_reply_to:
        lines.append(_header("In-Reply-To", [_bracketed(mail.in_reply_to)]))
    if mail.references:
        lines.append(_header("References", [_bracketed(each) for each in mail.references]))
    return lines


def _bracketed(an_id: str) -> str:
    if not _ID.fullmatch(an_id):
        raise InvalidInputError("a message id is `left@right` of letters, digits, `.`, `_`, `-`")
    return f"<{an_id}>"


def _unsubscribe(url: str) -> list[str]:
    """RFC 2369's link and RFC 8058's word that one POST to it is enough."""
    if not url:
        return []
    if not _URL.fullmatch(url):
        raise InvalidInputError("an unsubscribe link is an http(s) address", field="unsubscribe")
    lines = [f"List-Unsubscribe: <{url}>\r\n"]
    if url.startswith("https://"):  # RFC 8058 asks for https
        lines.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
    return lines


def _mailbox(name: str, address: str) -> list[str]:
    checked = check_address(address)
    shown = clean_header(name)
    if not shown:
        return [checked] if not name else [f"<{checked}>"]
    if shown.isascii():
        escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
        return [*f'"{escaped}"'.split(" "), f"<{checked}>"]
    return [*_words(shown), f"<{checked}>"]


def _words(line: str) -> list[str]:
    """Return a cleaned line as words of a header: its own if ASCII, else encoded ones."""
    if line.isascii():
        return line.split(" ")
    words, piece = [], ""
    for char in line:
        if len((piece + char).encode()) > _WORD_BYTES:
            words.append(piece)
            piece = ""
        piece += char
    return [f"=?utf-8?b?{b64encode(each.encode()).decode()}?=" for each in (*words, piece)]


def _header(name: str, words: Iterable[str]) -> str:
    """Fold before a word where a line grows too long; unfolding gives the same words back."""
    lines, line = [], f"{name}:"
    for word in words:
        if len(line) + 1 + len(word) > _LINE and line != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {word}"
    return "\r\n".join((*lines, line)) + "\r\n"


def _body(mail: Mail) -> bytes:
    plain = _part("plain", mail.text)
    if not mail.html:
        return plain
    boundary = f"=_{sha256(mail.key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
    # Quoted-printable never writes `=_`, so that no text can hold the boundary.
    parts = b"".join(
        f"--{boundary}\r\n".encode() + part + b"\r\n" for part in (plain, _part("html", mail.html))
    )
    head = f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'
    return head.encode() + parts + f"--{boundary}--\r\n".encode()


def _part(subtype: str, text: str) -> bytes:
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    shown = _TEXT_CONTROLS.sub(" ", lines).encode("utf-8", "replace")
    encoded = quopri.encodestring(shown).replace(b"\n", b"\r\n")
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\n"
    return head.encode() + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded
