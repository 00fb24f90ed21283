"""One action on many sessions: each by its own command, answered one by one."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from libs.common.commands import (
    AssignSession,
    ClaimSession,
    Command,
    EndSession,
    HandOff,
    MarkRead,
    RemoveAssignees,
    SetBot,
    TagSession,
)
from libs.common.documents import Session
from libs.common.errors import (
    BusUnavailableError,
    CommandError,
    InvalidInputError,
    NotFoundError,
    StoreUnavailableError,
)
from libs.common.ids import derive_id
from services.desk.api.able import able
from services.desk.api.act import (
    ASKED_BY_AGENT,
    MOST_ASSIGNEES,
    MOST_TAGS,
    AgentId,
    Tag,
    check_bot,
    check_tags,
    confirmation_required,
    is_confirmed,
    names_of,
)
from services.desk.api.problem import Problem, RefusalError, problem_of, unavailable
from services.desk.api.read import Plain, checked_key
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import SessionRow, row
from services.desk.ask import ask, head
from services.desk.named import named

MOST = 100
AT_ONCE = 8
"""Commands under way of one call, so that a bulk action leaves room for everybody else."""

Action = Literal["claim", "assign", "remove", "end", "bot", "handoff", "tag", "read"]


class Bulk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sessions, what to do, and the arguments of that action; others are refused.

    Attributes:
        assignees: Of `assign`: exactly these, the first the owner.
        agents: Of `remove`: who is taken off.
        on, bot: Of `bot`: the switch, and which bot.
        add, take: Of `tag`.
        confirm: Of `end`: the token of a refused call, where the workspace asks for one.
    """

    ids: Annotated[
        tuple[Annotated[Plain, Meta(min_length=1, max_length=100)], ...],
        Meta(min_length=1, max_length=MOST),
    ]
    action: Action
    assignees: Annotated[tuple[AgentId, ...], Meta(max_length=MOST_ASSIGNEES)] | None = None
    agents: Annotated[tuple[AgentId, ...], Meta(max_length=MOST_ASSIGNEES)] | None = None
    on: bool | None = None
    bot: Annotated[Plain, Meta(max_length=100)] | None = None
    add: Annotated[tuple[Tag, ...], Meta(max_length=MOST_TAGS)] | None = None
    take: Annotated[tuple[Tag, ...], Meta(max_length=MOST_TAGS)] | None = None
    confirm: Annotated[str, Meta(max_length=1000)] | None = None


