"""Finding out how a body was changed between the provider's signature and the capture."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

PROVED = Callable[[bytes], bool]
"""Tells whether the given signature fits a body."""

_BOM = b"\xef\xbb\xbf"


def change_of(body: bytes, proved: PROVED) -> str:
    """Return what has been done to *body* since it was signed, empty where no guess fits."""
    return next((words for words, guess in _guesses(body) if guess != body and proved(guess)), "")


def looks_rewritten(body: bytes, *, escapes: bool) -> str:
    """Return why a JSON body cannot be what the provider wrote; empty where it can be.

    Providers write JSON without spaces; those that *escapes* also write no character beyond ASCII.
    """
    if body.startswith(_BOM):
        return "it begins with a byte-order mark, which providers never send"
    if escapes and not body.isascii():
        return "it holds characters beyond ASCII, which this provider always escapes"
    if body[:1] in {b"{", b"["} and (b'": ' in body or b"\n" in body.strip()):
        return "it holds spaces or line breaks between its fields, which providers do not write"
    return ""


def _guesses(body: bytes) -> Iterator[tuple[str, bytes]]:
    yield "a line break was added at its end", body.rstrip(b"\r\n")
    yield "white space was added around it", body.strip()
    yield "the line break at its end was cut", body + b"\n"
    yield "its line breaks were changed from CR LF to LF", body.replace(b"\n", b"\r\n")
    yield "its line breaks were changed from LF to CR LF", body.replace(b"\r\n", b"\n")
    yield "a byte-order mark was put before it", body.removeprefix(_BOM)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    for is_ascii in (True, False):
        for separators in ((",", ":"), (", ", ": ")):
            text = json.dumps(value, ensure_ascii=is_ascii, separators=separators)
            for form in (text, text.replace("/", "\\/")):
                yield "its JSON was decoded and written again", _encoded(form)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
