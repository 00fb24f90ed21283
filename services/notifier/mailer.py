"""Sending mails: each once, as far as SMTP allows; at most one flagged duplicate after a crash.

The ledger says `started` right before the server is given the mail. Whatever fails before is
certainly not sent, and is tried again, for `GIVE_UP` at most; so is what the server refuses for
now. What was started and not answered may have arrived: it goes out once more, marked, with the
same Message-ID.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import aiosmtplib
import msgspec

from libs.common.errors import InvalidInputError, StaleRevisionError, UniqueConflictError
from libs.common.mail_bytes import check_address, message_id, render
from libs.common.mails import (
    MAILINGS,
    SUPPRESSIONS,
    Mail,
    Mailed,
    Mailing,
    MailState,
    Suppression,
    SuppressionScope,
    covered,
    suppression_id,
)
from libs.common.store.api import Store
from services.notifier.hold import hold
from services.notifier.mail_line import Line
from services.notifier.mail_refusal import Refusal, in_doubt, refusal

log = logging.getLogger(__name__)

PAUSES_S = (5.0, 15.0, 60.0, 300.0, 600.0, 1800.0, 3600.0)
"""Before the second try, the third, and so on; the last one repeats."""
GIVE_UP = timedelta(hours=6)
"""Since the first try; about a dozen of them."""
_LEASE_TIMES = 2.2
"""How old `started` must be for its process to be gone, in time-outs: DATA and the content have
one each."""
BOUNCED_FOR = timedelta(days=30)
"""A refused address is tried again after that: people get their mailbox back."""

_FINAL: frozenset[MailState] = frozenset({"sent", "failed", "unknown"})


class _LostError(Exception):
    """Another process is at the same mail; it is left to that one."""


class Mailer:
    """Sends mails and keeps the ledger.

    Args:
        store: Has `MAILINGS` and `SUPPRESSIONS` open.
        line: To the mail server; None: there is none, and every mail is `off`.
        now: UTC.
        pauses_s: As `PAUSES_S`.
    """

    def __init__(
        self,
        store: Store,
        line: Line | None,
        *,
        now: Callable[[], datetime],
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._store = store
        self._line = line
        self._now = now
        self._lease = timedelta(seconds=_LEASE_TIMES * line.timeout_s if line else 0)
        self._pauses_s = pauses_s

    @property
    def is_on(self) -> bool:
        """Whether there is a mail server."""
        return self._line is not None

    @property
    def domain(self) -> str:
        """The right side of our Message-IDs; empty without a mail server."""
        return self._line.server.from_address.rpartition("@")[2] if self._line else ""

    async def known(self, workspace: str, key: str) -> Mailing | None:
        """Return the ledger's line of a mail."""
        return await self._store.get(MAILINGS, workspace, key)

    async def send(self, mail: Mail) -> Mailed:
        """Send *mail*, unless it is out or given up already; the same key is the same mail.

        Of a `waiting` mail the caller is to try again after `delay_s`.

        Raises:
            StoreUnavailableError: Nothing was sent, or what was is marked as `started`.
        """
        if self._line is None:
            return Mailed(state="off", reason="no_smtp")
        found = await self.known(mail.workspace, mail.key)
        if found is not None and found.state in _FINAL:
            return _told(found)
        mark = self._mark(mail, found)
        try:
            mail = msgspec.structs.replace(mail, to=check_address(mail.to))
            if suppressed := await self.suppressed(mail):
                return Mailed(state="suppressed", reason=suppressed.reason)
            if found is not None and found.state == "started":
                return await self._resume(self._line, mail, mark)
            return await self._give(self._line, mail, mark)
        except InvalidInputError as error:
            log.warning("mail.invalid", extra={"reason": error.detail, "about": mail.about})
            field = error.facts.get("field", "")
            return await self._settle(mark, "failed", f"bad_{field}" if field else "bad_mail")

    async def suppressed(self, mail: Mail) -> Suppression | None:
        """Return why the mail's address gets none now.

        Raises:
            StoreUnavailableError: Not known.
        """
        scopes: tuple[SuppressionScope, ...]
        scopes = ("all", "visitor") if mail.kind == "visitor" else ("all",)
        ids = [suppression_id(mail.to, scope) for scope in scopes]
        found = await self._store.get_many(SUPPRESSIONS, mail.workspace, ids)
        now = self._now()
        return next((s for s in found.values() if s.until is None or now < s.until), None)

    def _mark(self, mail: Mail, found: Mailing | None) -> Mailing:
        """Return the line of the try that begins, unwritten."""
        now = self._moment()
        before = found or Mailing(
            id=mail.key,
            workspace=mail.workspace,
            kind=mail.kind,
            about=mail.about,
            message_id=mail.message_id or message_id(mail.workspace, mail.key, domain=self.domain),
            state="waiting",
            first_at=now,
            updated_at=now,
        )
        return msgspec.structs.replace(before, tries=before.tries + 1, updated_at=now)

    async def _resume(self, line: Line, mail: Mail, mark: Mailing) -> Mailed:
        """Go on where a process began, and perhaps died."""
        begun = mark.started_at or mark.first_at
        left = (begun + self._lease - self._now()).total_seconds()
        if left > 0:
            return Mailed(state="waiting", reason="elsewhere", delay_s=left)
        if mark.maybe_duplicate:
            return await self._settle(mark, "unknown", "in_doubt")
        return await self._give(line, mail, msgspec.structs.replace(mark, maybe_duplicate=True))

    async def _give(self, line: Line, mail: Mail, mark: Mailing) -> Mailed:
        server = line.server
        content = render(
            msgspec.structs.replace(mail, message_id=mark.message_id),
            (server.from_name, server.from_address),
            mark.updated_at,
            maybe_duplicate=mark.maybe_duplicate,
        )
        started: Mailing | None = None

        async def begin() -> None:
            nonlocal started
            started = await self._start(mark)

        try:
            await line.give(mail.to, content, before_data=begin)
        except _LostError:
            return Mailed(state="waiting", reason="elsewhere", delay_s=self._pauses_s[0])
        except (aiosmtplib.SMTPException, OSError) as error:
            return await self._after(error, mail, mark, started)
        return await self._settle(started or mark, "sent")

    async def _after(
        self, error: Exception, mail: Mail, mark: Mailing, started: Mailing | None
    ) -> Mailed:
        if started is not None and in_doubt(error):
            if started.maybe_duplicate:
                return await self._settle(started, "unknown", "in_doubt")
            doubtful = msgspec.structs.replace(started, maybe_duplicate=True)
            return await self._wait(doubtful, Refusal(reason="in_doubt"))
        why = refusal(error)
        log.warning(
            "mail.refused",
            extra={
                "reason": why.reason,
                "code": why.code,
                "tries": mark.tries,
                "about": mail.about,
            },
        )
        if not why.final:
            return await self._wait(started or mark, why)
        if why.hard:
            await self._suppress(mail, why.code)
        return await self._settle(
            started or mark, "failed", why.reason, code=why.code, refused=(mail.to,)
        )

    async def _wait(self, mark: Mailing, why: Refusal) -> Mailed:
        """Have it tried again, unless it was tried for long enough."""
        now = self._now()
        if now - mark.first_at >= GIVE_UP:
            state: MailState = "unknown" if mark.maybe_duplicate else "failed"
            return await self._settle(mark, state, "too_late", code=why.code)
        await self._settle(mark, "waiting", why.reason, code=why.code)
        delay_s = self._pauses_s[min(mark.tries, len(self._pauses_s)) - 1]
        return Mailed(state="waiting", reason=why.reason, code=why.code, delay_s=delay_s)

    async def _start(self, mark: Mailing) -> Mailing:
        """Write `started`.

        Raises:
            _LostError: Somebody else has.
            StoreUnavailableError: Not known.
        """
        started = msgspec.structs.replace(mark, state="started", started_at=self._moment())
        try:
            if mark.rev == 0:
                return await self._store.insert(MAILINGS, started)
            return await self._store.replace(MAILINGS, started)
        except (UniqueConflictError, StaleRevisionError):
            raise _LostError from None

    async def _settle(
        self,
        mark: Mailing,
        state: MailState,
        reason: str = "",
        *,
        code: int = 0,
        refused: tuple[str, ...] = (),
    ) -> Mailed:
        """Write what came of a try, and hold it until the store answers; `sent` beats the rest."""
        now = self._moment()
        ended = msgspec.structs.replace(
            mark,
            state=state,
            reason=reason,
            code=code,
            refused=refused,
            updated_at=now,
            sent_at=now if state == "sent" else None,
        )

        async def write() -> Mailing:
            line = ended
            while True:
                try:
                    if line.rev == 0:
                        return await self._store.insert(MAILINGS, line)
                    return await self._store.replace(MAILINGS, line)
                except (UniqueConflictError, StaleRevisionError):
                    found = await self.known(mark.workspace, mark.id)
                if found is not None and (state != "sent" or found.state == "sent"):
                    return found  # another process was at it as well, and its word stands
                line = msgspec.structs.replace(ended, rev=found.rev if found else 0)

        return _told(await hold(write))

    async def _suppress(self, mail: Mail, code: int) -> None:
        """Remember that an address does not exist."""
        now = self._moment()
        entry = Suppression(
            id=suppression_id(mail.to),
            workspace=mail.workspace,
            reason="bounced",
            shown=covered(mail.to),
            since=now,
            until=now + BOUNCED_FOR,
            code=code,
        )

        async def write() -> None:
            try:
                await self._store.insert(SUPPRESSIONS, entry)
            except UniqueConflictError:
                found = await self._store.get(SUPPRESSIONS, entry.workspace, entry.id)
                if found is not None and found.until is not None:
                    await self._store.replace(
                        SUPPRESSIONS, msgspec.structs.replace(entry, rev=found.rev)
                    )

        await hold(write)

    def _moment(self) -> datetime:
        """Return the time in whole milliseconds, as every store keeps it."""
        now = self._now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _told(line: Mailing) -> Mailed:
    state = line.state if line.state in _FINAL else "waiting"
    assert state != "started"  # noqa: S101 (narrowed above)
    return Mailed(
        state=state, reason=line.reason, code=line.code, maybe_duplicate=line.maybe_duplicate
    )
