"""Pushes alerts to agents' browsers: each browser a delivery of its own, tried until it is stale.

What comes as `alert.push.*.*` is laid out to the agent's subscriptions as `alert.device.*.*`, under
message ids that make a repeat one. So a browser that cannot be reached delays no other, and a
repeat of it pushes to no other. A crash between the push service's answer and our acknowledgement
pushes once more; the browser shows it in place of the first, as it has the same tag.
"""

from __future__ import annotations

import logging
import random
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple, NoReturn

import msgspec

from libs.common import subjects
from libs.common.alerts import ATTENTION, PREFERENCES, Alert
from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Delivery, Outcome, Retry
from libs.common.channel import HttpCall, HttpReply
from libs.common.decode import decode
from libs.common.documents import AGENTS
from libs.common.errors import (
    AmbiguousSendError,
    NotSentError,
    RejectedError,
    SealError,
    StaleRevisionError,
)
from libs.common.http import AllowedBase, Door
from libs.common.pushes import (
    SUBSCRIPTIONS,
    Endpoint,
    Push,
    PushHosts,
    PushSubscription,
    seal_context,
)
from libs.common.seal import Sealer
from libs.common.store.api import Page, Store
from services.notifier import metrics
from services.notifier.attention_metrics import SETTLED
from services.notifier.attention_tell import wants_quiet
from services.notifier.push import (
    Verdict,
    headers,
    pause_s,
    payload,
    smallest,
    still_wanted,
    verdict,
)
from services.notifier.push_hosts import CALL_S, Host, Hosts, PutOffError, put_off_s
from services.notifier.push_sign import Signer, sealed

log = logging.getLogger(__name__)

MOST_BROWSERS = 50
MOST_REMEMBERED = 10_000
NOTE_OK_EVERY = timedelta(hours=1)
_SERVER = 500

