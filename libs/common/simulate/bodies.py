"""Webhook bodies as each provider builds them: what a visitor does, and what follows a send.

Synthetic, but shaped like the documented examples. The same arguments give the same bytes, so a
repeat is a redelivery.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from libs.common.channel import Account
from libs.common.simulate.bodies_line import LINE
from libs.common.simulate.bodies_meta import FB_COMMENT, INSTAGRAM, MESSENGER
from libs.common.simulate.bodies_telegram import TELEGRAM
from libs.common.simulate.bodies_wechat import WECHAT
from libs.common.simulate.bodies_whatsapp import WHATSAPP
from libs.common.simulate.plugged import simulated
from libs.common.simulate.said import Build, Said, as_json


def text_body(
    account: Account, *, visitor: str, message_id: str, text: str, now: datetime
) -> bytes:
    """Return the body by which the account's provider would tell of a text message.

    Raises:
        LookupError: The account's channel is unknown.
    """
    said = Said(visitor=visitor, message_id=message_id, text=text, now=now)
    return build(account, "text", said)


def build(account: Account, kind: str, said: Said) -> bytes:
    """Return the body of one event of *kind*, see `kinds`.

    Raises:
        LookupError: The channel is unknown, or has no such kind.
    """
    return _builders(account.channel)[kind](account, said)


def kinds(channel: str) -> tuple[str, ...]:
    """Return what can be built for *channel*, `text` first; nothing for an unknown one."""
    return tuple(_builders(channel))


def visitor_for(channel: str) -> str:
    """Return a visitor id of the channel's own shape, for whoever names none."""
    return _VISITORS.get(channel) or str(getattr(simulated(channel), "VISITOR", "visitor-1"))


def _builders(channel: str) -> Mapping[str, Build]:
    known = _BUILDERS.get(channel)
    found: Mapping[str, Build] = known or getattr(simulated(channel), "KINDS", {})
    return found


def _web(item: Callable[[Said], dict[str, Any]]) -> Build:
    def built(_account: Account, said: Said) -> bytes:
        message = {"id": said.message_id, "at": said.ms, **item(said)}
        page = {"url": "https://shop.example/", "title": "Shop"}
        return as_json({"visitor": said.visitor, "messages": [message], "page": page})

    return built


def _form(_account: Account, said: Said) -> bytes:
    profile = {"name": "Ada", "email": "ada@shop.example", "phone": "", "language": "en"}
    return as_json({"visitor": said.visitor, "messages": [], "profile": profile})


_WEB: dict[str, Build] = {
    "text": _web(lambda s: {"type": "text", "text": s.text}),
    "reply": _web(lambda s: {"type": "text", "text": s.text, "reply_to": s.about}),
    "postback": _web(lambda s: {"type": "action", "title": s.text, "payload": "HUMAN"}),
    "form": _form,
}

_BUILDERS: dict[str, dict[str, Build]] = {
    "messenger": MESSENGER,
    "fb_comment": FB_COMMENT,
    "instagram": INSTAGRAM,
    "line": LINE,
    "telegram": TELEGRAM,
    "whatsapp": WHATSAPP,
    "wechat": WECHAT,
    "web": _WEB,
}

_VISITORS = {
    "messenger": "7100000000000007",
    "fb_comment": "7200000000000007",
    "instagram": "7300000000000007",
    "line": "U11111111111111111111111111111111",
    "telegram": "77000001",
    "whatsapp": "15557770000",
    "wechat": "oVisitor0000000000000000001",
    "web": "visitor-1",
}
