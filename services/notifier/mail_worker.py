"""The sink `email`: alerts that are due by email, each looked at once more, then mailed once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from libs.common import subjects
from libs.common.alerts import Alert
from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Delivery, Outcome, Retry
from libs.common.bus.options import Options
from libs.common.bus.shared import consume_shared
from libs.common.config import NotifierSettings
from libs.common.decode import decode
from libs.common.directory import Directory
from libs.common.documents import Agent, Session
from libs.common.mails import Mail, Mailed
from libs.common.preferences import Watched
from libs.common.store.api import Store
from libs.common.subjects import ALERTS
from libs.common.unsubscribe import EndAlert, link, unsubscribe_keys
from services.notifier import metrics
from services.notifier.attention_metrics import SETTLED
from services.notifier.faults import Bounded
from services.notifier.mail_case import case_of, unseen
from services.notifier.mail_compose import MESSAGES_TOLD, Reader, compose, governing
from services.notifier.mailer import Mailer

log = logging.getLogger(__name__)

DURABLE = "emails"
AT_ONCE = 16
_NEVER = 1_000_000
"""The mailer decides when a mail is given up, by time, and not the bus by tries; see `faults`."""
_SOON_S = 1.0
_TOLD = frozenset({"sent", "unknown"})
_MOOT = frozenset({"seen", "cleared"})


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What mailing alerts needs; the store has agents, sessions, messages and attention open."""

    bus: Bus
    store: Store
    mailer: Mailer
    directory: Directory
    preferences: Watched
    keys: Sequence[bytes]
    public_url: str


def means_of(
    settings: NotifierSettings,
    parts: tuple[Bus, Store, Directory],
    mailer: Mailer,
    preferences: Watched,
) -> Means:
    """Return what mailing needs."""
    bus, store, directory = parts
    return Means(
        bus=bus,
        store=store,
        mailer=mailer,
        directory=directory,
        preferences=preferences,
        keys=unsubscribe_keys(settings.secret_key),
        public_url=settings.public_url,
    )


class Worker:
    """Mails alerts.

    Args:
        means: What it needs.
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    async def handle(self, delivery: Delivery) -> Outcome:
        """Mail one alert, unless it is moot; a repeat is the same mail.

        Raises:
            MalformedPayloadError: It is no alert.
            StoreUnavailableError: Nothing was done, as far as is known.
        """
        alert = decode(_ALERT, delivery.data)
        if alert.kind != "raised":
            return Ack()
        if not self._means.mailer.is_on:
            return self._moot("no_smtp")
        case = await case_of(self._means.store, alert)
        if case.moot or case.agent is None:
            return self._moot(case.moot)
        alert = _counted(alert, case.session)
        entries = await unseen(self._means.store, alert, case.session) if case.session else ()
        mail = compose(alert, entries, self._reader(alert, case.agent))
        return self._outcome(mail, await self._means.mailer.send(mail))

    def _reader(self, alert: Alert, agent: Agent) -> Reader:
        means = self._means
        settings = means.directory.settings(alert.workspace)
        chosen = means.preferences.of(alert.workspace, alert.agent)
        wish = EndAlert(workspace=alert.workspace, agent=alert.agent, trigger=governing(alert))
        return Reader(
            address=agent.email,
            name=agent.name,
            zone=_zone((chosen.zone if chosen else "") or settings.zone),
            public_url=means.public_url,
            stop_url=link(means.public_url, means.keys, wish),
            domain=means.mailer.domain,
            branded=not settings.remove_branding.email,
        )

    def _outcome(self, mail: Mail, mailed: Mailed) -> Outcome:
        if mailed.state == "waiting":
            metrics.MAIL_RETRIES.labels(mail.kind, mailed.reason).inc()
            return Retry(mailed.reason or "waiting", mailed.delay_s)
        metrics.MAILS.labels(mail.kind, mailed.state).inc()
        SETTLED.labels("email", "told" if mailed.state in _TOLD else "refused").inc()
        if mailed.state in {"failed", "unknown"}:
            told = {"reason": mailed.reason, "code": mailed.code, "session": mail.about}
            log.warning("mail.given_up", extra=told)
        return Ack()

    def _moot(self, why: str) -> Ack:
        metrics.MAILS.labels("alert", why).inc()
        SETTLED.labels("email", "moot" if why in _MOOT else "refused").inc()
        return Ack()


@asynccontextmanager
async def mailing(means: Means, stop: asyncio.Event) -> AsyncIterator[None]:
    """Mail alerts beside the block, until *stop*; the block's end waits for it.

    Raises:
        PermanentError: JetStream refuses the consumer.
    """
    worker = Worker(means)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            consume_shared(
                means.bus,
                ALERTS,
                DURABLE,
                Bounded(worker.handle),
                subject=subjects.alert("email", "*", "*"),
                stop=stop,
                service="notifier",
                at_once=AT_ONCE,
                options=Options(tries=_NEVER, backoff=lambda _attempt: _SOON_S),
            )
        )
        yield


_ALERT = msgspec.json.Decoder(Alert)


def _counted(alert: Alert, session: Session | None) -> Alert:
    """Return *alert* with the number of messages that the mail is about: all that are unseen."""
    if session is None or alert.trigger not in MESSAGES_TOLD:
        return alert
    unread = session.inbound - session.reads.get(alert.agent, 0)
    return msgspec.structs.replace(alert, count=max(alert.count, unread))


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"
    return name
