"""Which pages an account's plugin is for. Pure; ingest and desk ask here."""

from __future__ import annotations

from urllib.parse import urlsplit

from libs.common.plugin import Plugin
from libs.common.switches import Settings


def plugin_of(settings: Settings, account: str) -> Plugin:
    """Return how the plugin of *account* (slug) is set."""
    return settings.plugins.get(account, settings.plugin)


def may_use(plugin: Plugin, origin: str, host: str) -> bool:
    """Tell whether a page of *origin* may; our own pages, at *host*, always may.

    Both are as the browser sends them; an empty origin is no page at all, but a program, which
    this does not hold up: the visitor token does.
    """
    if not origin or not plugin.origins or origin.lower() in plugin.origins:
        return True
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
