"""Since when an endpoint has failed; one that takes nothing for days is switched off.

People are told by the fact `webhook.disabled` and find it in the record. What happens from then on
is still noted, and goes out when a person switches the endpoint on again in time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

import msgspec

from libs.common import subjects
from libs.common.bus.client import Bus
from libs.common.documents import AUDIT, AuditEntry
from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.ids import derive_id
from libs.common.store.api import Page, Store
from libs.common.webhook_queue import changed
from libs.common.webhooks import (
    DELIVERIES,
    ENDPOINTS,
    Disabler,
    WebhookEndpoint,
    disabled_fact,
)
from services.notifier.hooks_endpoints import Endpoints
from services.notifier.hooks_retry import Tried, gives_up

log = logging.getLogger(__name__)

_TRIES = 5


class Health:
    """Keeps `failing_since` of endpoints, and switches them off.

    Args:
        bus: Where people are told.
        store: Has endpoints, deliveries and the record open.
        endpoints: Those known here.
        now: UTC.
    """

    def __init__(
        self, bus: Bus, store: Store, endpoints: Endpoints, now: Callable[[], datetime]
    ) -> None:
        self._bus = bus
        self._store = store
        self._endpoints = endpoints
        self._now = now

    async def after(self, endpoint: WebhookEndpoint, tried: Tried, delivery: str) -> None:
        """Note what a try of *delivery* tells of *endpoint*, as it was known when it was made.

        Raises:
            BusUnavailableError, StoreUnavailableError: Perhaps not noted; the next try tells again.
        """
        if tried.delivered:
            if endpoint.failing_since is not None:
                await self._changed(endpoint, self._recovered)
        elif tried.gone:
            log.warning("hook.gone", extra={"endpoint": endpoint.id, "delivery": delivery})
            await self._changed(endpoint, self._gone)
        elif endpoint.failing_since is None or gives_up(endpoint, self._now()):
            await self._changed(endpoint, self._failed)

    async def _changed(
        self,
        known: WebhookEndpoint,
        step: Callable[[WebhookEndpoint], WebhookEndpoint],
    ) -> None:
        for _ in range(_TRIES):
            before = await self._store.get(ENDPOINTS, known.workspace, known.id)
            if before is None or not before.enabled or before.url != known.url:
                return
            after = step(before)
            if not after.enabled and after.disabled_reason == "failing":
                after = await self._unless_delivered(before, after)
            if after == before:
                break
            try:
                await self._write(before, after)
            except StaleRevisionError:
                continue
            break
        self._endpoints.forget(known.workspace)
        changed(self._bus, known.workspace)

    def _recovered(self, before: WebhookEndpoint) -> WebhookEndpoint:
        return msgspec.structs.replace(before, failing_since=None)

    def _failed(self, before: WebhookEndpoint) -> WebhookEndpoint:
        if before.failing_since is None:
            return msgspec.structs.replace(before, failing_since=self._now())
        return self._off(before, "failing") if gives_up(before, self._now()) else before

    def _gone(self, before: WebhookEndpoint) -> WebhookEndpoint:
        return self._off(before, "gone")

    def _off(self, before: WebhookEndpoint, why: Disabler) -> WebhookEndpoint:
        return msgspec.structs.replace(
            before, enabled=False, disabled_reason=why, disabled_at=self._now()
        )

    async def _unless_delivered(
        self, before: WebhookEndpoint, off: WebhookEndpoint
    ) -> WebhookEndpoint:
        """Return what is to be written: another process may have had a success and not noted it."""
        page = Page(order="state", descending=True, limit=20)
        where = {"endpoint": before.id, "state": "delivered"}
        found = await self._store.find(DELIVERIES, before.workspace, where, page)
        since = before.failing_since or before.created_at
        if any(one.ended_at is not None and one.ended_at > since for one in found):
            return msgspec.structs.replace(before, failing_since=self._now())
        return off

    async def _write(self, before: WebhookEndpoint, after: WebhookEndpoint) -> None:
        """Write it, told and on record first where it switches off: never one without the others.

        Raises:
            StaleRevisionError: Somebody changed it since it was read.
        """
        if not after.enabled:
            now = self._now()
            fact = disabled_fact(before, after.disabled_reason, now)
            subject = subjects.fact(fact.workspace, fact.type, fact.session)
            await self._bus.publish(subject, msgspec.json.encode(fact), msg_id=fact.fact_id)
            await self._record(after, fact.fact_id, now)
            extra = {"endpoint": after.id, "workspace": after.workspace}
            log.warning("hook.disabled", extra={**extra, "code": after.disabled_reason})
        await self._store.replace(ENDPOINTS, after)

    async def _record(self, after: WebhookEndpoint, fact_id: str, now: datetime) -> None:
        entry = AuditEntry(
            id=derive_id("aud", after.workspace, fact_id),
            workspace=after.workspace,
            at=now,
            actor="system",
            action="webhook_endpoint.disable",
            object=f"webhook_endpoint:{after.id}",
            before=_json({"enabled": True}),
            after=_json({"enabled": False, "disabled_reason": after.disabled_reason}),
        )
        try:
            await self._store.insert(AUDIT, entry)
        except UniqueConflictError:
            return  # a repeat


def _json(shown: dict[str, object]) -> str:
    return msgspec.json.encode(shown).decode()
