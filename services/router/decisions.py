"""What follows from a decision in a session. Pure.

The rules themselves are `libs.common.rules`. Here a decision is put into effect, and is kept with
all that it was made of.
"""

from __future__ import annotations

from datetime import datetime

from libs.common.commands import Actor
from libs.common.documents import Assignee, DecisionRecord, Message, Session
from libs.common.errors import InvalidInputError, NotPermittedError
from libs.common.events import ActionPart, ContentPart, TextPart
from libs.common.ids import derive_id
from libs.common.policy import Case, Decision, Policy
from libs.common.rules.case import case_of
from libs.common.rules.decide import decide
from libs.common.rules.lookup import lookup, open_of_team
from services.router.draft import Draft
from services.router.kept import policy_text, standings_of
from services.router.room import Room
from services.router.say import answered, machine_entry, say
from services.router.transition import (
    Step,
    end,
    move,
    place,
    requeue,
    seat,
    tag,
)

RULES = Actor(kind="automation", id="rules")
"""Who does what rules and switches decide."""


def text_of(parts: tuple[ContentPart, ...]) -> str:
    """Return what a visitor said, by writing or by a tap, as rules look at it."""
    if len(parts) == 1 and isinstance(only := parts[0], TextPart):  # nearly always
        return only.text
    lines = [part.text for part in parts if isinstance(part, TextPart)]
    lines += [part.title for part in parts if isinstance(part, ActionPart)]
    return "\n".join(lines)


def is_idle(session: Session, policy: Policy, now: datetime) -> bool:
    """Tell without a decision that a further message changes nothing: no rule, nothing to say."""
    if lookup(policy).rules["message"]:
        return False
    if session.list == "bot_hosted" or "away" in session.said:
        return True
    return open_of_team(policy, session.team, now)


def start(draft: Draft, decision: Decision, room: Room, at: datetime) -> None:
    """Let a new session begin where *decision* puts it; `apply` does the rest later.

    What a rule ends at once begins in Unassigned.
    """
    session = draft.session
    session.because = session.opened_because = decision.because
    match decision.list:
        case "bot_hosted":
            place(draft, at, "bot_hosted", bot=True, bot_id=decision.bot)
        case "assigned":
            place(draft, at, "assigned", assignees=_owner(session, decision, room, at))
        case _:
            place(draft, at, "unassigned")


def apply(
    draft: Draft, case: Case, decision: Decision, room: Room, step: Step, at: datetime
) -> None:
    """Put *decision*, made of *case* and *room* at *at*, into effect, and record it.

    *step* says who changes the session and why, for facts and the timeline. Of a session that is
    being opened the place is given already, by `start`.

    What the channel does not let us say now is not said, and not noted as said.
    """
    session = draft.session
    session.team, session.skill, session.wanted = decision.team, decision.skill, decision.agent
    _label(draft, decision, step)
    if case.trigger == "opened":
        _begun(draft, decision, step)
    else:
        _moved(draft, decision, room, step)
    _reply(draft, decision, room, step.at)
    if decision.notify and case.trigger != "handoff":
        because = decision.rules[-1] if decision.rules else decision.because
        draft.tell(
            "session.notice",
            step.at,
            actor=tag(step.actor),
            because=because,
            notify=decision.notify,
        )
    if decision.list == "ended":
        end(draft, Step(step.actor, step.at, decision.end_reason))
        session.because = decision.because
        line(draft, step, "ended", f"ended by a rule ({decision.end_reason})")
    draft.record(_record(draft, case, decision, room, at))


def hand_off(
    draft: Draft, room: Room, at: datetime, because: str, actor: Actor, text: str = ""
) -> bool:
    """Give a session that a bot has to people; tell whether that was to be done.

    Where a person has it, the bot is only turned off there. Who waits for one already does so.

    Args:
        draft: The session.
        room: What decides whom it is offered to.
        at: Now.
        because: `visitor_asked`, `bot_asked`, `bot_silent`, ...: for the fact and the timeline.
        actor: Who asks.
        text: What the visitor said last, for the rules.
    """
    session = draft.session
    if not session.bot or session.list == "ended":
        return False
    step = Step(actor, at, because)
    line(draft, step, "handoff", f"handed to a person ({because.replace('_', ' ')})")
    give_over(draft, room, step, text)
    return True


