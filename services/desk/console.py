"""The console's files: a page at `/`, its service worker, and what lies below `/assets/`.

They are read once, at the start, and packed with gzip. The page names them below
`/assets/v-<version>/`, which browsers keep for good: the version is made of all their contents, so
a new one shows at once, and a page never mixes two. Without a version they are asked for each time
(`no-cache` and an `ETag`). Nothing here says who asks: all that is secret comes from the API.
"""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from services.desk.api.problem import RefusalError
from services.desk.filedoor import Work

FOLDER = Path(__file__).with_name("console")
_IMPORT = re.compile(r"""\b(?:from|import)\s*["'](\.{1,2}/[^"']+)["']""")
_STYLES = re.compile(r'<link rel="stylesheet" href="/assets/([^"]+)">\n')
_FIRST = (
    "app.js",
    "inbox/view.js",
    *(f"words/en/{area}.js" for area in ("alerts", "contact", "frame", "inbox", "talk", "ui")),
)
"""What the first view is made of: the page's own script, the inbox, the words to fall back to."""
_SMALL = 600
"""Bytes below which packing is not worth it."""
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
    packed: bytes | None
    content_type: str
    etag: str


def read_assets(folder: Path = FOLDER) -> Mapping[str, Asset]:
    """Return the files below *folder* by path; one whose kind is not in `TYPES` is not served.

    The page names the version of all of them, and what its first view needs, so that a browser
    asks for all at once instead of finding out import by import; its style sheets are one.
    """
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in TYPES
    }
    version = hashlib.sha256(b"\0".join(found.values())).hexdigest()[:12]
    sheets = _STYLES.findall(found["index.html"].decode())
    found["styles.css"] = b"".join(found[name] for name in sheets)
    found["index.html"] = _versioned(found["index.html"], version, _needed(_FIRST, found))
    return {
        name: _asset(content, TYPES[f".{name.rpartition('.')[2]}"])
        for name, content in found.items()
    }


def _versioned(page: bytes, version: str, needed: list[str]) -> bytes:
    links = "".join(f'<link rel="modulepreload" href="/assets/{name}">\n' for name in needed)
    text = _STYLES.sub("", page.decode())
    sheet = '<link rel="stylesheet" href="/assets/styles.css">\n'
    text = text.replace("</head>", f"{sheet}{links}</head>")
    return text.replace('"/assets/', f'"/assets/v-{version}/').encode()


def _needed(entries: Sequence[str], files: Mapping[str, bytes]) -> list[str]:
    """Return *entries* and what they import, and that imports, at once; not what comes later."""
    seen = set(entries)
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        for given in _IMPORT.findall(files[name].decode()):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), given))
            if path not in seen:
                seen.add(path)
                waiting.append(path)
    return sorted(seen)


def add_console(app: web.Application, guarding: Guarding, expect: Any) -> None:
    """Serve the console with GET and HEAD."""
    assets = read_assets()

    async def file(request: web.Request) -> web.StreamResponse:
        version, name = request.match_info["version"], request.match_info["name"]
        ours = f'"/assets/{version}/'.encode() in assets["index.html"].content
        return answer(request, assets.get(name), lasting=bool(version) and ours)

    def always(name: str) -> Work:
        async def named(request: web.Request) -> web.StreamResponse:
            return answer(request, assets[name])

        return named

    served = {
        "/": always("index.html"),
        "/sw.js": always("sw.js"),
        r"/assets/{version:(?:v-[0-9a-f]{12})?}{slash:/?}{name:[\w.\-/]+}": file,
    }
    for path, work in served.items():
        for method in ("GET", "HEAD"):
            handler = guarding("console", work)
            app.router.add_route(method, path, handler, expect_handler=expect)


def answer(request: web.Request, asset: Asset | None, *, lasting: bool = False) -> web.Response:
    """Return the file, or 304 for who has it already; a *lasting* one never changes.

    Raises:
        RefusalError: 404, there is no such file.
    """
    if asset is None:
        raise RefusalError(404, "no_such_route", "There is nothing here.")
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if lasting else "no-cache",
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "ETag": f'"{asset.etag}"',
        "Vary": "Accept-Encoding",
    }
    known = request.if_none_match or ()
    if any(tag.value in {asset.etag, "*"} for tag in known):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = asset.content_type
    if asset.packed is None or "gzip" not in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=asset.content, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return web.Response(body=asset.packed, headers=headers)


def _asset(content: bytes, content_type: str) -> Asset:
    packed = gzip.compress(content, mtime=0) if len(content) >= _SMALL else None
    if packed is not None and len(packed) > 0.9 * len(content):
        packed = None
    return Asset(content, packed, content_type, hashlib.sha256(content).hexdigest()[:24])
