"""Commands: load, decide, write once under the guard of `rev`, say it, answer.

The write carries everything that follows from it (entries, facts, sends), so a command has taken
effect wholly or not at all, whatever crashes afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import get_args
from weakref import WeakValueDictionary

import msgspec

from libs.common import tracing
from libs.common.commands import (
    Answer,
    AnyCommand,
    Done,
    FireTimer,
    GiveContact,
    HandOff,
    MarkRead,
    Refused,
    RestoreSession,
    RetrySend,
    SendMessage,
    SendScheduled,
    SetBot,
)
from libs.common.decode import decode
from libs.common.documents import MESSAGES, SESSIONS, Message, Session
from libs.common.errors import (
    CommandError,
    DeadlinePassedError,
    IdempotencyConflictError,
    InvalidInputError,
    MalformedPayloadError,
    NotFoundError,
    RetryableError,
    StaleRevisionError,
    UniqueConflictError,
)
from libs.common.store.api import Store
from libs.common.strays import blocked_strangers
from services.router import metrics
from services.router.apply import Change, apply
from services.router.context import Context
from services.router.crew import assigns, decided, gained, limit_of
from services.router.draft import cleared
from services.router.entry import mark
from services.router.lines import command_entry_id, digest
from services.router.outbox import Outbox
from services.router.people import home_of, introduce, next_of
from services.router.restore import another_open
from services.router.retry import standing
from services.router.room import Room
from services.router.rooms import Rooms
from services.router.scheduled import made_for, refuse_elsewhere
from services.router.seats import Place
from services.router.store import changes_of, elsewhere, unanswered
from services.router.survey import is_wanted
from services.router.surveyed import claim, may_ask

log = logging.getLogger(__name__)

TRIES = 8
"""Races that a command may lose before it is refused as `busy`."""
UNAVAILABLE = 503

_command: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)
_encode = msgspec.json.Encoder().encode
_VERBS = {kind: str(kind.__struct_config__.tag) for kind in get_args(AnyCommand)}


class Executor:
    """Answers commands.

    Args:
        store: Where sessions and messages are.
        outbox: Says what was decided.
        rooms: What decisions look at.
        now: The clock.
    """

    def __init__(
        self, store: Store, outbox: Outbox, rooms: Rooms, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._rooms = rooms
        self._seats = rooms.seats
        self._now = now
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def handle(self, subject: str, data: bytes) -> bytes:
        """Answer one request; never raises."""
        began = time.monotonic()
        try:
            command = decode(_command, data)
        except MalformedPayloadError:
            answer: Answer = _refused(InvalidInputError("the command cannot be read"))
            verb = "unknown"
        else:
            verb = _VERBS[type(command)]
            with tracing.span(f"command {verb}", "server", {"relaydesk.verb": verb}) as span:
                answer = await self._answer(subject, command)
                if isinstance(answer, Refused):
                    span.fail(answer.code)
        metrics.COMMANDS.labels(verb, _outcome(answer)).inc()
        metrics.COMMAND_SECONDS.observe(time.monotonic() - began)
        return _encode(answer)

    async def _answer(self, subject: str, command: AnyCommand) -> Answer:
        try:
            _check_workspace(subject, command)
            return await self.execute(command)
        except CommandError as error:
            return _refused(error)
        except RetryableError as error:
            return Refused(code=error.code, status=UNAVAILABLE, detail="try again in a moment")
        except Exception:  # the boundary: whoever asks is to hear of it at once
            log.exception("command.bug", extra={"verb": _VERBS[type(command)]})
            return Refused(code="internal", status=500, detail="an error of ours; it is logged")

    async def execute(self, command: AnyCommand) -> Done:
        """Carry out *command*.

        Raises:
            CommandError: Refused; nothing was changed.
            StoreUnavailableError: The store is away; a repeat under the same key is safe.
            StaleRevisionError: Too many others were faster; likewise.
        """
        lock = self._locks.setdefault(command.session, asyncio.Lock())
        async with lock:  # those in this process wait for each other instead of racing
            was_unassigned = False
            for attempt in range(TRIES):
                if attempt:
                    metrics.CAS_LOST.labels("command").inc()
                    await asyncio.sleep(random.uniform(0.001, 0.01) * attempt)  # noqa: S311 (jitter)
                session, done = await self._look(command)
                if done is not None:
                    return done
                context = await self._context(command, session, was_unassigned=was_unassigned)
                change = apply(session, command, context)
                if change is None:
                    return Done(session=cleared(session))
                done = await self._carry_out(change, session, context)
                if done is not None:
                    await self._refuse_lost(change.session)
                    return done
                was_unassigned |= session.list == "unassigned"
        raise StaleRevisionError("too many changes of this session at once")

    async def _look(self, command: AnyCommand) -> tuple[Session, Done | None]:
        """Return the session, and the answer if the command took effect before.

        Raises:
            CommandError: Too late, no such session, or the key was used for something else.
        """
        if self._now() > command.deadline:
            raise DeadlinePassedError("the command came after its deadline")
        stored, earlier = await asyncio.gather(
            self._store.get(SESSIONS, command.workspace, command.session),
            self._entry(command.workspace, _key_of(command)),
        )
        if stored is not None:
            session = self._outbox.fresh(stored)
        elif isinstance(command, SendScheduled):
            session = made_for(command, self._now())
            place = (session.account, session.visitor)
            session.blocked = place in await blocked_strangers(
                self._store, session.workspace, [place]
            )
        else:
            raise NotFoundError("no such session")
        earlier = earlier or await self._unseen(session, command)
        if earlier is None:
            return session, None
        if earlier.digest != digest(command):
            raise IdempotencyConflictError("this key was used for something else")
        return session, Done(session=cleared(session), message=earlier, repeated=True)

    async def _unseen(self, session: Session, command: AnyCommand) -> Message | None:
        """Return the command's entry when the session has it, but it is not stored yet."""
        entry_id = _key_of(command)
        if not entry_id or mark(entry_id) not in session.recent:
            return None
        waiting = [entry for entry in session.writes if entry.id == entry_id]
        return waiting[0] if waiting else await self._entry(session.workspace, entry_id)

    async def _entry(self, workspace: str, entry_id: str) -> Message | None:
        return await self._store.get(MESSAGES, workspace, entry_id) if entry_id else None

    async def _context(
        self, command: AnyCommand, session: Session, *, was_unassigned: bool
    ) -> Context:
        failed = quoted = waits = other = None
        visitor = session.visitor
        if isinstance(command, RetrySend):
            failed = await self._failed(command, session)
            quoted = await self._of_talk(session, failed.reply_to)
        elif isinstance(command, SendMessage) and command.reply_to:
            quoted = await self._of_talk(session, command.reply_to)
            if quoted is None:
                raise InvalidInputError("no such message in this conversation", field="reply_to")
        elif isinstance(command, SetBot) and command.on:
            waits = await unanswered(self._store, session)
        elif isinstance(command, SendScheduled) and session.open_key is None:
            other = await elsewhere(self._store, session)
        elif isinstance(command, RestoreSession):
            home = await home_of(self._store, session)
            following = await next_of(self._store, session, home)
            visitor, other = home.visitor, following.id if following is not None else None
        room = await self._room(command, session)
        now = self._now()
        asks = is_wanted(session, command, room.policy.settings)
        return Context(
            now=now,
            room=room,
            quoted=quoted,
            failed=failed,
            unanswered=waits,
            elsewhere=other,
            visitor=visitor,
            was_unassigned=was_unassigned,
            asks=asks and await may_ask(self._store, session, now),
        )

    async def _room(self, command: AnyCommand, session: Session) -> Room:
        """Return what the command looks at; how agents stand only where it may choose one."""
        if isinstance(command, FireTimer) and command.kind == "idle_end":
            await self._rooms.refresh(command.workspace)  # it may have been switched off just now
        needed = _may_ask(command) and assigns(self._rooms.policy(command.workspace))
        crew = await self._rooms.crew(command.workspace, needed=needed)
        reach = self._rooms.reach(session.workspace, session.channel, session.account)
        return self._rooms.room(crew, reach)

    async def _of_talk(self, session: Session, entry_id: str) -> Message | None:
        """Return the entry if it is of this conversation, whichever session of it."""
        entry = await self._entry(session.workspace, entry_id)
        if entry is None or (entry.session != session.id and _talk(entry) != _talk(session)):
            return None
        return entry

    async def _failed(self, command: RetrySend, session: Session) -> Message:
        """Return the message that is to be sent once more, as its timeline shows it.

        Raises:
            NotFoundError: It is not in this conversation.
        """
        message = await self._of_talk(session, command.message)
        if message is None:
            raise NotFoundError("no such message in this conversation")
        events = await changes_of(self._store, message)
        return standing(message, events, session)

    async def _carry_out(self, change: Change, base: Session, context: Context) -> Done | None:
        """Take the place that the change needs, and write it; None: somebody was faster.

        What a person does takes a place whatever the limit is.
        """
        owner = gained(change.session, base)
        if not owner:
            asks = context.asks and change.session.survey != base.survey
            if asks and not await claim(self._store, change.session, context.now):
                return None  # they were asked elsewhere meanwhile
            return await self._write(change)
        because = decided(change.session, base)
        place = Place(base.workspace, owner, base.id, base.rev + 1)
        limit = limit_of(context.room.policy, owner) if because else None
        if not await self._seats.take(place, limit=limit, turn=bool(because)):
            return None
        try:
            done = await self._write(change)
        except BaseException:
            self._seats.doubt(place)
            raise
        if done is None:
            await self._seats.release(place)
        elif because:
            metrics.count_assigned(because, context.now, base.waiting_since)
        return done

    async def _write(self, change: Change) -> Done | None:
        """Write the session, then say what it decided; None: somebody was faster.

        Raises:
            AnotherOpenError: The visitor's next session was opened meanwhile.
        """
        try:
            written = await self._stored(change.session)
        except StaleRevisionError:
            return None
        except UniqueConflictError:
            _visitor, opened = await home_of(self._store, change.session)
            raise another_open(opened.id if opened is not None else "") from None
        for fact in written.facts:
            if fact.rev == written.rev:  # the others waited in the outbox
                metrics.count_transition(fact)
                metrics.count_survey(fact, written.survey)
        await self._outbox.drain([written])
        return Done(session=cleared(written), message=change.message)

    async def _refuse_lost(self, session: Session) -> None:
        """Return unless what was held just now waits where nobody looks any more.

        Who opened the visitor's next session at the same time took over what they saw before.

        Raises:
            SessionOverError: It has to be held in the open session.
        """
        if session.held and session.open_key is None:
            refuse_elsewhere(session, await elsewhere(self._store, session))

    async def _stored(self, session: Session) -> Session:
        """Write *session*, which may be new, and return it as the store has it.

        Raises:
            StaleRevisionError: Somebody was faster.
        """
        if session.rev:
            return await self._store.replace(SESSIONS, session)
        await introduce(self._store, session)
        if await self._store.insert_many(SESSIONS, [session]):
            raise StaleRevisionError("the session is there by now")
        return msgspec.structs.replace(session, rev=1)


