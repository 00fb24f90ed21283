"""Replies to visitors of the web chat who have left: noted as they are shown, mailed when due.

The timer is armed before the document is written, as `armed` explains, and what fires is decided
by what stands then. An email is written down as a letter before it is sent, under the key that the
mailer knows it by: whoever finds it after a crash sends the same one, which is sent once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from libs.common import subjects, timers
from libs.common.awaited import AWAITED, WRITTEN, Awaited, Letter, Reply, Written, written_id
from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome
from libs.common.documents import SESSIONS, Session
from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.events import Inbound, SendReported, SendRequest, Timer
from libs.common.status import BY_EMAIL
from libs.common.store.api import Store
from libs.common.switches import OfflineVisitors, Settings
from services.notifier.mailer import Mailer
from services.notifier.offline import (
    MACHINES_A_DAY,
    MAILS_A_DAY,
    View,
    charged,
    closed,
    later,
    looked,
    noted,
    wants_mail,
)
from services.notifier.offline_case import Cases, Ready
from services.notifier.offline_lives import Lives
from services.notifier.offline_metrics import OFFLINE

log = logging.getLogger(__name__)

WRITTEN_IN = timedelta(seconds=5)
"""How long a write takes at most, else its timer is armed once more after it."""

_TIMER = msgspec.json.Decoder(Timer)


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What it is done with; `settings` looks up a workspace, `now` is UTC."""

    bus: Bus
    store: Store
    mailer: Mailer
    lives: Lives
    cases: Cases
    settings: Callable[[str], Settings]
    now: Callable[[], datetime]


