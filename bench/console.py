"""How soon the console's inbox is there, and how smoothly its list scrolls, in headless Chromium.

The desk is the real process on the embedded store, over a workspace of 10,000 sessions. A first
view is counted from the request of the page until rows stand on the screen: cold without anything
in the browser's cache, warm with it. Scrolling goes through the whole list, whose pages come
meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from bench import desk_seed as seeds
from bench.desk import furnish
from bench.desk_seed import WORKSPACE, Sizes
from bench.ingest import started
from libs.common.cli.admin import apply_file, migrate
from libs.common.credentials import new_secret, secret_hash, token_text
from libs.common.documents import COLLECTIONS, TOKENS, AccessToken
from libs.common.embedded import embedded_nats
from libs.common.seal import new_key_setting
from libs.common.store.open import open_store
from libs.common.workspace_file import WorkspaceFile

SIZES = Sizes(sessions=10_000, messages=40_000, contacts=10_000)
TARGET_MS = 1000
VIEWS = 7
STEP_PX = 900
"""About a screen of rows a step, at sixty steps a second as far as frames allow."""
FRAME_MS = 50
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_EVERYTHING = "/#/?list=bot_hosted,unassigned,assigned,ended"

WATCH = """
performance.mark("asked");
new MutationObserver((_, self) => {
  if (!document.querySelector(".session-row")) return;
  self.disconnect();
  requestAnimationFrame(() => (window.shownAt = performance.now()));
}).observe(document, { childList: true, subtree: true });
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.longTasks.push(one.duration);
}).observe({ type: "longtask", buffered: true });
"""
SCROLL = """
async (step) => {
  const box = document.querySelector(".session-scroll");
  window.longTasks.length = 0;
  const frames = [];
  let before = performance.now();
  let still = 0;
  while (still < 60) {
    await new Promise((done) => requestAnimationFrame(done));
    const now = performance.now();
    frames.push(now - before);
    before = now;
    const top = box.scrollTop;
    box.scrollTop = top + step;
    const reading = box.querySelector(".below .turning"); // the end is where no page is on its way
    still = box.scrollTop === top && !reading ? still + 1 : 0;
  }
  const rows = document.querySelectorAll(".session-row").length;
  return { frames, tasks: window.longTasks, rows, height: box.scrollHeight };
}
"""


async def main() -> None:
    """Seed, measure and print."""
    path = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        print(f"bench: console needs one of {', '.join(_BROWSERS)}", file=sys.stderr)
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="relaydesk-bench-") as name:
        await _measure(Path(name), path)
    print(f"\nload {load:.1f} before, {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores")


async def _measure(folder: Path, browser_path: str) -> None:
    store = folder / "bench.db"
    async with AsyncExitStack() as opened:
        settings = {
            "RELAYDESK_NATS_URL": await opened.enter_async_context(embedded_nats(folder / "nats")),
            "RELAYDESK_SECRET_KEY": new_key_setting(),
            "RELAYDESK_STORE_URL": f"sqlite:///{store}",
            "RELAYDESK_FILES_URL": f"file:///{folder / 'files'}",
            "RELAYDESK_PORT": "0",
            "RELAYDESK_PORT_FILE": str(folder / "desk.json"),
            "RELAYDESK_REQUESTS_PER_MINUTE": "0",
        }
        await migrate(settings)
        await apply_file(settings, WorkspaceFile(workspace=WORKSPACE))
        await furnish(settings["RELAYDESK_STORE_URL"])
        cookie = await _login(settings["RELAYDESK_STORE_URL"])
        await asyncio.to_thread(seeds.seed, store, SIZES)
        print(f"\n## Console: {', '.join(seeds.total(SIZES))}\n")
        desk = await opened.enter_async_context(
            started("desk", ["-m", "services.desk"], settings, folder, core=None)
        )
        playwright = await opened.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        opened.push_async_callback(browser.close)
        await _show(browser, f"http://127.0.0.1:{desk.port}", cookie)


async def _show(browser: Browser, base: str, cookie: str) -> None:
    print("| first view | median ms | most ms |\n|---|---|---|")
    cold = [await _first_view(browser, base, cookie) for _ in range(VIEWS)]
    _print_views("cold", [first for first, _ in cold])
    _print_views("warm", [again for _, again in cold])
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    await context.add_cookies([{"name": "relaydesk", "value": cookie, "url": base}])
    page = await context.new_page()
    await page.add_init_script(WATCH)
    await page.goto(base + _EVERYTHING)
    await _until_shown(page)
    found: dict[str, Any] = await page.evaluate(SCROLL, STEP_PX)
    frames = sorted(found["frames"])
    late = sum(frame > FRAME_MS for frame in frames)
    print(
        f"\nscrolled {found['height']:,} px in {len(frames):,} frames: median "
        f"{statistics.median(frames):.0f} ms, p99 {frames[int(0.99 * len(frames))]:.0f} ms, "
        f"{late} above {FRAME_MS} ms; {len(found['tasks'])} long tasks, "
        f"the longest {max(found['tasks'], default=0):.0f} ms; {found['rows']} rows in the page"
    )
    await context.close()


async def _first_view(browser: Browser, base: str, cookie: str) -> tuple[float, float]:
    """Return how long a browser with nothing kept takes, and the same browser once more."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    await context.add_cookies([{"name": "relaydesk", "value": cookie, "url": base}])
    page = await context.new_page()
    await page.add_init_script(WATCH)
    await page.goto(base)
    first = await _until_shown(page)
    await page.goto("about:blank")
    await page.goto(base)
    again = await _until_shown(page)
    await context.close()
    return first, again


async def _until_shown(page: Page) -> float:
    """Return when rows stood on the screen, in milliseconds since the page was asked for."""
    await page.wait_for_selector(".session-row", timeout=60_000)
    while (at := await page.evaluate("window.shownAt ?? null")) is None:
        await asyncio.sleep(0.01)
    return float(at)


def _print_views(name: str, took: list[float]) -> None:
    verdict = "" if max(took) < TARGET_MS else f"   ABOVE {TARGET_MS} ms"
    print(f"| {name} | {statistics.median(took):.0f} | {max(took):.0f} |{verdict}", flush=True)


async def _login(url: str) -> str:
    """Return the text of a login of the agent who asks."""
    secret = new_secret()
    token = AccessToken(
        id="t00002",
        workspace=WORKSPACE,
        agent=seeds.AGENTS[0],
        kind="session",
        secret_hash=secret_hash(secret),
        created_at=datetime.now(UTC),
        expires_at=datetime.now(UTC) + timedelta(days=1),
    )
    async with open_store(url, COLLECTIONS) as store:
        await store.insert(TOKENS, token)
    return token_text(WORKSPACE, token.id, secret)