class BulkItem(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one session: `session` as it is now, or the `problem` it met."""

    id: str
    done: bool
    session: SessionRow | None = None
    problem: Problem | None = None


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    """One item an id, in the order of the ids; `done` counts those that took effect."""

    items: tuple[BulkItem, ...]
    done: int


Make = Callable[[dict[str, Any]], Command]
"""Makes the command of one session from its head."""


class _Takes(NamedTuple):
    """Which arguments an action takes, and which of them it needs."""

    names: frozenset[str]
    needed: frozenset[str] = frozenset()


_TAKES: Mapping[Action, _Takes] = {
    "claim": _Takes(frozenset()),
    "assign": _Takes(frozenset({"assignees"}), frozenset({"assignees"})),
    "remove": _Takes(frozenset({"agents"}), frozenset({"agents"})),
    "end": _Takes(frozenset({"confirm"})),
    "bot": _Takes(frozenset({"on", "bot"}), frozenset({"on"})),
    "handoff": _Takes(frozenset()),
    "tag": _Takes(frozenset({"add", "take"})),
    "read": _Takes(frozenset()),
}
_ARGUMENTS = ("assignees", "agents", "on", "bot", "add", "take", "confirm")


async def bulk(call: Call) -> Reply:
    """Do one thing to up to 100 sessions.

    Each is done or refused by itself: a problem with one holds up no other. The `Idempotency-Key`
    of the call stands for each of its commands, so a repeat does nothing twice.

    Raises:
        InvalidInputError: An id stands twice, or an argument is missing or of another action.
        RefusalError: 409 `confirmation_required`, one token over all sessions.
    """
    body: Bulk = call.body
    _check(body)
    key = call.headers.get("idempotency-key", "")
    if key:
        checked_key(key)
    known = await call.desk.store.sessions(call.who.workspace, body.ids)
    found = {id_: one for id_, one in known.items() if call.who.scope.session(one)}
    make = await _MAKERS[body.action](call, list(found.values()))
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(session_id: str) -> Session | Problem:
        async with gate:
            return await _one(call, found.get(session_id), make, key)

    results = await asyncio.gather(*map(one, body.ids))
    done = [result for result in results if isinstance(result, Session)]
    can = await able(call, done)
    names = await named(call.desk.store.port, call.who.workspace, done)
    shown = {session.id: session for session in names}
    items = tuple(
        _item(call, session_id, shown.get(session_id, result), can)
        for session_id, result in zip(body.ids, results, strict=True)
    )
    return Reply(body=BulkResult(items=items, done=len(done)))


def _check(body: Bulk) -> None:
    for place, session_id in enumerate(body.ids):
        if session_id in body.ids[:place]:
            raise InvalidInputError(
                "ids: a session stands twice.", field=f"ids.{place}", allowed="each id once"
            )
    takes = _TAKES[body.action]
    for name in _ARGUMENTS:
        given = getattr(body, name) is not None
        if given and name not in takes.names:
            allowed = ", ".join(sorted(takes.names)) or "none"
            raise InvalidInputError(
                f"{name}: the action {body.action} does not take it; allowed: {allowed}.",
                field=name,
                allowed=allowed,
            )
        if not given and name in takes.needed:
            raise InvalidInputError(
                f"{name}: the action {body.action} needs it.", field=name, allowed="a value"
            )


async def _one(call: Call, session: Session | None, make: Make, key: str) -> Session | Problem:
    """Carry out one command; whatever goes wrong is that session's problem alone."""
    try:
        if session is None:
            raise NotFoundError("There is no such session.")
        own = derive_id("blk", key, session.id) if key else ""
        command = make(dict(head(call.who, session, call.desk.now(), own)))
        return (await ask(call.desk.bus, session, command)).session
    except CommandError as error:
        return problem_of(error)
    except (BusUnavailableError, StoreUnavailableError):
        return problem_of(unavailable("A part of the service does not answer right now."))


def _item(
    call: Call, session_id: str, result: Session | Problem, can: Mapping[str, Any]
) -> BulkItem:
    if isinstance(result, Problem):
        return BulkItem(id=session_id, done=False, problem=result)
    return BulkItem(
        id=session_id, done=True, session=row(result, call.who.agent, can.get(session_id))
    )


# --- the commands ------------------------------------------------------------------------------


async def _claim(_call: Call, _found: Sequence[Session]) -> Make:
    return lambda head: ClaimSession(**head)


async def _assign(call: Call, found: Sequence[Session]) -> Make:
    wanted: tuple[str, ...] = call.body.assignees
    names = await names_of(call, wanted, "assignees", found)
    return lambda head: AssignSession(**head, assignees=wanted, names=names)


async def _remove(call: Call, _found: Sequence[Session]) -> Make:
    agents = tuple(dict.fromkeys(call.body.agents))
    return lambda head: RemoveAssignees(**head, agents=agents)


async def _set_bot(call: Call, _found: Sequence[Session]) -> Make:
    on, bot = call.body.on, call.body.bot or ""
    await check_bot(call, bot)
    return lambda head: SetBot(**head, on=on, bot=bot if on else "")


async def _hand_off(_call: Call, _found: Sequence[Session]) -> Make:
    return lambda head: HandOff(**head, because=ASKED_BY_AGENT)


async def _tag(call: Call, _found: Sequence[Session]) -> Make:
    add, take = call.body.add or (), call.body.take or ()
    check_tags(add, take)
    return lambda head: TagSession(**head, add=add, take=take)


async def _read(_call: Call, _found: Sequence[Session]) -> Make:
    return lambda head: MarkRead(**head)


async def _end(call: Call, found: Sequence[Session]) -> Make:
    """Ask once for all of them, where the workspace asks (A21)."""
    confirmed = is_confirmed(call, call.body.confirm or "", _context(call))
    ending = [session for session in found if session.list != "ended"]
    if ending and not confirmed:
        workspace = await call.desk.store.workspace(call.who.workspace)
        if workspace.settings.end_session_confirm:
            raise _asked(call, ending)
    return lambda head: EndSession(**head, confirmed=confirmed)


def _asked(call: Call, ending: Sequence[Session]) -> RefusalError:
    owned = sum(session.owner is not None for session in ending)
    what = "1 session" if len(ending) == 1 else f"{len(ending)} sessions"
    summary = f"End {what}? {owned} of them {'has' if owned == 1 else 'have'} an owner."
    return confirmation_required(call, _context(call), summary)


def _context(call: Call) -> str:
    """Bind a token to exactly these sessions and one agent."""
    named = hashlib.sha256("\n".join(sorted(call.body.ids)).encode()).hexdigest()
    return f"end:{call.who.workspace}/bulk/{named}:{call.who.agent}"


_MAKERS: Mapping[Action, Callable[[Call, Sequence[Session]], Awaitable[Make]]] = {
    "claim": _claim,
    "assign": _assign,
    "remove": _remove,
    "end": _end,
    "bot": _set_bot,
    "handoff": _hand_off,
    "tag": _tag,
    "read": _read,
}
