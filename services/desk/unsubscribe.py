"""The page on which the reader of a mail wants no more of its kind: no login, one press.

Looking at it changes nothing, since mail programs and scanners follow links. The button posts to
the same address, and so do mail programs themselves (RFC 8058, one click). The signed token says
what ends; nothing else in the request counts.
"""

from __future__ import annotations

import logging
import uuid
from html import escape
from string import Template
from typing import Any

import msgspec
from aiohttp import web

from libs.common.alerts import DEFAULTS, PREFERENCES, methods_of
from libs.common.documents import AUDIT, AuditEntry
from libs.common.errors import BusUnavailableError, StaleRevisionError, UniqueConflictError
from libs.common.ids import derive_id
from libs.common.mails import SUPPRESSIONS, Suppression
from libs.common.switches import Alerting
from libs.common.unsubscribe import (
    PATH,
    WORDS,
    EndAlert,
    EndVisitor,
    Wish,
    unsubscribe_keys,
    verify,
)
from services.desk.api.problem import RefusalError
from services.desk.api.route import Desk
from services.desk.filedoor import Guard
from services.desk.preferences import own, publish_preferences

log = logging.getLogger(__name__)

TRIES = 8
_POLICY = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


def add_unsubscribe(app: web.Application, desk: Desk, guard: Guard, expect: Any) -> None:
    """Serve the page with GET, HEAD and POST."""
    page = Page(desk)
    for method, work in (("GET", page.show), ("HEAD", page.show), ("POST", page.end)):
        app.router.add_route(method, PATH, guard("unsubscribe", work), expect_handler=expect)


class Page:
    """Serves the page."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._keys = unsubscribe_keys(desk.settings.secret_key)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Say what would end, with a button; a locked trigger says so instead.

        Raises:
            StoreUnavailableError: The store is away.
        """
        wish = self._wish(request)
        if wish is None:
            return _damaged()
        if await self._is_locked(wish):
            return _locked()
        return _answer(200, "Stop these emails?", _what(wish), button="Stop these emails")

    async def end(self, request: web.Request) -> web.StreamResponse:
        """End it; a repeat changes nothing more.

        Raises:
            StoreUnavailableError: The store is away.
            RefusalError: 409, others change the same preferences all the time.
        """
        wish = self._wish(request)
        if wish is None:
            return _damaged()
        if await self._is_locked(wish):
            return _locked()
        if isinstance(wish, EndAlert):
            await self._end_alert(wish)
        else:
            await self._end_visitor(wish)
        return _answer(200, "Done", "You will get no more of these emails.")

    def _wish(self, request: web.Request) -> Wish | None:
        return verify(self._keys, request.query.get("t", ""))

    async def _alerting(self, workspace: str) -> Alerting:
        return (await self._desk.store.workspace(workspace)).settings.alerts

    async def _is_locked(self, wish: Wish) -> bool:
        if not isinstance(wish, EndAlert):
            return False
        triggers = (await self._alerting(wish.workspace)).triggers
        return triggers.get(wish.trigger, DEFAULTS[wish.trigger]).locked

    async def _end_alert(self, wish: EndAlert) -> None:
        settings = await self._alerting(wish.workspace)
        if await self._without_email(wish, settings):
            await self._note(wish.workspace, f"agent:{wish.agent}", f"{wish.trigger}: email off")
        port = self._desk.store.port
        try:
            await publish_preferences(port, self._desk.bus, wish.workspace, wish.agent)
        except BusUnavailableError as error:  # it is stored, and mended within a minute
            log.warning("desk.preferences_unpublished", extra={"code": error.code})

    async def _without_email(self, wish: EndAlert, settings: Alerting) -> bool:
        """Write it into the preferences; tell whether that was needed."""
        port = self._desk.store.port
        for _ in range(TRIES):
            found = await port.get(PREFERENCES, wish.workspace, wish.agent)
            before = methods_of(settings, found, wish.trigger)
            if "email" not in before:
                return False
            after = tuple(method for method in before if method != "email")
            doc = own(found, wish.workspace, wish.agent)
            changed = msgspec.structs.replace(doc, triggers={**doc.triggers, wish.trigger: after})
            try:
                if found is None:
                    await port.insert(PREFERENCES, changed)
                else:
                    await port.replace(PREFERENCES, changed)
            except (StaleRevisionError, UniqueConflictError):
                continue
            return True
        raise RefusalError(409, "changed_meanwhile", "Others make changes now; try again.")

    async def _end_visitor(self, wish: EndVisitor) -> None:
        entry = Suppression(
            id=wish.address,
            workspace=wish.workspace,
            scope="visitor",
            reason="unsubscribed",
            shown=wish.shown,
            since=self._desk.now(),
        )
        try:
            await self._desk.store.port.insert(SUPPRESSIONS, entry)
        except UniqueConflictError:
            return
        await self._note(wish.workspace, f"suppression:{wish.address}", "unsubscribed", "visitor")

    async def _note(self, workspace: str, about: str, what: str, actor: str = "") -> None:
        await self._desk.store.port.insert(
            AUDIT,
            AuditEntry(
                id=derive_id("aud", workspace, uuid.uuid4().hex),
                workspace=workspace,
                at=self._desk.now(),
                actor=actor or about,
                action="mail.unsubscribe",
                object=about,
                after=msgspec.json.encode(what).decode(),
            ),
        )


def _what(wish: Wish) -> str:
    if isinstance(wish, EndAlert):
        return (
            f"You will no longer be alerted by email of {WORDS[wish.trigger]}. Other ways of being "
            "alerted stay as they are, and you can turn this on again in your alert preferences."
        )
    return f"{wish.shown} will get no more replies from us by email."


def _damaged() -> web.Response:
    return _answer(404, "This link does not work", "It is damaged, or was not made by us.")


def _locked() -> web.Response:
    return _answer(
        409,
        "This cannot be turned off here",
        "Your workspace decides how everybody is alerted of this. Ask one of its admins.",
    )


def _answer(status: int, title: str, text: str, *, button: str = "") -> web.Response:
    form = f'<form method="post"><button>{escape(button)}</button></form>' if button else ""
    page = _PAGE.substitute(title=escape(title), text=escape(text), form=form)
    return web.Response(
        status=status,
        text=page,
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": _POLICY},
    )


_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>$title</title>
</head>
<body>
<h1>$title</h1>
<p>$text</p>
$form
</body>
</html>
""")
