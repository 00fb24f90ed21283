"""Commands by which people and machines pass a session on, or label it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from libs.common.commands import (
    Actor,
    AssignSession,
    FireTimer,
    HandOff,
    RemoveAssignees,
    SetBot,
    TagSession,
)
from libs.common.documents import Message, Session
from libs.common.errors import InvalidInputError
from libs.common.policy import Policy
from libs.common.rules.lookup import bot_for, lookup
from services.router.botting import catch_up
from services.router.context import Context, refuse_ended, refuse_moved
from services.router.decisions import give_over
from services.router.decisions import hand_off as ask_people
from services.router.draft import Draft
from services.router.lines import write_line
from services.router.timed import fire
from services.router.transition import OpenList, Step, move, name_of, seat, tag

MAX_ASSIGNEES = 50
MAX_TAGS = 50
LONGEST_TAG = 64
"""Characters."""


def assign(draft: Draft, command: AssignSession, context: Context) -> Message | None:
    """Make exactly those the assignees; none: back to Unassigned."""
    session, now = draft.session, context.now
    refuse_ended(session)
    agents = [(agent, command.names.get(agent, "")) for agent in dict.fromkeys(command.assignees)]
    if len(agents) > MAX_ASSIGNEES:
        raise InvalidInputError(f"at most {MAX_ASSIGNEES} assignees", field="assignees")
    by = name_of(command.actor)
    if not agents:
        if not move(draft, Step(command.actor, now, "released"), "unassigned"):
            return None
        return write_line(draft, command, now, "unassigned", f"returned to Unassigned by {by}")
    seats = seat(session, agents, now)
    step = Step(command.actor, now, "assigned")
    if not move(draft, step, "assigned", assignees=seats):
        return None
    names = ", ".join(assignee.name or assignee.agent for assignee in seats)
    return write_line(draft, command, now, "assigned", f"assigned by {by} to {names}")


def remove(draft: Draft, command: RemoveAssignees, context: Context) -> Message | None:
    """Take agents off the session; with the last one gone it waits for another.

    None of them gets it back automatically for the workspace's `removed_for_s`.
    """
    session, now = draft.session, context.now
    refuse_ended(session)
    if not command.agents:
        raise InvalidInputError("name at least one agent", field="agents")
    gone = [seat for seat in session.assignees if seat.agent in command.agents]
    if not gone:
        return None
    left = tuple(seat for seat in session.assignees if seat.agent not in command.agents)
    until = now + timedelta(seconds=context.settings.removed_for_s)
    removed = session.removed | {seat.agent: until for seat in gone}
    session.removed = {agent: end for agent, end in removed.items() if end > now}
    if session.wanted in {seat.agent for seat in gone}:
        session.wanted = ""  # else nobody might have it until then
    step = Step(command.actor, now, "removed")
    move(
        draft,
        step,
        "assigned" if left else "unassigned",
        assignees=left,
        bot=session.bot and bool(left),
    )
    names = ", ".join(seat.name or seat.agent for seat in gone)
    text = f"{names} removed by {name_of(command.actor)}"
    return write_line(draft, command, now, "removed", text)


def hand_off(draft: Draft, command: HandOff, context: Context) -> Message | None:
    """Give the session of a bot to people; where a person has or awaits it, it is so already."""
    session, now = draft.session, context.now
    refuse_ended(session)
    refuse_moved(session, command.epoch)
    if not command.because:
        raise InvalidInputError("say why a person is asked for", field="because")
    if not session.bot:
        return None
    said = ": ".join(filter(None, (command.because, command.detail))).replace("_", " ")
    text = f"handed to a person by {name_of(command.actor)} ({said})"
    entry = write_line(draft, command, now, "handoff", text)
    step = Step(command.actor, now, command.because)
    give_over(draft, context.room, step, detail=command.detail)
    return entry


def set_bot(draft: Draft, command: SetBot, context: Context) -> Message | None:
    """Turn the bot on or off; with an agent, automation goes on or off with it.

    A bot that is turned on answers what waits for an answer, or a human is asked.
    """
    session, now = draft.session, context.now
    refuse_ended(session)
    bot_id = _bot(command, session, context.room.policy)
    assigned = session.list == "assigned"
    to: OpenList = "bot_hosted" if command.on else "unassigned"
    before = session.switched
    session.switched = command.on if assigned or not command.on else None
    changed = move(
        draft,
        Step(command.actor, now, "bot_switch"),
        "assigned" if assigned else to,
        assignees=session.assignees,
        bot=command.on,
        bot_id=bot_id,
    )
    if not changed:
        session.switched = before
        return None
    switch = "on" if command.on else "off"
    text = f"bot turned {switch} by {name_of(command.actor)}"
    entry = write_line(draft, command, now, f"bot_{switch}", text)
    if command.on and context.unanswered is not None:
        _answer(draft, context.unanswered, context)
    return entry


def tag_it(draft: Draft, command: TagSession, context: Context) -> Message | None:
    """Add and take tags."""
    session, now = draft.session, context.now
    add, take = _tags(command.add, "add"), _tags(command.take, "take")
    tags = tuple(tag for tag in dict.fromkeys((*session.tags, *add)) if tag not in take)
    if tags == session.tags:
        return None
    if len(tags) > MAX_TAGS:
        raise InvalidInputError(f"a session has at most {MAX_TAGS} tags", field="add")
    more = [tag for tag in tags if tag not in session.tags]
    fewer = [tag for tag in session.tags if tag not in tags]
    session.tags = tags
    draft.tell("session.tagged", now, actor=tag(command.actor))
    changes = [f"tagged {', '.join(more)}"] if more else []
    changes += [f"untagged {', '.join(fewer)}"] if fewer else []
    text = f"{' and '.join(changes)} by {name_of(command.actor)}"
    return write_line(draft, command, now, "tagged", text)


def fire_timer(draft: Draft, command: FireTimer, context: Context) -> None:
    """Let a timer act, if the session still says that it is due."""
    fire(draft, command, context.room, context.now)


def _bot(command: SetBot, session: Session, policy: Policy) -> str:
    """Return the bot that is turned on: the one named, or the one that would host it.

    Raises:
        InvalidInputError: There is no such bot, or it is disabled.
    """
    if not command.on:
        return ""
    if not command.bot:
        return session.bot_id or bot_for(policy, session.channel)
    found = lookup(policy).bots.get(command.bot)
    if found is None:
        raise InvalidInputError("there is no such bot", field="bot")
    if not found.enabled:
        raise InvalidInputError("the bot is disabled: enable it, or name another", field="bot")
    return found.id


def _answer(draft: Draft, entry: Message, context: Context) -> None:
    because = catch_up(draft, entry, context.room, context.now)
    if because:
        bot = Actor(kind="bot", id=draft.session.bot_id)
        ask_people(draft, context.room, context.now, because, bot)


def _tags(tags: Iterable[str], field: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(tag.strip() for tag in tags))
    if any(not 1 <= len(tag) <= LONGEST_TAG for tag in found):
        raise InvalidInputError(f"a tag has 1 to {LONGEST_TAG} characters", field=field)
    return found
