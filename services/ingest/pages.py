"""The web plugin's script, and the pages that show it: `/plugin/…` and `/chat/…`.

`/plugin/<account>.js` is the one script tag of a website, `/chat/<account>` the page behind the
link in an email, and `/plugin/demo` a shop that is none. The script is the same for every account
and says nothing of anyone: whose it is stands in its own address.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from aiohttp import hdrs, web

from libs.common.channel import Account
from libs.common.channels.web.origins import plugin_of
from services.ingest.answers import Answer, Refused
from services.ingest.body import Load
from services.ingest.bundle import bundle
from services.ingest.endpoint import Done, Endpoint, Work
from services.ingest.plugin_config import PluginSettings
from services.ingest.server import Handler

DEMO_ACCOUNT = "demo-web"
"""The account that the demo page shows; without it there is no such page."""

_HERE = Path(__file__).parent
_MODULES, _CHAT, _DEMO = (_HERE / name for name in ("plugin", "chat_page", "demo_page"))
_HTML, _CSS, _JS = (f"text/{kind}; charset=utf-8" for kind in ("html", "css", "javascript"))
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_SAFE = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_ANYWHERE = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_SCRIPT_FOR = {"Cache-Control": "public, max-age=300"}


class Script:
    """The plugin's script, plain and gzipped, with its version as an entity tag."""

    def __init__(self, body: bytes) -> None:
        self.plain = body
        self.gzipped = gzip.compress(body, 9, mtime=0)
        self.tag = hashlib.sha256(body).hexdigest()[:24]

    def answer(self, request: web.BaseRequest) -> Answer:
        """Return it as *request* can take it; 304 where it is known."""
        zipped = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "").lower()
        tag = f'"{self.tag}{"-gz" if zipped else ""}"'
        headers = {**_ANYWHERE, **_SCRIPT_FOR, "ETag": tag, "Vary": "Accept-Encoding"}
        if tag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
            return Answer(304, headers=headers)
        headers["Content-Type"] = _JS
        if not zipped:
            return Answer(200, self.plain, headers)
        return Answer(200, self.gzipped, {**headers, "Content-Encoding": "gzip"})


def page_handlers(
    account: Callable[[str], Account], plugins: PluginSettings, load: Load
) -> dict[tuple[str, str], Handler]:
    """Return what is served; *account* returns one of the web, or raises `Refused`."""
    pages = _Pages(account, plugins)
    works: dict[str, dict[str, Work]] = {
        "chat": {"page": pages.chat, "file": partial(pages.file, "chat")},
        "plugin": {"page": pages.plugin, "file": partial(pages.file, "plugin")},
    }
    made: dict[tuple[str, str], Handler] = {}
    for name, parts in works.items():
        endpoint = Endpoint(name, (), load, allow="GET, HEAD", headers={})
        for part, work in parts.items():
            made[name, part] = partial(endpoint.serve, work=_got(work))
    return made


class _Pages:
    """What is read from disk once, and answered."""

    def __init__(self, account: Callable[[str], Account], plugins: PluginSettings) -> None:
        self._account = account
        self._plugins = plugins
        self._script = Script(bundle(_MODULES, "main.js"))
        self._chat = _page(_CHAT / "index.html", _HTML)
        self._demo = _page(_DEMO / "index.html", _HTML)
        self._files = {
            ("chat", "chat.css"): _page(_CHAT / "chat.css", _CSS),
            ("plugin", "demo.css"): _page(_DEMO / "demo.css", _CSS),
            ("plugin", "demo.js"): _page(_DEMO / "demo.js", _JS),
        }

    async def chat(self, _request: web.BaseRequest, key: str, _started: float) -> Done:
        self._account(key)
        return Done("page", self._chat)

    async def file(self, site: str, request: web.BaseRequest, key: str, _started: float) -> Done:
        if (site, key) == ("chat", "chat.js"):
            return Done("page", self._script.answer(request))
        if (site, key) not in self._files:
            raise Refused("unknown_path")
        return Done("page", self._files[site, key])

    async def plugin(self, request: web.BaseRequest, key: str, _started: float) -> Done:
        if key == "demo":
            self._account(DEMO_ACCOUNT)
            return Done("page", self._demo)
        slug, _, kind = key.rpartition(".")
        if kind == "js":
            self._account(slug)
            return Done("page", self._script.answer(request))
        if kind == "png":
            return Done("page", await _avatar(self._plugins, self._account(slug)))
        raise Refused("unknown_path")


async def _avatar(plugins: PluginSettings, account: Account) -> Answer:
    settings = (await plugins.policy(account.workspace)).settings
    picture = plugin_of(settings, account.slug).avatar
    if not picture:
        raise Refused("unknown_path")
    headers = {**_ANYWHERE, "Content-Type": "image/png", "Cache-Control": "public, max-age=86400"}
    return Answer(200, base64.b64decode(picture), headers)


def _got(work: Work) -> Work:
    async def checked(request: web.BaseRequest, key: str, started: float) -> Done:
        if request.method not in {"GET", "HEAD"}:
            raise Refused("wrong_method")
        ended = await work(request, key, started)
        assert isinstance(ended, Done)  # noqa: S101 (narrows)
        return ended

    return checked


def _page(path: Path, kind: str) -> Answer:
    return Answer(200, path.read_bytes(), {**_SAFE, "Content-Type": kind})
