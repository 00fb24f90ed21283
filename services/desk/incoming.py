"""Reading an upload as it arrives: a form's `file`, or the body itself with `?name=`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import BadHttpMessage

from libs.common.errors import InvalidInputError
from services.desk.api.problem import RefusalError
from services.desk.api.route import Uploaded

T = TypeVar("T")

CHUNK = 64 * 1024
WITHIN_S = 15.0
"""Seconds in which the next piece of an upload must arrive."""
LONGEST_NAME = 200
_FORM_ROOM = 64 * 1024
"""Bytes that a form may have around its file."""
_UNFIT = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
_FIELD = "file"


async def uploaded(request: web.Request, limit: int) -> Uploaded:
    """Return the file that *request* brings, to be read once.

    Raises:
        RefusalError: 400, 408, 413 or 415: the body cannot be read, or is too large.
        InvalidInputError: 422: there is no file in it, or it has no name.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RefusalError(415, "unsupported_media_type", "Send the body uncompressed.")
    if request.content_length is not None and request.content_length > limit + _FORM_ROOM:
        raise RefusalError(
            413, "too_large", f"The file is larger than {limit} bytes.", limit_bytes=str(limit)
        )
    name = request.query.get("name", "")
    if request.content_type.startswith("multipart/"):
        form, part = await _file_part(request)
        return Uploaded(name=_named(name or part.filename or ""), chunks=_form_chunks(form, part))
    if not request.body_exists:
        raise _missing()
    return Uploaded(name=_named(name), chunks=_chunks(request))


async def _file_part(request: web.Request) -> tuple[MultipartReader, BodyPartReader]:
    if request.content_type != "multipart/form-data":
        raise RefusalError(
            415, "unsupported_media_type", "Send multipart/form-data, or the file itself."
        )
    form = await _read(request.multipart())
    part = await _read(form.next())
    if part is None:
        raise _missing()
    if not isinstance(part, BodyPartReader) or part.name != _FIELD:
        raise _unknown(part)
    return form, part


async def _form_chunks(form: MultipartReader, part: BodyPartReader) -> AsyncIterator[bytes]:
    """Yield the file; the form must end behind it, or it may have been cut."""
    while chunk := await _read(part.read_chunk(CHUNK)):
        yield bytes(chunk)
    behind = await _read(form.next())
    if behind is not None:
        raise _unknown(behind)


def _unknown(part: object) -> InvalidInputError:
    shown = str(getattr(part, "name", ""))[:50]
    return InvalidInputError(
        f"{shown}: the form takes one field, file.", field=shown, allowed=_FIELD
    )


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    while chunk := await _read(request.content.read(CHUNK)):
        yield chunk


async def _read(coming: Awaitable[T]) -> T:
    """Await a piece of the body.

    Raises:
        RefusalError: 400 or 408.
    """
    try:
        async with asyncio.timeout(WITHIN_S):
            return await coming
    except TimeoutError:
        raise RefusalError(408, "body_too_slow", "The body did not arrive in time.") from None
    except (web.RequestPayloadError, BadHttpMessage, ConnectionError, ValueError, AssertionError):
        raise RefusalError(400, "malformed_body", "The body was cut off or is damaged.") from None


def _named(given: str) -> str:
    """Return the last step of a path, without what hides or turns characters.

    Raises:
        InvalidInputError: Nothing is left.
    """
    whole = given.encode("utf-8", "replace").decode()
    name = _UNFIT.sub("", re.split(r"[/\\]", whole)[-1]).strip()
    if not name.strip("."):
        raise InvalidInputError(
            "name: the file needs a name with an extension.", field="name", allowed="photo.jpg"
        )
    return name[-LONGEST_NAME:]


def _missing() -> InvalidInputError:
    return InvalidInputError("file: there is no file in the body.", field=_FIELD, allowed="a file")