def give_over(draft: Draft, room: Room, step: Step, text: str = "", *, detail: str = "") -> None:
    """Do what a hand-off is, and announce it; see `hand_off`. *detail*: see `Fact`."""
    session = draft.session
    newest = session.last_ids[:1]
    notify: tuple[str, ...] = ()
    if session.list == "assigned":
        session.switched = False  # automation is no human either
        move(draft, step, "assigned", assignees=session.assignees)
    else:
        case = case_of(session, "handoff", text=text, behind=room.is_behind(session.id))
        decision = decide(case, room.policy, room.standings, step.at)
        apply(draft, case, decision, room, step, step.at)
        notify = decision.notify
    draft.tell(
        "session.handoff",
        step.at,
        actor=tag(step.actor),
        because=step.because,
        message="".join(newest),
        notify=notify,
        detail=detail,
    )


def line(draft: Draft, step: Step, what: str, text: str) -> Message:
    """Write into the timeline what a machine did to the session; *what* is its machine word."""
    session = draft.session
    key = f"{session.id}:{draft.rev}:{draft.written}:{what}"
    actor = step.actor
    entry = machine_entry(session, key, step.at, "system", actor.id, actor.name)
    entry.kind = "system"
    entry.what = what
    entry.sequence = draft.written
    entry.parts = (TextPart(text=text),)
    draft.write(entry)
    return entry


def _owner(session: Session, decision: Decision, room: Room, at: datetime) -> tuple[Assignee, ...]:
    member = lookup(room.policy).members.get(decision.owner)
    return seat(session, [(decision.owner, member.name if member else "")], at)


def _begun(draft: Draft, decision: Decision, step: Step) -> None:
    """Say who got a session with its opening."""
    if decision.owner:
        draft.tell(
            "session.assigned",
            step.at,
            actor=tag(step.actor),
            because=step.because,
            joined=draft.session.assignee_ids,
        )
        _assigned_line(draft, step)


def _moved(draft: Draft, decision: Decision, room: Room, step: Step) -> None:
    session = draft.session
    before = (session.list, session.owner)
    _follow(draft, decision, room, step)
    if before != (session.list, session.owner):
        session.because = decision.because  # the step says why there was a decision at all


def _follow(draft: Draft, decision: Decision, room: Room, step: Step) -> None:
    session = draft.session
    match decision.list:
        case "assigned":
            seats = _owner(session, decision, room, step.at)
            if move(draft, step, "assigned", assignees=seats):
                _assigned_line(draft, step)
        case "unassigned":
            move(draft, step, "unassigned")
        case "bot_hosted":
            move(draft, step, "bot_hosted", bot=True, bot_id=decision.bot)
        case "" if decision.bot and session.list == "bot_hosted":
            move(draft, step, "bot_hosted", bot=True, bot_id=decision.bot)
        case _:
            pass


def _assigned_line(draft: Draft, step: Step) -> None:
    owner = draft.session.assignees[0]
    line(draft, step, "assigned", f"assigned automatically to {owner.name or owner.agent}")


def _label(draft: Draft, decision: Decision, step: Step) -> None:
    """Tag the session and set its priority."""
    session = draft.session
    tags = tuple(dict.fromkeys((*session.tags, *decision.tags)))
    if tags != session.tags:
        session.tags = tags
        draft.tell("session.tagged", step.at, actor=tag(step.actor), because=step.because)
    if decision.priority is not None:
        session.priority = decision.priority
        requeue(session)


def _reply(draft: Draft, decision: Decision, room: Room, at: datetime) -> None:
    """Say the texts of rules and hours; each is said once in a session, which is its key."""
    names = " ".join(decision.says)
    said = 0
    for number, text in enumerate(decision.replies):
        entry = machine_entry(
            draft.session, f"{draft.session.id}:{names}:{number}", at, "automation", RULES.id
        )
        try:
            say(draft, entry, answered((TextPart(text=text),), "automation"), room.reach, at)
        except (NotPermittedError, InvalidInputError):
            continue
        said += 1
    if said or not decision.replies:
        draft.session.said = tuple(dict.fromkeys((*draft.session.said, *decision.says)))


def _record(
    draft: Draft, case: Case, decision: Decision, room: Room, at: datetime
) -> DecisionRecord:
    session = draft.session
    return DecisionRecord(
        id=f"{derive_id('dec', session.id, str(draft.rev))}{draft.decisions:02d}",
        workspace=session.workspace,
        session=session.id,
        at=at,
        case=case,
        standings=standings_of(decision, room.standings),
        policy=policy_text(room.policy, case, decision),
        decision=decision,
    )
