"""What an agent does to a session: each action is one command to the router."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.channel import Carried
from libs.common.commands import (
    AssignSession,
    ClaimSession,
    Command,
    EndSession,
    HandOff,
    MarkRead,
    OpenSession,
    RemoveAssignees,
    SetBot,
    TagSession,
)
from libs.common.documents import Session
from libs.common.errors import InvalidInputError, SealError
from services.desk.api.able import able
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain, checked_key
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import owner_of, row
from services.desk.api.visible import session_of
from services.desk.ask import CommandHead, ask, head
from services.desk.departed import may_answer
from services.desk.named import named
from services.desk.scope import scope_of
from services.desk.seen import look

CONFIRM_TTL = timedelta(seconds=120)
RACE = timedelta(seconds=2)
"""Whoever opens a session this soon after another took it is told so: they raced."""
MOST_ASSIGNEES = 20
MOST_TAGS = 20
ASKED_BY_AGENT = "agent_asked"
"""Why a human is asked for when an agent does it for the visitor."""

AgentId = Annotated[Plain, Meta(min_length=1, max_length=100)]
Tag = Annotated[str, Meta(pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$", max_length=60)]
"""One line of up to 60 characters that is not blank."""


class OpenBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`expect` `unassigned` says that the caller saw it waiting: taken meanwhile is a 409."""

    expect: Literal["", "unassigned"] = ""


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An empty object, or no body at all."""


class Assignees(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly these agents, the first the owner; none returns the session to `unassigned`."""

    assignees: Annotated[tuple[AgentId, ...], Meta(max_length=MOST_ASSIGNEES)]


class Removed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is taken off; auto-assign does not give it back to them for `settings.removed_for_s`."""

    agents: Annotated[tuple[AgentId, ...], Meta(min_length=1, max_length=MOST_ASSIGNEES)]


class Tags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tags to add and to take; what is there, or not there, already stays so."""

    add: Annotated[tuple[Tag, ...], Meta(max_length=MOST_TAGS)] = ()
    take: Annotated[tuple[Tag, ...], Meta(max_length=MOST_TAGS)] = ()


class BotSwitch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the session's bot may answer; which one, or empty for the one that would host it."""

    on: bool
    bot: Annotated[Plain, Meta(max_length=100)] = ""


