"""What is wrong with how the web chat plugin is set."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

from libs.common.plugin import KNOWN_FIELDS, Plugin
from libs.common.rules.finding import Finding, unknown, wrong
from libs.common.switches import Settings

TEXTS = {"title": 80, "welcome": 1000, "launcher": 40, "offline_text": 1000}
"""The most characters of each."""
FORM_TEXT_MOST = 1000
LABEL_MOST = 80
FIELDS_MOST = 8
ORIGINS_MOST = 50
AVATAR_MOST = 24_000
"""Characters of base64, some 17 kB of PNG: it is part of what every service reads."""
COLOUR = r"^#[0-9a-fA-F]{6}$"
FIELD_ID = r"^[a-z][a-z0-9_]{0,39}$"

_PNG = b"\x89PNG\r\n\x1a\n"


def check_plugin(settings: Settings, accounts: Collection[str] | None) -> Iterator[Finding]:
    """Yield what is wrong with `plugin` and `plugins`; *accounts*: slugs, if they are known."""
    yield from _plugin("settings.plugin", settings.plugin)
    for slug, plugin in settings.plugins.items():
        if accounts is not None:
            yield from unknown("settings.plugins", "account", slug, accounts)
        yield from _plugin(f"settings.plugins.{slug}", plugin)


def is_origin(text: str) -> bool:
    """Tell whether *text* is an origin as browsers send it, such as `https://shop.example:8443`."""
    try:
        found = urlsplit(text)
        port = found.port
    except ValueError:
        return False
    if found.scheme not in {"http", "https"} or not found.hostname:
        return False
    usual = port in {None, {"http": 80, "https": 443}[found.scheme]}
    named = f"[{found.hostname}]" if ":" in found.hostname else found.hostname
    return text == f"{found.scheme}://{named}" + ("" if usual else f":{port}")


def is_picture(text: str) -> bool:
    """Tell whether *text* is a PNG in base64."""
    try:
        return base64.b64decode(text, validate=True).startswith(_PNG)
    except ValueError:
        return False


def _plugin(place: str, plugin: Plugin) -> Iterator[Finding]:
    for name, most in TEXTS.items():
        yield from _short(f"{place}.{name}", getattr(plugin, name), most)
    if re.fullmatch(COLOUR[1:-1], plugin.colour) is None:
        yield wrong(f"{place}.colour", "is no colour; allowed: # and six hexadecimal digits")
    yield from _short(f"{place}.avatar", plugin.avatar, AVATAR_MOST)
    if plugin.avatar and not is_picture(plugin.avatar):
        yield wrong(f"{place}.avatar", "is no picture; allowed: a PNG file, written in base64")
    yield from _form(f"{place}.pre_chat", plugin)
    if len(plugin.origins) > ORIGINS_MOST:
        text = f"there are {len(plugin.origins)}; allowed: at most {ORIGINS_MOST}"
        yield wrong(f"{place}.origins", text)
    for number, origin in enumerate(plugin.origins):
        if not is_origin(origin):
            text = "is no origin; allowed: like https://shop.example, lower case, without a path"
            yield wrong(f"{place}.origins[{number}]", text)


def _form(place: str, plugin: Plugin) -> Iterator[Finding]:
    fields = plugin.pre_chat.fields
    yield from _short(f"{place}.text", plugin.pre_chat.text, FORM_TEXT_MOST)
    if len(fields) > FIELDS_MOST:
        yield wrong(f"{place}.fields", f"there are {len(fields)}; allowed: at most {FIELDS_MOST}")
    seen: set[str] = set()
    for number, field in enumerate(fields):
        at = f"{place}.fields[{number}]"
        if re.fullmatch(FIELD_ID[1:-1], field.id) is None:
            yield wrong(f"{at}.id", "allowed: a to z, 0 to 9 and _, beginning with a letter")
        if field.id in seen:
            yield wrong(f"{at}.id", f"{field.id!r} is there twice; allowed: each once")
        seen.add(field.id)
        yield from _short(f"{at}.label", field.label, LABEL_MOST)
        if field.id not in KNOWN_FIELDS and not field.label.strip():
            yield wrong(f"{at}.label", "is blank; allowed: what the visitor is asked for")


def _short(place: str, text: str, most: int) -> Iterator[Finding]:
    if len(text) > most:
        yield wrong(place, f"has {len(text)} characters; allowed: at most {most}")
