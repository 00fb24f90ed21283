"""What the web plugin is told of its account, and which pages may use it."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from libs.common.channel import Account
from libs.common.channels.web.origins import may_use, plugin_of
from libs.common.channels.web.wire import UPLOAD_MOST_BYTES
from libs.common.directory import refresh_policy
from libs.common.files.api import ALLOWED
from libs.common.plugin import Plugin
from libs.common.policy import Policy
from libs.common.rules.hours import is_open
from services.ingest.answers import Answer, Refused
from services.ingest.reach import Reach

SETTINGS_FOR_S = 30.0
"""How long a workspace's settings are believed."""
_REFRESH_WITHIN_S = 1.0

TYPES = tuple(sorted(ALLOWED))
"""Extensions that visitors may send."""


class PluginSettings:
    """The settings behind the plugin of each account, up to half a minute old."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._looked: dict[str, float] = {}

    async def policy(self, workspace: str) -> Policy:
        """Return the workspace's policy; while NATS does not answer, as it was seen last."""
        reach, now = self._reach, asyncio.get_running_loop().time()
        known = self._looked.get(workspace)
        if reach.bus is not None and (known is None or now - known > SETTINGS_FOR_S):
            self._looked[workspace] = now
            with suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_WITHIN_S):
                    await refresh_policy(reach.bus, reach.directory, workspace)
        return reach.directory.policy(workspace)

    async def refuse_foreign(self, request: web.BaseRequest, account: Account | None) -> None:
        """Refuse pages that the account's plugin is not for; programs send no origin.

        Raises:
            Refused: `foreign_origin`.
        """
        origin = request.headers.get("Origin", "")
        if account is None or not origin:
            return
        plugin = plugin_of((await self.policy(account.workspace)).settings, account.slug)
        if not may_use(plugin, origin, request.headers.get("Host", "")):
            raise Refused("foreign_origin")

    def offline(self, policy: Policy, plugin: Plugin, workspace: str, now: datetime) -> bool:
        """Tell whether visitors are told that nobody is there."""
        if plugin.offline_when == "never":
            return False
        hours = next((c for c in policy.calendars if c.id == policy.settings.calendar), None)
        if not is_open(hours, now):
            return True
        presences = self._reach.presences
        if plugin.offline_when == "hours" or presences is None or not presences.complete.is_set():
            return False  # nobody has been seen yet, which is not that nobody is there
        return all(one.state != "online" for one in presences.of(workspace).values())

    async def answer(
        self, request: web.BaseRequest, account: Account, headers: dict[str, str]
    ) -> Answer:
        """Return what the plugin needs to know, or 304 where it knows."""
        policy = await self.policy(account.workspace)
        plugin = plugin_of(policy.settings, account.slug)
        offline = self.offline(policy, plugin, account.workspace, datetime.now(UTC))
        branding = not policy.settings.remove_branding.widget
        body = msgspec.json.encode(told(account, plugin, offline=offline, branding=branding))
        tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        more = {**headers, "ETag": tag, "Cache-Control": "no-cache"}
        if tag in request.headers.get("If-None-Match", ""):
            return Answer(304, headers=more)
        return Answer(200, body, {**more, "Content-Type": "application/json"})


def told(account: Account, plugin: Plugin, *, offline: bool, branding: bool) -> dict[str, Any]:
    """Return what a page is told of its plugin; nothing that is only for the workspace."""
    hidden = ("origins", "avatar", "offline_when")
    shown = {k: v for k, v in msgspec.structs.asdict(plugin).items() if k not in hidden}
    version = hashlib.sha256(plugin.avatar.encode()).hexdigest()[:12]
    return {
        **shown,
        "name": account.name,
        "branding": branding,
        "offline": offline,
        "avatar": f"/plugin/{account.slug}.png?v={version}" if plugin.avatar else "",
        "files": {"max_bytes": UPLOAD_MOST_BYTES, "types": TYPES},
    }
