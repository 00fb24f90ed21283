"""Uploads of web visitors: `POST /files/web/<account>` with the visitor's own token.

The page then names the attachment's id in a message. The id itself proves whose file it is, see
`channels.web.visitor`.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress

import msgspec
from aiohttp import web

from libs.common.channel import Account
from libs.common.channels.web.origins import may_use, plugin_of
from libs.common.channels.web.visitor import upload_id, visitor_from
from libs.common.channels.web.wire import UPLOAD_MOST_BYTES
from libs.common.directory import seal_context
from libs.common.errors import BadSignatureError, CommandError, SealError
from libs.common.ids import is_slug
from services.desk.api.problem import PROBLEM_TYPE, RefusalError, problem_of
from services.desk.api.route import Desk
from services.desk.attachments import Incoming
from services.desk.incoming import uploaded
from services.desk.throttle import Buckets, Limit

KEY = "visitor_key"
EACH = Limit(burst=10, refill_s=6.0)
"""Files of one visitor: ten at once, then ten a minute."""
ACCOUNT = Limit(burst=60, refill_s=1.0)
"""Files of all visitors of an account, of whom anybody may be as many as they like."""

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "86400",
}


class VisitorFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a page is told of its upload."""

    id: str
    kind: str
    name: str
    mime_type: str
    size_bytes: int


class VisitorUploads:
    """Takes files from pages of any origin; the token in the header proves the visitor."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._each = Buckets(EACH, time.monotonic)
        self._accounts = Buckets(ACCOUNT, time.monotonic)

    async def serve(self, request: web.Request) -> web.Response:
        """Store a file; the page's script may read every answer, refusals too."""
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=_PREFLIGHT)
        account, visitor = await self._visitor(request)
        try:
            await self._refuse_foreign(request, account)
            self._throttle(account, visitor)
            stored = await self._store(request, account, visitor)
        except CommandError as error:
            body = msgspec.json.encode(problem_of(error))
            more = error.headers if isinstance(error, RefusalError) else {}
            headers = {**CORS, **more, "Content-Type": PROBLEM_TYPE}
            return web.Response(status=error.status, body=body, headers=headers)
        headers = {**CORS, "Content-Type": "application/json"}
        return web.Response(status=201, body=msgspec.json.encode(stored), headers=headers)

    async def _visitor(self, request: web.Request) -> tuple[Account, str]:
        """Return the account and whose token the request carries.

        Raises:
            RefusalError: 401, whatever is wrong with it.
        """
        account = await self._account(request.match_info["account"])
        with suppress(BadSignatureError):
            if account is not None:
                given = request.headers.get("Authorization", "")
                return account, visitor_from(account, given, self._desk.now())
        words = "Send the visitor's token as a bearer token."
        raise RefusalError(401, "unauthenticated", words, headers=CORS)

    async def _account(self, slug: str) -> Account | None:
        found = await self._desk.store.account_by_slug(slug) if is_slug(slug) else None
        if found is None or not found.enabled or found.channel != "web" or KEY not in found.sealed:
            return None
        context = seal_context(found.workspace, found.id, KEY)
        try:
            opened = self._desk.sealer.open(found.sealed[KEY], context)
        except SealError:
            return None
        return Account(
            workspace=found.workspace,
            slug=found.id,
            channel=found.channel,
            external_id=found.external_id,
            secrets={KEY: opened},
        )

    async def _refuse_foreign(self, request: web.Request, account: Account) -> None:
        """Refuse pages that the account's plugin is not for.

        Raises:
            RefusalError: 403.
        """
        workspace = await self._desk.store.workspace(account.workspace)
        origin, host = request.headers.get("Origin", ""), request.headers.get("Host", "")
        if not may_use(plugin_of(workspace.settings, account.slug), origin, host):
            raise RefusalError(403, "foreign_origin", "Pages of this origin may not use the chat.")

    def _throttle(self, account: Account, visitor: str) -> None:
        wait_s = self._each.take(f"{account.slug}/{visitor}") or self._accounts.take(account.slug)
        if wait_s:
            headers = {"Retry-After": str(int(wait_s) + 1)}
            raise RefusalError(429, "throttled", "Too many files at once.", headers=headers)

    async def _store(self, request: web.Request, account: Account, visitor: str) -> VisitorFile:
        limit = min(UPLOAD_MOST_BYTES, self._desk.settings.upload_max_bytes)
        coming = await uploaded(request, limit)
        file = await self._desk.attachments.keep(
            Incoming(
                workspace=account.workspace,
                file_id=upload_id(account, visitor, secrets.token_hex(16)),
                owner=f"visitor:{visitor}",
                account=account.slug,
                name=coming.name,
                chunks=coming.chunks,
                limit=limit,
                by_visitor=True,
            ),
            self._desk.now(),
        )
        return VisitorFile(
            id=file.id,
            kind=file.kind,
            name=file.name,
            mime_type=file.mime_type,
            size_bytes=file.size_bytes,
        )
