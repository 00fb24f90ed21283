"""Reading what the gateway calls the stub with: JSON, forms with files, and files behind links."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.multipart import BodyPartReader

from libs.common.simulate.calls import Call, FileSeen, links_in

LINK_S = 10.0
"""Seconds to fetch a file behind a link."""
LARGEST = 120 * 1024 * 1024
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})
_OK = 200


async def received(request: web.Request, links: aiohttp.ClientSession) -> Call:
    """Read one call, with the files that its links lead to."""
    uploads: dict[str, FileSeen] = {}
    if request.content_type.startswith("multipart/"):
        body: Any = await _form(request, uploads)
    else:
        body = _decoded(await request.read())
    linked = {link: await fetched(links, link) for link in links_in(body)}
    return Call(
        method=request.method,
        path=request.match_info["path"],
        query=dict(request.query),
        headers={name.lower(): value for name, value in request.headers.items()},
        json=body,
        uploads=uploads,
        linked=linked,
    )


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw) if raw else {}
    except ValueError:
        return raw.decode("utf-8", "replace")


async def _form(request: web.Request, uploads: dict[str, FileSeen]) -> dict[str, Any]:
    """Return the plain fields, objects decoded; put the files into *uploads*."""
    fields: dict[str, Any] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        name = part.name or ""
        if part.filename is None:
            raw = bytes(await part.read())
            fields[name] = _decoded(raw) if raw[:1] in {b"{", b"["} else raw.decode()
            continue
        size, sha256 = 0, hashlib.sha256()
        while piece := await part.read_chunk():
            size += len(piece)
            sha256.update(piece)
        uploads[name] = FileSeen(
            via="upload",
            sha256=sha256.hexdigest(),
            size_bytes=size,
            mime_type=part.headers.get("Content-Type", ""),
            name=part.filename,
        )
    return fields


async def fetched(links: aiohttp.ClientSession, link: str) -> FileSeen:
    """Return what lies behind *link*; only links to this machine are followed."""
    if urlsplit(link).hostname not in _HERE:
        return FileSeen(via="link", link=link, error="not on this machine, not fetched")
    try:
        async with links.get(link, allow_redirects=False) as answer:
            if answer.status != _OK:
                return FileSeen(via="link", link=link, error=f"HTTP {answer.status}")
            size, sha256 = 0, hashlib.sha256()
            async for piece in answer.content.iter_any():
                size += len(piece)
                sha256.update(piece)
                if size > LARGEST:
                    return FileSeen(via="link", link=link, error="HTTP answer is too large")
            return FileSeen(
                via="link",
                sha256=sha256.hexdigest(),
                size_bytes=size,
                mime_type=answer.content_type,
                link=link,
            )
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return FileSeen(via="link", link=link, error=f"HTTP {type(error).__name__}")
