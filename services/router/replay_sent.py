"""What went out since a backup, noted again beside it: so that nothing of it goes out twice.

The sender's marks, scheduled messages, recipients of broadcasts and replies that wait for an email
are in no stream. But what went out left a message in its session and the sender's report on
INBOUND; both name what they are of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from libs.common.awaited import AWAITED, MOST_REPLIES, Awaited
from libs.common.documents import MESSAGES, SENDS, Message, SendAttempt
from libs.common.events import SendReported
from libs.common.later import RECIPIENTS, SCHEDULED, Recipient, ScheduledMessage
from libs.common.reasons import reason
from libs.common.status import BY_EMAIL
from libs.common.store.api import Collection, Document, Store
from services.router.replay_restore import Found, pages
from services.router.scratch import Scratch

D = TypeVar("D", bound=Document)

_RANK = {"unknown": 0, "failed": 1, "sent": 2}
_QUIET = "quiet_hours"
"""The reason of one that was moved out of its quiet hours: still true once it is out."""

Change = Callable[[D, Message], D | None]


class Sent:
    """Brings what stands as not sent to where its message says it is.

    Args:
        store: The store that is served from.
        scratch: What the streams say.
        only: Restricts to one session (id); empty: all.
        dry_run: Count only.
    """

    def __init__(
        self, store: Store, scratch: Scratch, *, only: str = "", dry_run: bool = False
    ) -> None:
        self._store = store
        self._scratch = scratch
        self._only = only
        self._dry = dry_run
        self._reports: dict[str, SendReported] = {}
        self._mailed: dict[str, datetime] = {}
        for arrival in scratch.events.values():
            if isinstance(arrival.inbound.event, SendReported):
                self._note(arrival.inbound.event)

    def _note(self, report: SendReported) -> None:
        if report.via == BY_EMAIL:
            if report.status == "sent":
                self._mailed[report.message_id] = report.occurred_at
            return
        known = self._reports.get(report.message_id)
        if known is None or _RANK[report.status] > _RANK[known.status]:
            self._reports[report.message_id] = report

    async def run(self, workspace: str, found: Found) -> None:
        """Note what went out in *workspace*; count in *found*."""
        async for page in pages(self._scratch.store, MESSAGES, workspace, "at"):
            ours = [one for one in page if self._is_ours(one)]
            found.sends += await self._mark(workspace, ours)
            of_one = _by(ours, "scheduled")
            found.later += await self._change(SCHEDULED, workspace, of_one, self._scheduled)
            of_many = _by(ours, "broadcast")
            found.later += await self._change(RECIPIENTS, workspace, of_many, self._recipient)
            mailed = {one.session: one for one in ours if one.id in self._mailed}
            found.later += await self._change(AWAITED, workspace, mailed, self._awaited)

    def _is_ours(self, entry: Message) -> bool:
        is_out = entry.kind == "message" and entry.direction == "out"
        return is_out and self._only in {"", entry.session}

    async def _mark(self, workspace: str, entries: Sequence[Message]) -> int:
        """Write the sender's marks of what has an outcome; return how many it lacked."""
        known = [one for one in entries if one.id in self._reports]
        held = await self._held(SENDS, workspace, [one.id for one in known])
        open_ = [one for one in known if one.id not in held or _is_open(held[one.id])]
        marks = [marked(one, self._reports[one.id], held.get(one.id)) for one in open_]
        if marks and not self._dry:
            await self._store.insert_many(SENDS, [one for one in marks if one.id not in held])
            await self._store.replace_many(SENDS, [one for one in marks if one.id in held])
        return len(marks)

    async def _change(
        self,
        collection: Collection[D],
        workspace: str,
        by: Mapping[str, Message],
        change: Change[D],
    ) -> int:
        """Write what *change* makes of the documents *by* id; return how many it changed."""
        held = await self._held(collection, workspace, list(by))
        changed = [new for one in held.values() if (new := change(one, by[one.id])) is not None]
        if changed and not self._dry:
            await self._store.replace_many(collection, changed)
        return len(changed)

    async def _held(self, of: Collection[D], workspace: str, ids: list[str]) -> dict[str, D]:
        return await self._store.get_many(of, workspace, ids) if ids else {}

    def _scheduled(self, doc: ScheduledMessage, message: Message) -> ScheduledMessage | None:
        return went_out(doc, message, self._reports.get(message.id))

    def _recipient(self, row: Recipient, message: Message) -> Recipient | None:
        return reached(row, message, self._reports.get(message.id))

    def _awaited(self, doc: Awaited, _message: Message) -> Awaited | None:
        return without(doc, self._mailed)


