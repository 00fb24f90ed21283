"""The console's files: a page at `/`, its service worker, and what lies below `/assets/`.

They are read once, at the start. Browsers keep them, and ask each time whether they still are what
they were (`no-cache` and an `ETag`), so that a new version shows at once. Nothing here says who
asks: all that is secret comes from the API.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from services.desk.api.problem import RefusalError
from services.desk.filedoor import Work

FOLDER = Path(__file__).with_name("console")
TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'; trusted-types relaydesk"
)
"""Text becomes markup nowhere; the one script address made at run time is the worker's."""

Guarding = Callable[[str, Work], Any]
"""Makes a handler of a name and of work, as `server.Door` does."""


class Asset(msgspec.Struct, frozen=True):
    """A file with what its answer says of it."""

    content: bytes
    content_type: str
    etag: str


def read_assets(folder: Path = FOLDER) -> Mapping[str, Asset]:
    """Return the files of *folder* by name; one whose kind is not in `TYPES` is not served."""
    return {
        path.name: _asset(path.read_bytes(), TYPES[path.suffix])
        for path in sorted(folder.iterdir())
        if path.suffix in TYPES
    }


def add_console(app: web.Application, guarding: Guarding, expect: Any) -> None:
    """Serve the console with GET and HEAD."""
    assets = read_assets()

    async def file(request: web.Request) -> web.StreamResponse:
        return answer(request, assets.get(request.match_info["name"]))

    def always(name: str) -> Work:
        async def named(request: web.Request) -> web.StreamResponse:
            return answer(request, assets[name])

        return named

    served = {"/": always("index.html"), "/sw.js": always("sw.js"), "/assets/{name}": file}
    for path, work in served.items():
        for method in ("GET", "HEAD"):
            handler = guarding("console", work)
            app.router.add_route(method, path, handler, expect_handler=expect)


def answer(request: web.Request, asset: Asset | None) -> web.Response:
    """Return the file, or 304 for who has it already.

    Raises:
        RefusalError: 404, there is no such file.
    """
    if asset is None:
        raise RefusalError(404, "no_such_route", "There is nothing here.")
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "ETag": f'"{asset.etag}"',
    }
    known = request.if_none_match or ()
    if any(tag.value in {asset.etag, "*"} for tag in known):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = asset.content_type
    return web.Response(body=asset.content, headers=headers)


def _asset(content: bytes, content_type: str) -> Asset:
    return Asset(content, content_type, hashlib.sha256(content).hexdigest()[:24])