def _may_ask(command: AnyCommand) -> bool:
    """Tell whether *command* may ask for a human, who is then decided on."""
    match command:
        case HandOff():
            return True
        case SetBot():
            return command.on  # the bot may not be able to answer what waits
        case FireTimer():
            return command.kind in {"bot_deadline", "flow_wait"}
        case _:
            return False


def _check_workspace(subject: str, command: AnyCommand) -> None:
    if subject.split(".")[2:3] != [command.workspace]:
        raise NotFoundError("no such session")


def _key_of(command: AnyCommand) -> str:
    """Return the id of the entry that the command leaves; marks of reading and timers leave none.

    A timer is remembered by the session: it acts only where its kind is in `due`; and whose it is,
    only while it is another's.
    """
    return (
        "" if isinstance(command, MarkRead | FireTimer | GiveContact) else command_entry_id(command)
    )


def _talk(doc: Session | Message) -> tuple[str, str]:
    return (doc.account, doc.visitor)


def _refused(error: CommandError) -> Refused:
    return Refused(code=error.code, status=error.status, detail=error.detail, facts=error.facts)


def _outcome(answer: Answer) -> str:
    """Return the metric's label: `done`, `repeated`, or the code of the refusal."""
    if isinstance(answer, Done):
        return "repeated" if answer.repeated else "done"
    return answer.code