def marked(entry: Message, report: SendReported, held: SendAttempt | None) -> SendAttempt:
    """Return the sender's mark of *entry* with its outcome; *held* is one that has none yet."""
    return SendAttempt(
        id=entry.id,
        workspace=entry.workspace,
        rev=held.rev if held is not None else 0,
        account=entry.account,
        session=entry.session,
        state=report.status,
        started_at=held.started_at if held is not None else entry.occurred_at,
        provider_ids=report.provider_ids,
        via=report.via,
        reason=report.reason,
        provider_code=report.provider_code,
        linked_visitor=report.linked_visitor,
        tries=held.tries if held is not None else 0,
    )


def went_out(
    doc: ScheduledMessage, message: Message, report: SendReported | None
) -> ScheduledMessage | None:
    """Return *doc* as settled by the *message* that was made of it; None: it is settled."""
    if doc.state != "pending":
        return None
    why, words = (doc.reason, doc.detail) if doc.reason == _QUIET else ("", "")
    failed = report is not None and report.status == "failed"
    if failed and report is not None:
        known = reason(report.reason)
        why, words = report.reason or "failed", f"{known.text} {known.advice}"
    return msgspec.structs.replace(
        doc,
        state="failed" if failed else "sent",
        reason=why,
        detail=words,
        message=message.id,
        status=report.status if report is not None else message.status,
        held=False,
        fires_at=None,
        claimed_at=doc.claimed_at or message.received_at,
        settled_at=message.received_at,
        updated_at=message.received_at,
    )


def reached(row: Recipient, message: Message, report: SendReported | None) -> Recipient | None:
    """Return *row* with its *message* and how far that got; None: it stands further."""
    if row.state not in {"pending", "sending"}:
        return None
    changes = {"message": message.id, "session": message.session, "state": "sending"}
    if report is not None:
        why = {"failed": report.reason or "failed", "unknown": "unknown"}.get(report.status, "")
        changes |= {"state": "failed" if report.status == "failed" else "sent", "reason": why}
    changed = msgspec.structs.replace(row, **changes)
    if changed == row:
        return None
    return msgspec.structs.replace(changed, updated_at=message.received_at)


def without(doc: Awaited, mailed: Mapping[str, datetime]) -> Awaited | None:
    """Return *doc* without the replies that went out by email (id to when); None: as it is."""
    letter = doc.letter
    ids = [one.id for one in doc.replies] + list(letter.replies if letter is not None else ())
    out = [one for one in dict.fromkeys(ids) if one in mailed]
    if not out:
        return None
    left = tuple(one for one in doc.replies if one.id not in mailed)
    if letter is not None and not set(letter.replies).isdisjoint(mailed):
        letter = None
    return msgspec.structs.replace(
        doc,
        replies=left,
        settled=(*doc.settled, *out)[-MOST_REPLIES:],
        letter=letter,
        due_at=doc.due_at if left or letter is not None else None,
        mailed_at=max(mailed[one] for one in out),
    )


def _by(entries: Sequence[Message], kind: str) -> dict[str, Message]:
    """Return the *entries* that were made of such a document, by its id."""
    found: dict[str, Message] = {}
    for entry in entries:
        of, _, ref = entry.origin.partition(":")
        if of == kind:
            found[ref if kind == "scheduled" else entry.sender_id] = entry
    return found


def _is_open(mark: SendAttempt) -> bool:
    return mark.state in {"started", "waiting"}