_alert = msgspec.json.Decoder(Alert)
_push = msgspec.json.Decoder(Push)
_endpoint = msgspec.json.Decoder(Endpoint)


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What pushing needs from outside.

    `clock` gives seconds that only rise, `zone_of` a workspace's time zone.
    """

    bus: Bus
    store: Store
    door: Door
    sealer: Sealer
    signer: Signer
    allowed: PushHosts
    now: Callable[[], datetime]
    clock: Callable[[], float]
    zone_of: Callable[[str], str]


class _Tried(NamedTuple):
    """What a call led to: the answer, None where none came; and the service rests so long."""

    reply: HttpReply | None
    rest_s: float = 0.0


class _GiveUpError(Exception):
    """This push is not to be made; says why, for the metrics."""


class Pusher:
    """The two handlers, and what this process remembers: services, and what it has delivered."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._hosts = Hosts(means.clock)
        self._done: OrderedDict[str, None] = OrderedDict()
        metrics.PUSH_RESTING.set_function(lambda: float(self._hosts.resting))

    async def lay_out(self, delivery: Delivery) -> Outcome:
        """Make of an alert one delivery for each of the agent's browsers.

        Raises:
            MalformedPayloadError: It is no alert.
            StoreUnavailableError, BusUnavailableError: It is repeated in full.
        """
        alert, means = decode(_alert, delivery.data), self._means
        if alert.kind == "cleared":  # a browser must show whatever is pushed, so nothing is
            return _over("cleared")
        if alert.expires_at <= means.now():
            SETTLED.labels("push", "expired").inc()
            return _over("expired")
        found = await means.store.find(
            SUBSCRIPTIONS,
            alert.workspace,
            {"agent": alert.agent},
            Page(order="agent", limit=MOST_BROWSERS),
        )
        subject = subjects.alert("device", alert.workspace, alert.agent)
        for each in found:
            data = msgspec.json.encode(Push(alert=alert, subscription=each.id))
            msg_id = f"{alert.id}:{alert.n}:push:{each.id}"
            await means.bus.publish(subject, data, msg_id=msg_id)
        SETTLED.labels("push", "told" if found else "nobody").inc()
        return Ack() if found else _over("no_browser")

    async def push(self, delivery: Delivery) -> Outcome:
        """Push to one browser, or say when it is tried again.

        Raises:
            MalformedPayloadError: It is no push.
            StoreUnavailableError: Nothing was done.
        """
        push = decode(_push, delivery.data)
        mark = f"{push.alert.id}:{push.alert.n}:{push.subscription}"
        if mark in self._done:
            return _over("repeated")
        try:
            subscription = await self._wanted(push)
            outcome = await self._send(subscription, push.alert, delivery.attempt)
        except _GiveUpError as why:
            return _over(str(why))
        except PutOffError as why:
            return self._put_off(push.alert, delivery.attempt, why.after_s)
        if isinstance(outcome, Ack):
            self._remember(mark)
        return outcome

    async def _wanted(self, push: Push) -> PushSubscription:
        """Return whom to push to, after one more look at everything that may have changed.

        Raises:
            _GiveUpError: It is not to be pushed.
        """
        alert, store = push.alert, self._means.store
        if alert.expires_at <= self._means.now():
            raise _GiveUpError("expired")
        found = await store.get(SUBSCRIPTIONS, alert.workspace, push.subscription)
        if found is None or found.agent != alert.agent:
            raise _GiveUpError("unsubscribed")
        agent = await store.get(AGENTS, alert.workspace, alert.agent)
        if agent is None or agent.disabled:
            await self._remove(found, "agent")
        if not self._means.signer.knows(found.key):
            await self._remove(found, "key")
        if not await self._still_waits(alert):
            raise _GiveUpError("moot")
        return found

    async def _still_waits(self, alert: Alert) -> bool:
        if not alert.session:
            return True
        attention = await self._means.store.get(ATTENTION, alert.workspace, alert.session)
        return alert.summary or still_wanted(alert, attention.watches if attention else ())

    async def _send(self, to: PushSubscription, alert: Alert, attempt: int) -> Outcome:
        endpoint = await self._opened(to)
        chosen = await self._means.store.get(PREFERENCES, alert.workspace, alert.agent)
        if chosen and wants_quiet(chosen, self._means.zone_of(alert.workspace), self._means.now()):
            raise _GiveUpError("quiet")  # since it was raised; the page and email tell it
        whole = payload(alert, chosen.lock_screen if chosen else "generic")
        async with self._hosts.place(to.host) as host:
            tried = await self._call(host, to, endpoint, alert, whole)
            if tried.reply and verdict(tried.reply.status) == "too_large":
                tried = await self._call(host, to, endpoint, alert, smallest(alert))
        return await self._settle(to, alert, tried, attempt)

    async def _opened(self, to: PushSubscription) -> Endpoint:
        """Return where to push.

        Raises:
            _GiveUpError: It cannot be read, or is not allowed any more.
        """
        try:
            text = self._means.sealer.open(to.sealed, seal_context(to.workspace, to.id))
        except SealError:
            await self._remove(to, "key")
        endpoint = _endpoint.decode(text)
        if not self._means.allowed.permits(endpoint.url):
            raise _GiveUpError("forbidden")
        return endpoint

    async def _call(
        self, host: Host, to: PushSubscription, endpoint: Endpoint, alert: Alert, content: bytes
    ) -> _Tried:
        """Make the call, and take down how the service does.

        Raises:
            _GiveUpError: It must not be made, or was answered with a redirect.
        """
        means = self._means
        signed = {"Authorization": means.signer.header(to.key, endpoint.url)}
        call = HttpCall(
            url=endpoint.url,
            headers=headers(alert, means.now()) | signed,
            body=sealed(endpoint, content),
        )
        local = means.allowed.local(endpoint.url)
        try:
            with metrics.PUSH_SECONDS.time():
                reply = await means.door.perform(
                    call, timeout_s=CALL_S, allow=AllowedBase(local) if local else None
                )
        except (NotSentError, AmbiguousSendError) as error:
            log.debug("push.unreached", extra={"host": to.host, "reason": error.detail})
            return _Tried(None, self._hosts.failed(host, error.detail))
        except RejectedError as error:
            self._hosts.answered(host)  # by a redirect, or we refused: no reason to leave it alone
            raise _GiveUpError(error.reason) from None
        if reply.status < _SERVER:
            self._hosts.answered(host)
            return _Tried(reply)
        return _Tried(reply, self._hosts.failed(host, f"http_{reply.status}"))

    async def _settle(
        self, to: PushSubscription, alert: Alert, tried: _Tried, attempt: int
    ) -> Outcome:
        reply = tried.reply
        found: Verdict = verdict(reply.status) if reply else "again"
        if found == "again":
            return self._again(alert, tried, attempt)
        if found == "gone":
            await self._remove(to, "gone")
        if found != "sent":
            status = reply.status if reply else 0
            log.warning("push.refused", extra={"host": to.host, "status": status})
        await self._note(to, ok=found == "sent")
        return _over(found)

    def _again(self, alert: Alert, tried: _Tried, attempt: int) -> Outcome:
        reply = tried.reply
        tries = 1 if tried.rest_s else attempt  # how long it rests has grown by itself
        pause = pause_s(tries, reply, random.random())  # noqa: S311 (jitter)
        delay_s = max(tried.rest_s, pause)
        if self._left_s(alert) <= delay_s:
            return _over("given_up")
        metrics.PUSHES.labels("again").inc()
        code = "unreached" if reply is None else f"http_{reply.status}"
        return Retry(code, delay_s, quiet=tried.rest_s > 0)  # of a rest we have told

    def _put_off(self, alert: Alert, attempt: int, after_s: float) -> Outcome:
        delay_s = put_off_s(attempt, after_s, self._left_s(alert))
        if delay_s is None:
            return _over("given_up")
        metrics.PUSHES.labels("put_off").inc()
        return Retry("put_off", delay_s, quiet=True)

    def _left_s(self, alert: Alert) -> float:
        """Return until when the alert is worth telling."""
        return (alert.expires_at - self._means.now()).total_seconds()

    async def _note(self, to: PushSubscription, *, ok: bool) -> None:
        """Keep how the browser does, where that changed; somebody else's word stands."""
        now = self._means.now()
        fresh = to.last_ok_at is not None and now - to.last_ok_at < NOTE_OK_EVERY
        if ok and fresh and not to.failures:
            return
        changed = msgspec.structs.replace(
            to,
            failures=0 if ok else to.failures + 1,
            last_ok_at=now if ok else to.last_ok_at,
        )
        try:
            await self._means.store.replace(SUBSCRIPTIONS, changed)
        except StaleRevisionError:
            log.debug("push.note_dropped", extra={"subscription": to.id})

    async def _remove(self, to: PushSubscription, reason: str) -> NoReturn:
        """Forget the subscription, unless the browser has subscribed anew meanwhile.

        Raises:
            _GiveUpError: Always: there is nobody to push to.
        """
        present = await self._means.store.get(SUBSCRIPTIONS, to.workspace, to.id)
        if present is not None and present.sealed == to.sealed:
            await self._means.store.delete(SUBSCRIPTIONS, to.workspace, to.id)
            metrics.PUSH_REMOVED.labels(reason).inc()
            log.info("push.removed", extra={"workspace": to.workspace, "reason": reason})
        raise _GiveUpError("gone")

    def _remember(self, mark: str) -> None:
        self._done[mark] = None
        if len(self._done) > MOST_REMEMBERED:
            self._done.popitem(last=False)


def _over(outcome: str) -> Ack:
    metrics.PUSHES.labels(outcome).inc()
    return Ack()
