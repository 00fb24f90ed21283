"""Email: the connection to the mail server, and the sink that mails alerts beside all else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from libs.common.bus.client import Bus
from libs.common.config import NotifierSettings
from libs.common.directory import Directory
from libs.common.mail_server import read_server
from libs.common.preferences import watched_preferences
from libs.common.store.api import Store
from services.notifier.mail_line import Line
from services.notifier.mail_sweep import sweeping
from services.notifier.mail_worker import mailing, means_of
from services.notifier.mailer import Mailer

log = logging.getLogger(__name__)


def check_mail(settings: NotifierSettings) -> None:
    """Refuse settings by which no mail could be sent.

    Raises:
        SettingsError: Names the variable.
    """
    read_server(settings.smtp_url, settings.mail_from)


@asynccontextmanager
async def mailing_alerts(
    settings: NotifierSettings, parts: tuple[Bus, Store, Directory], stop: asyncio.Event
) -> AsyncIterator[Mailer]:
    """Mail alerts beside the block, until *stop*; yields the mailer, for others who have mails.

    The store has `agents`, `sessions`, `messages`, `attention` and `MAILS` open.

    Raises:
        SettingsError: See `check_mail`.
        PermanentError: JetStream refuses the consumer.
    """
    bus, store, _ = parts
    server = read_server(settings.smtp_url, settings.mail_from)
    line = Line(server, timeout_s=settings.smtp_timeout_s) if server else None
    if line is None:
        log.info("mail.off", extra={"reason": "RELAYDESK_SMTP_URL is not set"})
    mailer = Mailer(store, line, now=_now)
    async with AsyncExitStack() as opened:
        if line is not None:
            opened.push_async_callback(line.close)
        preferences = await opened.enter_async_context(watched_preferences(bus))
        means = means_of(settings, parts, mailer, preferences)
        await opened.enter_async_context(mailing(means, stop))
        tasks = await opened.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(sweeping(store, _now, stop))
        yield mailer


def _now() -> datetime:
    return datetime.now(UTC)