class Waiting:
    """Looks after replies that their visitors have perhaps not seen."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def shown(self, request: SendRequest) -> None:
        """Note that *request* stands in the plugin; said again it has no further effect.

        Raises:
            BusUnavailableError, StoreUnavailableError: It is perhaps not noted.
        """
        settings = self._rules(request.workspace)
        if not self._means.mailer.is_on or not wants_mail(request, settings):
            return
        reply = Reply(
            id=request.message_id,
            at=self._moment(),
            said_at=request.queued_at,
            method=request.offline,
        )
        while True:
            known = await self._get(request.workspace, request.session)
            doc = noted(known or _empty(request, reply.at), reply, settings)
            if doc is None:
                return
            if await self._write(doc):
                return

    async def arm(self, doc: Awaited) -> None:
        """Arm the timer of *doc*, which is written.

        Raises:
            BusUnavailableError: It is perhaps not armed.
        """
        await self._arm(doc, doc.due_at)

    async def fire(self, delivery: Delivery) -> Outcome:
        """Look after the session whose timer is due.

        Raises:
            BusUnavailableError, StoreUnavailableError: It is repeated when they are back.
        """
        try:
            timer = _TIMER.decode(delivery.data)
        except (ValueError, RecursionError) as error:
            return Bury("malformed_payload", type(error).__name__)
        while True:
            known = await self._get(timer.workspace, timer.key)
            if known is None or known.due_at is None:
                return Ack()
            if await self._looked(known):
                return Ack()

    async def _looked(self, known: Awaited) -> bool:
        """Do what is due; False: somebody changed it meanwhile, and it is to be looked at again."""
        now = self._moment()
        if known.letter is not None:
            if known.due_at is not None and known.due_at > now:
                await self._arm(known, known.due_at)
                return True
            return await self._send(known, known.letter)
        session = await self._means.store.get(SESSIONS, known.workspace, known.id)
        if session is None:
            await self._means.store.delete(AWAITED, known.workspace, known.id)
            return True
        doc = looked(known, await self._view(known, session, now))
        self._count(known, doc)
        if doc.letter is None:
            return await self._write(doc)
        written = await self._replaced(doc)
        return written is not None and await self._send(written, doc.letter)

    async def _view(self, known: Awaited, session: Session, now: datetime) -> View:
        lives = self._means.lives
        signs = (lives.seen(known.account, known.visitor), session.heard_at)
        return View(
            now=now,
            seen=max((at for at in signs if at is not None), default=None),
            known_since=lives.known_since,
            read_up_to=session.read_up_to,
            settings=self._rules(known.workspace),
            address=await self._means.cases.address(session),
        )

    async def _send(self, doc: Awaited, letter: Letter) -> bool:
        """Send the letter, tell the router, and close it."""
        ready = await self._means.cases.mail(doc, letter)
        if ready is None or not await self._may(doc, letter, ready):
            OFFLINE.labels("limited" if ready else "gone").inc()
            if ready is not None:
                await self._report(doc, letter, "limited")
            return await self._close(doc, letter, mailed=False)
        result = await self._means.mailer.send(ready.mail)
        if result.state == "waiting":
            at = self._moment() + timedelta(seconds=max(result.delay_s, 1.0))
            return await self._write(later(doc, at, self._moment()))
        mailed = result.state in {"sent", "unknown"}
        OFFLINE.labels("mailed" if mailed else result.state).inc()
        log.info(
            "visitor.mailed" if mailed else "visitor.not_mailed",
            extra={"session": doc.id, "workspace": doc.workspace, "reason": result.reason},
        )
        if result.state != "off":
            await self._report(doc, letter, "" if mailed else result.reason or result.state)
        return await self._close(doc, letter, mailed=mailed)

    async def _may(self, doc: Awaited, letter: Letter, ready: Ready) -> bool:
        """Count the letter among those of today; False: that is one too many."""
        workspace, key = doc.workspace, letter.key
        if ready.by_machines:
            of = written_id(f"machines of {doc.account}")
            if not await self._charge(workspace, of, key, MACHINES_A_DAY):
                return False
        return await self._charge(workspace, written_id(letter.to), key, MAILS_A_DAY)

    async def _charge(self, workspace: str, of: str, key: str, most: int) -> bool:
        store = self._means.store
        while True:
            now = self._moment()
            known = await store.get(WRITTEN, workspace, of)
            before = known or Written(id=of, workspace=workspace, updated_at=now)
            counted = charged(before, key, now, most)
            if counted is None:
                return False
            try:
                await (store.replace if known else store.insert)(WRITTEN, counted)
            except (StaleRevisionError, UniqueConflictError):
                continue
            return True

    async def _report(self, doc: Awaited, letter: Letter, failed: str) -> None:
        """Have the timeline say of each message when it went out by email, or why it did not."""
        session = await self._means.store.get(SESSIONS, doc.workspace, doc.id)
        if session is None:
            return
        now = self._means.now()
        for message in letter.replies:
            event_id = f"mail:{message}:failed" if failed else f"mail:{message}"
            report = Inbound(
                workspace=doc.workspace,
                channel=session.channel,
                account=doc.account,
                ingest_id="",
                received_at=now,
                event=SendReported(
                    event_id=event_id,
                    visitor=doc.visitor,
                    occurred_at=now,
                    message_id=message,
                    status="failed" if failed else "sent",
                    via=BY_EMAIL,
                    reason=failed,
                ),
            )
            subject = subjects.inbound(doc.workspace, session.channel, doc.account, doc.visitor)
            await self._means.bus.publish(subject, msgspec.json.encode(report), msg_id=event_id)

    async def _close(self, doc: Awaited, letter: Letter, *, mailed: bool) -> bool:
        settings = self._rules(doc.workspace)
        while not await self._write(closed(doc, settings, self._moment(), mailed=mailed)):
            known = await self._get(doc.workspace, doc.id)
            if known is None or known.letter != letter:
                return False
            doc = known
        return True

    # --- documents and timers ------------------------------------------------------------------

    async def _get(self, workspace: str, session: str) -> Awaited | None:
        return await self._means.store.get(AWAITED, workspace, session)

    async def _write(self, doc: Awaited) -> bool:
        """Arm the timer and write *doc*; False: somebody was faster."""
        due, first = doc.due_at, None
        if due is not None:
            first = max(due, self._means.now() + WRITTEN_IN)
            await self._arm(doc, first)
        if await self._replaced(doc) is None:
            return False
        if due != first:
            await self._arm(doc, due)
        return True

    async def _replaced(self, doc: Awaited) -> Awaited | None:
        store = self._means.store
        try:
            return await (store.replace if doc.rev else store.insert)(AWAITED, doc)
        except (StaleRevisionError, UniqueConflictError):
            return None

    async def _arm(self, doc: Awaited, due: datetime | None) -> None:
        if due is None:
            return
        timer = Timer(kind="offline", workspace=doc.workspace, session=doc.id, due=due)
        subject, data, headers = timers.message(timer)
        await self._means.bus.publish(subject, data, msg_id="", headers=headers)

    def _rules(self, workspace: str) -> OfflineVisitors:
        return self._means.settings(workspace).offline_visitors

    def _count(self, known: Awaited, doc: Awaited) -> None:
        """Count the replies that need no email any more."""
        over = len(known.replies) - len(doc.replies)
        if over > 0:
            OFFLINE.labels("over").inc(over)

    def _moment(self) -> datetime:
        """Return the time in whole milliseconds, as every store keeps it."""
        now = self._means.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _empty(request: SendRequest, at: datetime) -> Awaited:
    return Awaited(
        id=request.session,
        workspace=request.workspace,
        account=request.account,
        visitor=request.visitor,
        updated_at=at,
    )
