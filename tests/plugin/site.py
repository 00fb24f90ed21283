"""A website of somebody else that has the plugin, and a visitor's browser that watches it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page
from yarl import URL

from libs.common.admin import listening

WITHIN_MS = 40_000
AXE = (Path(__file__).parents[1] / "vendor" / "axe.min.js").read_text()

PAGE = """<!DOCTYPE html>
<html lang="{lang}" dir="{direction}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<script async src="{desk}/plugin/{slug}.js"></script></head>
<body><main><h1>{title}</h1><p>A shop.</p><button type="button" id="other">Other</button></main>
</body></html>"""


class Site:
    """Its address, and the strictest policy that docs/web-plugin.md says it may have."""

    def __init__(self, desk: str) -> None:
        self.desk = desk
        self.url = ""
        self.policy = (
            f"default-src 'none'; script-src {desk}; connect-src {desk}; img-src {desk}; "
            f"media-src {desk}; require-trusted-types-for 'script'; trusted-types 'none'; "
            "report-uri /csp"
        )
        self.complaints: list[str] = []

    def page(self, slug: str, **more: str) -> str:
        return str(URL(f"{self.url}/{slug}").with_query(more))

    async def serve(self, request: web.Request) -> web.Response:
        asked = request.query
        body = PAGE.format(
            desk=self.desk,
            slug=request.match_info["slug"],
            title=escape(asked.get("title", "Lamps")),
            lang=asked.get("lang", "en"),
            direction="rtl" if asked.get("lang") == "ar" else "ltr",
        )
        headers = {"Content-Security-Policy": self.policy}
        return web.Response(text=body, content_type="text/html", headers=headers)

    async def complain(self, request: web.Request) -> web.Response:
        self.complaints.append(await request.text())
        return web.Response(status=204)


@asynccontextmanager
async def website(desk: str) -> AsyncIterator[Site]:
    """Serve a shop on an origin of its own; the plugin comes from *desk*."""
    site = Site(desk)
    app = web.Application()
    app.router.add_get("/favicon.ico", _nothing)
    app.router.add_post("/csp", site.complain)
    app.router.add_get("/{slug}", site.serve)
    async with listening(app, "127.0.0.1", 0) as port:
        site.url = f"http://127.0.0.1:{port}"
        yield site


async def _nothing(_request: web.Request) -> web.Response:
    return web.Response(status=204)


class Watched:
    """A browser's context in which nothing may go wrong unnoticed."""

    def __init__(self, context: BrowserContext, allowed: tuple[str, ...]) -> None:
        self.context = context
        self.wrong: list[str] = []
        self._allowed = (*allowed, "data:", "blob:", "about:")

    async def page(self) -> Page:
        opened = await self.context.new_page()
        opened.set_default_timeout(WITHIN_MS)
        opened.on("pageerror", lambda error: self.wrong.append(str(error)))
        opened.on("console", self._console)
        opened.on("request", self._request)
        opened.on("dialog", self._dialog)
        return opened

    def _console(self, said: Any) -> None:
        if said.type == "error" and "Content Security" in said.text:
            self.wrong.append(said.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith(self._allowed):
            self.wrong.append(f"a request to {request.url}")

    async def _dialog(self, dialog: Any) -> None:
        self.wrong.append(f"a dialog: {dialog.message}")
        await dialog.dismiss()

    async def check(self) -> None:
        """Fail where something went wrong, or a cookie was set."""
        assert self.wrong == []
        assert await self.context.cookies() == []


@asynccontextmanager
async def visitor_at(browser: Browser, site: Site, **options: Any) -> AsyncIterator[Watched]:
    """Open a browser of its own for a visitor of *site*; at the end all must have been well."""
    context = await browser.new_context(**options)
    watched = Watched(context, (site.url, site.desk))
    try:
        yield watched
        await watched.check()
        assert site.complaints == []
    finally:
        await context.close()


_RUN = """async () => {
  const host = document.querySelector("relaydesk-chat");
  const [place, focused] = [host.parentNode, host.shadowRoot.activeElement];
  const still = new CSSStyleSheet(); // what is half faded in has no colour yet
  still.replaceSync("* { animation: none !important; transition: none !important; }");
  host.shadowRoot.adoptedStyleSheets.push(still);
  document.body.append(host); // axe measures contrast only below the body
  const found = await axe.run(document, { resultTypes: ["violations", "incomplete"] });
  place.append(host);
  host.shadowRoot.adoptedStyleSheets.pop();
  focused?.focus();
  return found;
}"""


async def violations(page: Page) -> list[str]:
    """Return what axe finds wrong with the page as it is, shadow roots included.

    It is put in by the debugger, which no policy of the page holds up. A contrast that it cannot
    measure counts as too low: it has not been found good.
    """
    if not await page.evaluate("Boolean(window.axe)"):
        session = await page.context.new_cdp_session(page)
        await session.send("Runtime.evaluate", {"expression": AXE})
        await session.detach()
    found: dict[str, Any] = await page.evaluate(_RUN)
    unsure = [one for one in found["incomplete"] if one["id"] == "color-contrast"]
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in (*found["violations"], *unsure)
        for node in one["nodes"]
    ]
