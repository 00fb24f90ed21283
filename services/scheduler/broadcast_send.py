"""One slice of a broadcast: claimed, asked for, and noted.

What is claimed stands as `sending`. The router knows a repeat by its key, the recipient's id: who
was claimed and has no answer (a crash, a router away) is asked for again, and nobody twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from libs.common.commands import Actor, Done, Refused, SendScheduled
from libs.common.documents import CONTACTS, SESSIONS, Contact, Session
from libs.common.errors import RetryableError
from libs.common.events import TemplatePart
from libs.common.later import RECIPIENTS, Broadcast, Recipient
from libs.common.store.api import In, Page, Store
from libs.common.variables import rendered, values_of
from services.scheduler import broadcasts_metrics as metrics
from services.scheduler.asking import ANSWER_S, ask
from services.scheduler.broadcast_merged import MERGED, merged
from services.scheduler.means import Means
from services.scheduler.whereto import Target, target

AT_ONCE = 2
"""Commands of a slice with the routers at the same time, so that an agent's waits for few."""
_LOOKS = 3
_MANY = 500
_LOOK_AGAIN = frozenset({"session_over", "not_found"})
_ASK_AGAIN = frozenset({"deadline_passed"})
_SKIPS = frozenset({"blocked", "replied", "stale_epoch"})
_OURS = 500


async def claim(store: Store, rows: Sequence[Recipient], means: Means) -> list[Recipient]:
    """Mark *rows* as being sent to and return those that nobody else has."""
    now = means.now()
    wanted = [msgspec.structs.replace(row, state="sending", updated_at=now) for row in rows]
    lost = await store.replace_many(RECIPIENTS, wanted) if wanted else {}
    return [msgspec.structs.replace(row, rev=row.rev + 1) for row in wanted if row.id not in lost]


async def send(means: Means, broadcast: Broadcast, claimed: Sequence[Recipient]) -> None:
    """Ask the routers for the messages of those *claimed*, and note the answers.

    Who has got none, because no router is there, stays as claimed.

    Raises:
        StoreUnavailableError: The store is away; all can be asked again.
    """
    if not claimed:
        return
    twice = await merged(means.store, claimed)
    answered = [_skipped(row, means) for row in claimed if row.id in twice]
    asking = _Asking(means, broadcast, await contacts_of(means.store, claimed))
    sessions = await open_sessions(means.store, claimed)
    answered += await asking.all((row for row in claimed if row.id not in twice), sessions)
    for row in answered:
        if row.state != "sending":
            metrics.RECIPIENTS.labels(row.state).inc()
    if answered:  # whom a fact has moved on already is not moved back
        await means.store.replace_many(RECIPIENTS, answered)


async def open_sessions(store: Store, rows: Sequence[Recipient]) -> dict[str, Session]:
    """Return the open sessions of *rows*, by `<account>|<visitor>`."""
    found: dict[str, Session] = {}
    keys = tuple(_key(row) for row in rows)
    for start in range(0, len(keys), _MANY):
        where = {"open_key": In(keys[start : start + _MANY])}
        page = Page(order="open", limit=_MANY)
        for session in await store.find(SESSIONS, rows[0].workspace, where, page):
            found[session.open_key or ""] = session
    return found


class _Asking:
    """The commands of one slice; the first that finds no router spares the others the wait."""

    def __init__(self, means: Means, broadcast: Broadcast, contacts: Mapping[str, Contact]) -> None:
        self._means = means
        self._broadcast = broadcast
        self._contacts = contacts
        self._places = asyncio.Semaphore(AT_ONCE)
        self._away = False

    async def all(
        self, rows: Iterable[Recipient], sessions: Mapping[str, Session]
    ) -> list[Recipient]:
        """Return those of *rows* with an answer, as they stand then."""
        asked = (self._one(row, sessions.get(_key(row))) for row in rows)
        return [row for row in await asyncio.gather(*asked) if row is not None]

    async def _one(self, row: Recipient, session: Session | None) -> Recipient | None:
        async with self._places:
            if self._away:
                return None
            try:
                return await self._answered(row, session)
            except RetryableError:
                self._away = True
                metrics.WAITS.inc()
                return None

    async def _answered(self, row: Recipient, session: Session | None) -> Recipient | None:
        answer = await ask(self._means.bus, await self._command(row, session))
        for _ in range(_LOOKS):
            if isinstance(answer, Done):
                return noted(row, answer, self._means)
            if answer.code not in _LOOK_AGAIN:
                return refused(row, answer, self._means)
            answer = await ask(self._means.bus, await self._command(row, None))
        return None  # sessions come and go just now: later

    async def _command(self, row: Recipient, session: Session | None) -> SendScheduled:
        """Return the command for *row*; without its open *session* it is looked up."""
        found = Target(session.id, session, session.visitor, row.contact) if session else None
        where = found or await target(
            self._means.store, row.workspace, row.account, row.visitor, row.id
        )
        broadcast = self._broadcast
        return SendScheduled(
            workspace=row.workspace,
            session=where.id,
            actor=Actor(kind="schedule", id=row.id, name=broadcast.author_name),
            key=row.id,
            deadline=self._means.now() + timedelta(seconds=ANSWER_S),
            origin=f"broadcast:{broadcast.id}",
            account=row.account,
            channel=row.channel,
            visitor=where.visitor,
            contact=row.contact,
            over=where.over,
            bulk=True,
            **self._content(row),
        )

    def _content(self, row: Recipient) -> dict[str, Any]:
        broadcast = self._broadcast
        account = self._means.directory.known(row.account)
        values = values_of(
            self._contacts.get(row.contact),
            broadcast.author_name,
            (account.name or account.slug) if account else row.account,
            row.channel,
        )
        template: TemplatePart | None = None
        if broadcast.when_closed == "template" and broadcast.template is not None:
            (filled,) = rendered((broadcast.template,), values)
            template = filled if isinstance(filled, TemplatePart) else None
        return {"parts": rendered(broadcast.parts, values), "template": template}


def _skipped(row: Recipient, means: Means) -> Recipient:
    """Return *row* of somebody whom the broadcast reaches as another recipient."""
    return msgspec.structs.replace(row, state="skipped", reason=MERGED, updated_at=means.now())


def noted(row: Recipient, answer: Done, means: Means) -> Recipient:
    """Return *row* with its message; what becomes of that, facts tell."""
    if answer.message is None:
        return msgspec.structs.replace(
            row, state="failed", reason="no_message", updated_at=means.now()
        )
    return msgspec.structs.replace(
        row, message=answer.message.id, session=answer.message.session, updated_at=means.now()
    )


def refused(row: Recipient, answer: Refused, means: Means) -> Recipient | None:
    """Return *row* with why there is no message; None: it is to be asked for again."""
    if answer.code in _ASK_AGAIN or answer.status > _OURS:
        return None
    return msgspec.structs.replace(
        row,
        state="skipped" if answer.code in _SKIPS else "failed",
        reason=answer.code,
        updated_at=means.now(),
    )


def _key(row: Recipient) -> str:
    return f"{row.account}|{row.visitor}"


async def contacts_of(store: Store, rows: Sequence[Recipient]) -> dict[str, Contact]:
    """Return the contacts of *rows* (at least one) by id."""
    ids = sorted({row.contact for row in rows})
    return await store.get_many(CONTACTS, rows[0].workspace, ids)
