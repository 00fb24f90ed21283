"""How the accounts stand: their breakers, what is recorded of them, what is counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from libs.common.channel import Account, HttpCall
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    GatewayError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from libs.common.health import Seen
from libs.common.http import ForbiddenTargetError
from libs.common.providers.usage import quota_used
from libs.common.recorder import Recorder
from services.notifier import metrics
from services.notifier.breaker import Breaker
from services.notifier.deliver import CutOffError
from services.notifier.gates import Gates
from services.notifier.unhealthy import BAD, Turn

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
FREE_WAYS = frozenset({"reply"})
"""What goes out so says nothing of an allowance: LINE does not count replies."""


class SuspendedError(CredentialError):
    """The provider refuses the account's credential; no call was made to hear it once more."""

    def __init__(self) -> None:
        super().__init__("the account's credential is refused", reason="credential")


class _Judged:
    """An account as it was when it was judged, and what came of it."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.breaker = Breaker()


class Standings:
    """The standing of every account that this process has sent for, by slug.

    Args:
        account: The directory's lookup.
        gates: Rest where an account fails.
        recorder: Told of everything.
        now: The clock, UTC.
        turned: Told of every account that is judged otherwise than before.
    """

    def __init__(
        self,
        account: Callable[[str], Account | None],
        gates: Gates,
        recorder: Recorder,
        now: Callable[[], datetime],
        turned: Callable[[Turn], None] = lambda _turn: None,
    ) -> None:
        self._turned = turned
        self._account = account
        self._gates = gates
        self._recorder = recorder
        self._now = now
        self._judged: dict[str, _Judged] = {}
        self._full: set[str] = set()
        """Accounts whose allowance was used up, by the way of the provider's refusal."""

    def used(self, slug: str, headers: Mapping[str, str]) -> None:
        """A provider answered: note how much of its allowance is used, where it says so."""
        if (share := quota_used(headers)) is not None:
            self._full.discard(slug)
            self._recorder.quota(slug, share, self._now())

    def admit(self, account: Account) -> None:
        """Return if a message of *account* may call.

        Raises:
            SuspendedError: It is revoked, and its probe of this minute has been made.
        """
        if not self._of(account).breaker.admits(self._now()):
            raise SuspendedError

    def silent(self, account: Account) -> bool:
        """Tell whether what may as well not be sent should not be."""
        return self._of(account).breaker.state in BAD

    def sent(self, slug: str, way: str) -> None:
        """The provider took a message by *way*."""
        self._recorder.sent(slug, way, self._now())
        if slug in self._full and way not in FREE_WAYS:
            self._full.discard(slug)
            self._recorder.quota(slug, None, self._now())
        self._answered(slug)

    def failed(self, slug: str, error: GatewayError, call: HttpCall | None, *, final: bool) -> None:
        """A try failed with *error*, at *call* if it made any; *final*: there is no other."""
        if isinstance(error, SuspendedError | CutOffError):
            return  # nothing was tried
        code = error.reason if isinstance(error, RejectedError) else error.code
        self._recorder.failed(slug, code, self._now())
        if code == "quota":
            self._full.add(slug)
            self._recorder.quota(slug, 1.0, self._now())
        if isinstance(error, CredentialError):
            if final:
                self._refused(slug)
        elif isinstance(error, RejectedError):
            if call is not None and _is_answer(error):
                self._answered(slug)
        elif _is_shared(error, call):
            self._failed(slug)

    def look(self) -> None:
        """Forget what was thought of accounts that are gone or were changed since."""
        for slug, judged in list(self._judged.items()):
            present = self._account(slug)
            if present is not judged.account and present != judged.account:
                self._forget(slug, judged)

    def close(self) -> None:
        """Take all accounts out of the metrics."""
        for judged in self._judged.values():
            _count(judged, -1)
        self._judged.clear()

    def _of(self, account: Account) -> _Judged:
        judged = self._judged.get(account.slug)
        if judged is not None and judged.account is not account and judged.account != account:
            self._forget(account.slug, judged)
            judged = None
        if judged is None:
            judged = self._judged[account.slug] = _Judged(account)
            _count(judged, 1)
        return judged

    def _forget(self, slug: str, judged: _Judged) -> None:
        _count(judged, -1)
        del self._judged[slug]
        if judged.breaker.state in BAD:
            log.info("account.changed", extra={"account": slug, "state": judged.breaker.state})
            notes = self._recorder.of(slug)
            notes.state, notes.state_at = "unknown", self._now()
            self._gates.of(slug).resume()

    def _answered(self, slug: str) -> None:
        self._turn(slug, lambda breaker: breaker.answered(self._now()))

    def _refused(self, slug: str) -> None:
        self._gates.of(slug).narrow()
        self._turn(slug, lambda breaker: breaker.refused(self._now()))

    def _failed(self, slug: str) -> None:
        rests: list[float] = []
        self._turn(slug, lambda breaker: rests.append(breaker.failed(self._now())))
        if any(rests):
            self._gates.of(slug).narrow()
            self._gates.of(slug).pause(rests[0])

    def _turn(self, slug: str, change: Callable[[Breaker], None]) -> None:
        """Apply *change*; tell of it where the state is another now."""
        judged = self._judged.get(slug)
        if judged is None:  # it changed while the call was made, which says nothing about the new
            return
        breaker = judged.breaker
        before = breaker.state
        change(breaker)
        if breaker.state == before:
            return
        _count(judged, 1)
        metrics.ACCOUNT_STATE.labels(_channel(judged), before).dec()
        self._tell(judged)
        notes = self._recorder.of(slug)
        notes.state, notes.state_at = breaker.state, breaker.since
        level = logging.INFO if breaker.state == "ok" else logging.WARNING
        log.log(level, "account.state", extra={"account": slug, "state": breaker.state})

    def _tell(self, judged: _Judged) -> None:
        account, now = judged.account, self._now()
        notes = self._recorder.of(account.slug)
        self._turned(
            Turn(
                workspace=account.workspace,
                account=account.slug,
                channel=account.channel,
                state=judged.breaker.state,
                code=notes.failed_code,
                at=now,
                before=Seen(
                    at=now, state=notes.state, state_at=notes.state_at, sent_at=notes.sent_at
                ),
            )
        )


@asynccontextmanager
async def looking(standings: Standings) -> AsyncIterator[None]:
    """Notice changed accounts now and then, until the block ends."""

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            standings.look()

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        standings.close()


def _is_answer(error: RejectedError) -> bool:
    """Tell whether the provider itself refused, for the message's own sake."""
    if isinstance(error, ForbiddenTargetError) or error.reason == "redirected":
        return False
    return bool(error.provider_code)


def _is_shared(error: GatewayError, call: HttpCall | None) -> bool:
    """Tell whether other messages of the account would fail the same way now."""
    if isinstance(error, ThrottledError):
        return False  # it has its own rest, and proves that the provider is there
    unanswered = isinstance(error, AmbiguousSendError) and call is not None
    return unanswered or isinstance(error, NotSentError)


def _channel(judged: _Judged) -> str:
    return metrics.channel_label(judged.account.channel)


def _count(judged: _Judged, by: int) -> None:
    metrics.ACCOUNT_STATE.labels(_channel(judged), judged.breaker.state).inc(by)
