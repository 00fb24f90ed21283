"""What people and bots may do with a bot in a session that somebody has, and what goes with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from libs.common.commands import (
    Actor,
    AnyCommand,
    AssignSession,
    EndSession,
    HandOff,
    SendMessage,
    SetBot,
)
from libs.common.documents import Assignee, Message, Session
from libs.common.events import TextPart
from libs.common.policy import Member, Policy
from libs.common.switches import Settings
from services.router.apply import apply
from services.router.context import Context
from services.router.draft import cleared
from services.router.room import Room
from tests.router.bot_stage import T0, Stage, faq_bot, ref_of, webhook_bot

ADA = Actor(kind="agent", id="ada", name="Ada")
BEN = Actor(kind="agent", id="ben", name="Ben")
BOTS = {bot.id: bot for bot in (faq_bot(automation=True), webhook_bot())}
HOOK = Actor(kind="bot", id="hook", name="Hook")


class Desk:
    """A session that Ada has, and the commands that follow."""

    def __init__(self, **settings: Any) -> None:
        policy = Policy(
            settings=Settings(**settings),
            members=(Member(id="ada"), Member(id="ben")),
            bots=tuple(map(ref_of, BOTS.values())),
        )
        self.context = Context(now=T0, room=Room(policy=policy, bots=BOTS))
        self.session = Session(
            id="ses_1",
            workspace="acme",
            account="acme-web",
            channel="web",
            visitor="V",
            contact="con_1",
            list="assigned",
            owner="ada",
            assignees=(Assignee(agent="ada", name="Ada", since=T0),),
            assignee_ids=("ada",),
            open_key="acme-web|V",
            created_at=T0,
            updated_at=T0,
        )
        self._done = 0

    def do(self, make: Callable[..., AnyCommand], actor: Actor, **more: Any) -> Message | None:
        """Carry out a command; return the entry that it made."""
        self._done += 1
        command = make(
            workspace="acme",
            session="ses_1",
            actor=actor,
            key=str(self._done),
            deadline=T0 + timedelta(seconds=9),
            **more,
        )
        change = apply(self.session, command, self.context)
        if change is None:
            return None
        self.session = msgspec.structs.replace(cleared(change.session), rev=change.session.rev + 1)
        return change.message

    @property
    def switches(self) -> tuple[bool, bool]:
        """Whether the bot, and whether automation is on."""
        return self.session.bot, self.session.automation


def hand_off(desk: Desk) -> None:
    desk.do(HandOff, ADA, because="visitor_asked")


def assign(desk: Desk) -> None:
    desk.do(AssignSession, ADA, assignees=("ben",), names={"ben": "Ben"})


def switch_off(desk: Desk) -> None:
    desk.do(SetBot, ADA, on=False)


OFF: dict[str, tuple[Callable[[Desk], None], bool, tuple[bool, bool]]] = {
    "a_human_is_asked_for": (hand_off, False, (False, False)),
    "a_human_is_asked_for_where_session_hosting_is_on": (hand_off, True, (False, False)),
    "somebody_else_gets_it": (assign, False, (False, False)),
    "somebody_else_gets_it_where_session_hosting_is_on": (assign, True, (False, True)),
    "it_is_switched_off_where_session_hosting_is_on": (switch_off, True, (False, False)),
}


@pytest.mark.parametrize(("act", "hosting", "expected"), OFF.values(), ids=OFF)
def test_b11_what_was_switched_on_goes_off_with_the_bot(
    act: Callable[[Desk], None], hosting: bool, expected: tuple[bool, bool]
) -> None:
    desk = Desk(session_hosting=hosting)
    desk.do(SetBot, ADA, on=True, bot="faq")
    assert desk.switches == (True, True)
    act(desk)
    assert desk.switches == expected


def test_a09_a_webhook_bot_answers_as_automation_where_a_person_has_the_session() -> None:
    desk = Desk()
    desk.do(SetBot, ADA, on=True, bot="hook")
    said = desk.do(SendMessage, HOOK, parts=(TextPart(text="Hi"),), epoch=desk.session.epoch)
    assert said is not None
    assert (said.sender, said.sender_id, desk.session.owner) == ("automation", "hook", "ada")


def test_a09_a_webhook_bot_ends_no_session_that_a_person_has() -> None:
    desk = Desk()
    desk.do(SetBot, ADA, on=True, bot="hook")
    due = T0 + timedelta(seconds=5)
    desk.session = msgspec.structs.replace(
        desk.session, bot_asked="msg_1", due={"bot_deadline": due}
    )
    ended: dict[str, Any] = {"reason": "ended_by_bot", "confirmed": True}
    assert desk.do(EndSession, HOOK, epoch=desk.session.epoch, **ended) is None
    session = desk.session
    assert (session.list, session.owner, session.bot_asked, session.due) == (
        "assigned",
        "ada",
        "",
        {},
    )


def test_a_session_that_began_with_a_person_names_the_bot_that_answers_in_it() -> None:
    stage = Stage(faq_bot(automation=True), list="assigned", bot=False, automation=True)
    stage.hear("boats?")
    assert stage.session.bot_id == ""
    stage.hear("your hours?")
    assert [entry.sender for entry in stage.said] == ["automation"]
    assert (stage.session.bot, stage.session.bot_id) == (False, "faq")