class End(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`confirm` repeats the token of a refused call, where the workspace asks for one (A21)."""

    confirm: Annotated[str, Meta(max_length=1000)] = ""


class ReadUpTo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read up to now, or up to the visitor's message number `up_to`; never moves backwards."""

    up_to: Annotated[int, Meta(ge=0, le=2**53)] | None = None


class Typing(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the visitor is shown it: not where the channel cannot, nor again within 3 seconds."""

    shown: bool


class _Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed in a confirm token."""

    expires_at: datetime


async def open_session(call: Call) -> Reply:
    """Open a session: claims it when it is unassigned, reads it elsewhere (A06).

    Raises:
        RefusalError: 409 `already_taken`, naming the owner, to all but the first of a race.
    """
    body: OpenBody = call.body
    session = await session_of(call)
    expect: Literal["", "unassigned"] = body.expect
    if session.list == "unassigned" or _just_taken(session, call):
        expect = "unassigned"
    return await do(call, session, OpenSession(**head_of(call, session), expect=expect))


async def claim(call: Call) -> Reply:
    """Take a session from `bot_hosted` or `unassigned`."""
    session = await session_of(call)
    return await do(call, session, ClaimSession(**head_of(call, session)))


async def assign(call: Call) -> Reply:
    """Set the assignees; agents of this workspace that are not disabled.

    Raises:
        InvalidInputError: An agent is unknown here, disabled, may only read, or is named twice.
    """
    wanted: tuple[str, ...] = call.body.assignees
    session = await session_of(call)
    names = await names_of(call, wanted, "assignees", [session])
    command = AssignSession(**head_of(call, session), assignees=wanted, names=names)
    return await do(call, session, command)


async def names_of(
    call: Call, wanted: tuple[str, ...], field: str, sessions: Sequence[Session] = ()
) -> dict[str, str]:
    """Return the names of the agents that are to have *sessions*.

    Raises:
        InvalidInputError: An agent is unknown here, disabled, may only read, is named twice, or
            does not see the account of a session.
    """
    found = await call.desk.store.agents(call.who.workspace, sorted(set(wanted)))
    for place, agent_id in enumerate(wanted):
        agent = found.get(agent_id)
        if agent is None or not may_answer(agent) or agent_id in wanted[:place]:
            raise InvalidInputError(
                f"{field}: each must be an agent of this workspace who may answer, named once.",
                field=f"{field}.{place}",
                allowed="ids of `GET /agents` that are neither disabled nor read_only",
            )
        sight = scope_of(agent)
        if not all(sight.account(one.channel, one.account) for one in sessions):
            raise InvalidInputError(
                f"{field}: {agent.name} does not see this channel or account.",
                field=f"{field}.{place}",
                allowed="agents whose `channels` and `accounts` have the session's, or are empty",
            )
    return {agent.id: agent.name for agent in found.values()}


async def remove(call: Call) -> Reply:
    """Take agents off the session (B16); without the last one it waits in `unassigned`."""
    session = await session_of(call)
    agents = tuple(dict.fromkeys(call.body.agents))
    return await do(call, session, RemoveAssignees(**head_of(call, session), agents=agents))


async def remove_one(call: Call) -> Reply:
    """Take one agent off the session; who is not on it is off it already."""
    session = await session_of(call)
    agents = (call.params["agent"],)
    return await do(call, session, RemoveAssignees(**head_of(call, session), agents=agents))


async def hand_off(call: Call) -> Reply:
    """Ask for a human: ends the bot's part as if the visitor had asked (A17)."""
    session = await session_of(call)
    return await do(call, session, HandOff(**head_of(call, session), because=ASKED_BY_AGENT))


async def tag(call: Call) -> Reply:
    """Add and take tags of the session.

    Raises:
        InvalidInputError: A tag is both added and taken.
    """
    session = await session_of(call)
    body: Tags = call.body
    check_tags(body.add, body.take)
    return await do(
        call, session, TagSession(**head_of(call, session), add=body.add, take=body.take)
    )


def check_tags(add: tuple[str, ...], take: tuple[str, ...]) -> None:
    """Refuse tags that are to come and go at once.

    Raises:
        InvalidInputError: Names the tag's place.
    """
    for place, name in enumerate(take):
        if name in add:
            raise InvalidInputError(
                f"take: {name!r} stands in `add`, too.",
                field=f"take.{place}",
                allowed="each tag in one of both",
            )


async def set_bot(call: Call) -> Reply:
    """Turn the session's bot on or off (B11, B12).

    Raises:
        InvalidInputError: There is no such bot, or it is switched off.
    """
    body: BotSwitch = call.body
    session = await session_of(call)
    await check_bot(call, body.bot)
    return await do(
        call, session, SetBot(**head_of(call, session), on=body.on, bot=body.bot if body.on else "")
    )


async def check_bot(call: Call, bot: str) -> None:
    """Refuse a bot that cannot answer; none is named: fine.

    Raises:
        InvalidInputError: There is no such bot in this workspace, or it is switched off.
    """
    found = await call.desk.store.bot(call.who.workspace, bot) if bot else None
    if bot and (found is None or not found.enabled):
        raise InvalidInputError(
            "bot: there is no such bot that is switched on.",
            field="bot",
            allowed="ids of `GET /bots` that are enabled, or none",
        )


async def mark_read(call: Call) -> Reply:
    """Note what the caller has read; who had read everything before has looked again.

    Raises:
        BusUnavailableError: It is noted, and alerts of it stand perhaps still: repeat it.
    """
    session = await session_of(call)
    reply = await do(call, session, MarkRead(**head_of(call, session), up_to=call.body.up_to))
    whole = call.body.up_to is None or call.body.up_to >= session.inbound
    if whole and session.reads.get(call.who.agent, 0) >= session.inbound:
        await look(call.desk.bus, call.desk.store.port, session, call.who.agent, call.desk.now())
    return reply


async def typing(call: Call) -> Reply:
    """Show the visitor that somebody types, at most once in three seconds."""
    session = await session_of(call)
    shown = False
    if session.list != "ended" and _signals(call, session, "typing"):
        newest = await call.desk.store.newest_of_visitor(session)
        shown = call.desk.signals.typing(session, newest)
    return Reply(body=Typing(shown=shown))


async def end(call: Call) -> Reply:
    """End a session; where the workspace asks for confirmation, only with a fresh token (A21).

    Raises:
        RefusalError: 409 `confirmation_required` with `token`, `expires_at` and `summary`.
    """
    session = await session_of(call)
    confirmed = _is_confirmed(call, session)
    if not confirmed and session.list != "ended":
        workspace = await call.desk.store.workspace(call.who.workspace)
        if workspace.settings.end_session_confirm:
            raise _confirmation_required(call, session)
    try:
        command = EndSession(**head_of(call, session), confirmed=confirmed)
        return await do(call, session, command)
    except RefusalError as error:  # the switch was turned on a moment ago
        if error.code == "confirmation_required":
            raise _confirmation_required(call, session) from None
        raise


def head_of(call: Call, session: Session) -> CommandHead:
    """Return what every command of the caller has; a repeat of the key is the same command.

    Raises:
        InvalidInputError: The `Idempotency-Key` is too long or no visible ASCII.
    """
    given = call.headers.get("idempotency-key", "")
    return head(call.who, session, call.desk.now(), checked_key(given) if given else "")


async def do(call: Call, session: Session, command: Command) -> Reply:
    """Ask for *command*, and answer with the session as it stands then.

    Raises:
        RefusalError: The router refused, or does not answer.
    """
    done = await ask(call.desk.bus, session, command)
    await _show_read(call, session, done.session)
    can = await able(call, [done.session])
    [shown] = await named(call.desk.store.port, call.who.workspace, [done.session])
    return Reply(body=row(shown, call.who.agent, can.get(session.id)))


async def _show_read(call: Call, before: Session, after: Session) -> None:
    """Show the visitor that everything is read, once somebody who has the session read it.

    Not what others look at, and not where a bot answers: nobody has read it for the visitor.
    """
    me = call.who.agent
    moved = before.reads.get(me, 0) < after.reads.get(me, 0) == after.inbound
    if not moved or after.list != "assigned" or me not in after.assignee_ids:
        return
    if not _signals(call, after, "seen"):
        return
    workspace = await call.desk.store.workspace(call.who.workspace)
    newest = await call.desk.store.newest_of_visitor(after)
    if newest is not None and workspace.settings.show_read:
        call.desk.signals.seen(after, newest)


def _signals(call: Call, session: Session, kind: Carried) -> bool:
    channel = call.desk.channels.get(session.channel)
    return channel is not None and kind in channel.carries and not session.blocked


def _just_taken(session: Session, call: Call) -> bool:
    if session.list != "assigned" or call.who.agent in session.assignee_ids:
        return False
    since = max((assignee.since for assignee in session.assignees), default=None)
    return since is not None and call.desk.now() - since < RACE


def _is_confirmed(call: Call, session: Session) -> bool:
    """Tell whether the caller repeats our token for this session before it expires."""
    return is_confirmed(call, call.body.confirm, _context(call, session))


def is_confirmed(call: Call, token: str, context: str) -> bool:
    """Tell whether *token* was made for *context* and has not expired."""
    if not token:
        return False
    try:
        text = call.desk.sealer.open(token, context)
        found = msgspec.json.decode(text, type=_Confirmation)
    except (SealError, ValueError):
        return False
    return found.expires_at > call.desk.now()


def _confirmation_required(call: Call, session: Session) -> RefusalError:
    owner = owner_of(session)
    summary = (
        f"End the session with {session.contact_name or 'this contact'} on {session.account}? "
        f"It is in {session.list}, {f'owned by {owner.name}' if owner else 'owned by nobody'}, "
        f"with {session.inbound} messages from the visitor."
    )
    return confirmation_required(call, _context(call, session), summary)


def confirmation_required(call: Call, context: str, summary: str) -> RefusalError:
    """Return the refusal that carries a fresh token for *context*, and what it would confirm."""
    expires_at = call.desk.now() + CONFIRM_TTL
    sealed = msgspec.json.encode(_Confirmation(expires_at=expires_at)).decode()
    return RefusalError(
        409,
        "confirmation_required",
        "Repeat the call with `confirm` set to this token to end the session.",
        token=call.desk.sealer.seal(sealed, context),
        expires_at=expires_at.isoformat(),
        summary=summary,
    )


def _context(call: Call, session: Session) -> str:
    """Bind a token to one session and one agent: it confirms nothing else."""
    return f"end:{session.workspace}/{session.id}:{call.who.agent}"
