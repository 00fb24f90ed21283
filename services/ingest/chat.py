"""The page on which a visitor sees their conversation again: `/chat/<account>` and its two files.

It is the same for every account and says nothing of anyone: who asks comes from the token behind
the `#` of its address, which the page exchanges and takes away.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from aiohttp import web

from libs.common.channel import Account
from services.ingest.answers import Answer, Refused
from services.ingest.body import Load
from services.ingest.endpoint import Done, Endpoint, Work
from services.ingest.server import Handler

NAME = "chat"
_FOLDER = Path(__file__).with_name("chat_page")
_TYPES = {"chat.js": "text/javascript; charset=utf-8", "chat.css": "text/css; charset=utf-8"}
_SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def chat_handlers(account: Callable[[str], Account], load: Load) -> dict[tuple[str, str], Handler]:
    """Return what is served; *account* returns one of the web, or raises `Refused`."""
    endpoint = Endpoint(NAME, (), load, allow="GET, HEAD", headers={})
    page = _answer("index.html", "text/html; charset=utf-8")
    files = {name: _answer(name, kind) for name, kind in _TYPES.items()}

    async def of_account(_request: web.BaseRequest, key: str, _started: float) -> Done:
        account(key)
        return Done("page", page)

    async def file(_request: web.BaseRequest, key: str, _started: float) -> Done:
        found = files.get(key)
        if found is None:
            raise Refused("unknown_path")
        return Done("page", found)

    served = {"page": of_account, "file": file}
    return {(NAME, part): partial(endpoint.serve, work=_got(work)) for part, work in served.items()}


def _got(work: Work) -> Work:
    async def checked(request: web.BaseRequest, key: str, started: float) -> Done:
        if request.method not in {"GET", "HEAD"}:
            raise Refused("wrong_method")
        ended = await work(request, key, started)
        assert isinstance(ended, Done)  # noqa: S101 (narrows)
        return ended

    return checked


def _answer(name: str, kind: str) -> Answer:
    return Answer(200, (_FOLDER / name).read_bytes(), {**_SAFE, "Content-Type": kind})
