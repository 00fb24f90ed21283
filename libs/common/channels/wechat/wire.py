"""WeChat's XML or JSON as flat fields, and its answers.

A message is a handful of named values, some of them nested two or three deep, and differently
spelt in upper and lower case over the years. Both formats become one mapping with lower-case
dotted names: `fromusername`, `scancodeinfo.scantype`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import (  # types only: defusedxml parses
    Element,
    ParseError,
)

import msgspec
from defusedxml.ElementTree import fromstring

from libs.common.errors import MalformedPayloadError
from libs.common.items import decode_leniently

Fields = dict[str, str]

BODY_LIMIT = 256 * 1024
"""Bytes; real messages have under 10 KiB."""
TAGS_LIMIT = 5000
"""Opening brackets. Building elements is slow enough to hold up the loop: 5,000 take 10 ms."""

_DEPTH_LIMIT = 6
_FIELDS_LIMIT = 500
_JSON = msgspec.json.Decoder(dict[str, Any])
_ENCRYPTED = re.compile(  # possessive throughout: anyone may have us search anything
    rb"<Encrypt>\s*+(?:<!\[CDATA\[)?+([A-Za-z0-9+/=]++)(?:\]\]>)?+\s*+</Encrypt>"
    rb'|"Encrypt"\s*+:\s*+"([A-Za-z0-9+/=\\]++)"'
)
_FORBIDDEN_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class SendAnswer(msgspec.Struct):
    """What every call answers with status 200; `errcode` is absent where a result is."""

    errcode: int | None = None
    errmsg: str = ""
    access_token: str = ""
    expires_in: int = 0
    media_id: str = ""


class MediaAnswer(msgspec.Struct):
    """JSON that `media/get` answers in the content's place: a refusal, or where a film lies."""

    errcode: int = 0
    video_url: str = ""


def encrypted_part(body: bytes) -> str:
    """Return the ciphertext that *body* carries; empty where it has none.

    Found by its name alone: the signature covers just this text, so nothing that is not yet
    proven reaches a parser.
    """
    found = _ENCRYPTED.search(body)
    if found is None:
        return ""
    return (found[1] or found[2].replace(b"\\/", b"/")).decode()


def fields_of(body: bytes) -> Fields:
    """Read a plain message, XML or JSON.

    Raises:
        MalformedPayloadError: Neither; or a DTD, an entity, or more of it than a message can have.
    """
    if len(body) > BODY_LIMIT or body.count(b"<") > TAGS_LIMIT:
        raise MalformedPayloadError("too long for a message")
    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    fields: Fields = {}
    pairs = _of_json(decode_leniently(_JSON, text)) if text[:1] == b"{" else _of_xml(_tree(text))
    for name, value in pairs:
        if len(fields) >= _FIELDS_LIMIT:
            raise MalformedPayloadError("too many fields for a message")
        fields[_free(fields, name)] = value
    return fields


def _tree(body: bytes) -> Element:
    try:
        return _parsed(body)
    except MalformedPayloadError:
        # Control characters and damaged UTF-8 reach us in nicknames and texts all the same.
        whole = body.decode("utf-8", "replace")
        return _parsed(_FORBIDDEN_IN_XML.sub("", whole).encode())


def _parsed(body: bytes) -> Element:
    try:
        tree: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, ValueError, LookupError) as error:  # defusedxml's are ValueErrors
        raise MalformedPayloadError(type(error).__name__) from None
    return tree


def _of_xml(element: Element, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    if depth > _DEPTH_LIMIT:
        raise MalformedPayloadError("nested too deep")
    for child in element:
        name = f"{path}{child.tag.lower()}"
        if len(child):
            yield from _of_xml(child, f"{name}.", depth + 1)
        else:
            yield name, child.text or ""


def _of_json(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    if depth > _DEPTH_LIMIT:
        raise MalformedPayloadError("nested too deep")
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _of_json(item, f"{path}.{name.lower()}" if path else name.lower(), depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _of_json(item, path, depth + 1)
    elif value is not None:
        yield path, value if isinstance(value, str) else str(value)


def _free(fields: Fields, name: str) -> str:
    """Return *name*, numbered from 2 on where the message repeats it."""
    if name not in fields:
        return name
    number = 2
    while f"{name}.{number}" in fields:
        number += 1
    return f"{name}.{number}"
