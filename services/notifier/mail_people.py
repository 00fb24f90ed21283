"""The sink `letter`: invitations and links to a new password, each mailed once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from libs.common import subjects
from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Delivery, Outcome, Retry
from libs.common.bus.options import Options
from libs.common.bus.shared import consume_shared
from libs.common.errors import MalformedPayloadError
from libs.common.mails import Mail
from libs.common.people import LETTERS, Letter, open_letter
from libs.common.seal import Sealer
from libs.common.subjects import ALERTS
from services.notifier import mail_letter as pages
from services.notifier import metrics
from services.notifier.faults import Bounded
from services.notifier.mailer import Mailer

log = logging.getLogger(__name__)

DURABLE = "letters"
AT_ONCE = 4
_WORKSPACE = 2
_NEVER = 1_000_000
"""The mailer decides when a mail is given up, by time, and not the bus by tries; see `faults`."""
_SOON_S = 1.0


class Letters:
    """Mails what is about a person's own access, while its link still opens something.

    Args:
        sealer: Opens what desk sealed.
        mailer: Sends, and keeps the ledger.
        now: UTC.
    """

    def __init__(self, sealer: Sealer, mailer: Mailer, now: Callable[[], datetime]) -> None:
        self._sealer = sealer
        self._mailer = mailer
        self._now = now

    async def handle(self, delivery: Delivery) -> Outcome:
        """Mail one; a repeat is the same mail.

        Raises:
            MalformedPayloadError: It was not sealed for this place.
            StoreUnavailableError: Nothing was done, as far as is known.
        """
        workspace = delivery.subject.split(".")[_WORKSPACE]
        letter = open_letter(self._sealer, workspace, delivery.data)
        if letter is None:
            raise MalformedPayloadError("this is no letter of this workspace")
        if not self._mailer.is_on or letter.expires_at <= self._now():
            metrics.MAILS.labels("account", "off" if not self._mailer.is_on else "cleared").inc()
            return Ack()
        mailed = await self._mailer.send(mail_of(letter))
        if mailed.state == "waiting":
            metrics.MAIL_RETRIES.labels("account", mailed.reason).inc()
            return Retry(mailed.reason or "waiting", mailed.delay_s)
        metrics.MAILS.labels("account", mailed.state).inc()
        if mailed.state not in {"sent", "suppressed"}:
            log.warning("mail.given_up", extra={"reason": mailed.reason, "code": mailed.code})
        return Ack()


def mail_of(letter: Letter) -> Mail:
    """Return the mail; what others chose to be called stands in it as plain text alone."""
    until = letter.expires_at.strftime("%Y-%m-%d %H:%M UTC")
    if letter.kind == "invitation":
        title = f"{letter.by or 'Somebody'} invites you to answer customers together"
        lines = (f"You are invited to the workspace {letter.workspace}.", f"Valid until {until}.")
        button, why = "Accept the invitation", "You get this because somebody invited this address."
    else:
        title = "Set a new password"
        lines = (f"For the workspace {letter.workspace}.", f"Valid until {until}, once.")
        button = "Set a new password"
        why = "You get this because somebody asked for it. If it was not you, do nothing."
    page = pages.Letter(title=title, lines=lines, button=button, url=letter.url, footer=(why,))
    return Mail(
        key=letter.key,
        workspace=letter.workspace,
        kind="account",
        to=letter.to,
        to_name=letter.to_name,
        subject=title,
        text=pages.plain(page),
        html=pages.rendered(page),
    )


@asynccontextmanager
async def mailing_letters(
    bus: Bus, sealer: Sealer, mailer: Mailer, now: Callable[[], datetime], stop: asyncio.Event
) -> AsyncIterator[None]:
    """Mail them beside the block, until *stop*; the block's end waits for it.

    Raises:
        PermanentError: JetStream refuses the consumer.
    """
    letters = Letters(sealer, mailer, now)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            consume_shared(
                bus,
                ALERTS,
                DURABLE,
                Bounded(letters.handle),
                subject=subjects.alert(LETTERS, "*", "*"),
                stop=stop,
                service="notifier",
                at_once=AT_ONCE,
                options=Options(tries=_NEVER, backoff=lambda _attempt: _SOON_S),
            )
        )
        yield
