"""D17 on a virtual clock: what is armed comes when it is due, and the pure rules do the rest.

The clock stands in for the server's schedules: one timer of a kind, replaced by arming again, never
taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest

from libs.common.bots.flow import STEP
from libs.common.bots.replies import FLOW
from libs.common.commands import FireTimer
from libs.common.documents import FlowStep, LastMessage, Message, SenderKind, Session
from libs.common.events import Fact, SessionTimer, TextPart
from libs.common.policy import Member, Policy
from libs.common.switches import Settings
from services.router.draft import Draft, cleared
from services.router.room import Room
from services.router.say import machine_entry
from services.router.silence import watch
from services.router.timed import fire, leads
from services.router.transition import TIMER, Step, end, move, seat
from tests.bots.bots import flow_bot

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MEMBERS = (
    Member(id="amy", role="agent", teams=("care",)),
    Member(id="bob", role="agent"),
    Member(id="lea", name="Lea", role="lead", teams=("care",)),
    Member(id="leo", role="lead", teams=("sales",)),
    Member(id="ada", role="admin"),
    Member(id="olga", role="owner"),
    Member(id="rex", role="read_only", teams=("care",)),
)
Effect = tuple[float, str, tuple[str, ...]]


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def session_of(**fields: Any) -> Session:
    """Return a session that waits, with one message of its visitor."""
    return Session(
        **{
            "id": "ses_1",
            "workspace": "acme",
            "account": "acme-line",
            "channel": "line",
            "visitor": "U1",
            "contact": "c1",
            "list": "unassigned",
            "open_key": "acme-line|U1",
            "created_at": T0,
            "updated_at": T0,
            "rev": 1,
            "inbound": 1,
            "last_message": LastMessage(
                id="m0", at=T0, direction="in", sender="visitor", excerpt="hi"
            ),
            **fields,
        }
    )


class Clock:
    """A session, its timers, and what came of them, in the order of time."""

    def __init__(self, settings: Settings, session: Session | None = None) -> None:
        self.settings = settings
        self.session = session or session_of()
        self.armed: dict[SessionTimer, datetime] = {}
        self.came: list[float] = []
        self.effects: list[Effect] = []
        self.now = 0.0

    def write(self, change: Callable[[Draft], object]) -> None:
        draft = Draft(self.session, self.settings)
        change(draft)
        watch(draft, at(self.now))
        if not draft.changed:
            return
        written = draft.finish(at(self.now))
        self.armed |= {cast(SessionTimer, t.kind): t.due for t in written.timers}
        self.effects += [e for fact in written.facts if (e := self._effect(fact))]
        self.session = msgspec.structs.replace(cleared(written), rev=written.rev + 1)

    def _effect(self, fact: Fact) -> Effect | None:
        if fact.because != "silent_owner" or fact.type == "session.assigned":
            return None
        return self.now, fact.type.removeprefix("session."), fact.notify

    def until(self, seconds: float) -> None:
        """Let the time pass; what is due comes at its time."""
        while self.armed and min(self.armed.values()) <= at(seconds):
            kind = min(self.armed, key=lambda each: self.armed[each])
            due = self.armed.pop(kind)
            self.now = (due - T0).total_seconds()
            self.came.append(self.now)
            self.bring(kind, due)
        self.now = seconds

    def bring(self, kind: SessionTimer, due: datetime) -> None:
        """Do as the scheduler does."""
        room = Room(policy=Policy(settings=self.settings, members=MEMBERS))
        command = FireTimer(
            workspace="acme",
            session="ses_1",
            actor=TIMER,
            key="k",
            deadline=at(self.now + 3),
            kind=kind,
            due=due,
        )
        self.write(lambda draft: fire(draft, command, room, at(self.now)))

    # --- what people do

    def writes(self, _: str = "") -> None:
        def change(draft: Draft) -> None:
            draft.session.inbound += 1
            draft.session.last_message = LastMessage(
                id=f"m{self.now}", at=at(self.now), direction="in", sender="visitor", excerpt=""
            )
            draft.tell("message.stored", at(self.now), actor="visitor")

        self.write(change)

    def replies(self, agent: str) -> None:
        def change(draft: Draft) -> None:
            self._say(draft, "agent", agent)

        self.write(change)

    def automation(self, _: str = "") -> None:
        def change(draft: Draft) -> None:
            self._say(draft, "automation", "faq")

        self.write(change)

    def notes(self, agent: str) -> None:
        def change(draft: Draft) -> None:
            self._say(draft, "agent", agent, kind="note")

        self.write(change)

    def _say(self, draft: Draft, sender: SenderKind, who: str, *, kind: Any = "message") -> None:
        entry = machine_entry(draft.session, f"{self.now}", at(self.now), sender, who)
        entry.kind = kind
        entry.direction = "out" if kind == "message" else None
        draft.write(entry)
        draft.tell("message.stored", at(self.now), actor=f"{sender}:{who}", message=entry.id)
        if kind == "message":
            draft.show_last(entry)

    def given(self, agents: str) -> None:
        def change(draft: Draft) -> None:
            names = [(agent, agent.title()) for agent in agents.split()]
            seats = seat(draft.session, names, at(self.now))
            move(draft, Step(TIMER, at(self.now), "assigned"), "assigned", assignees=seats)

        self.write(change)

    def ends(self, _: str = "") -> None:
        self.write(lambda draft: end(draft, Step(TIMER, at(self.now), "ended_by_agent")))

    def patience(self, seconds: str) -> None:
        self.settings = msgspec.structs.replace(self.settings, silent_owner_s=int(seconds))


AMY = (0.0, "given", "amy")
REMIND: list[Effect] = [(60.0, "notice", ("amy",))]
Steps = list[tuple[float, str, str]]

REMINDED: dict[str, tuple[Steps, list[Effect]]] = {
    "an owner who says nothing is reminded once": ([AMY], REMIND),
    "a reply before it wins": ([AMY, (59, "replies", "amy")], []),
    "a reply of another assignee is an answer too": (
        [(0, "given", "amy bob"), (59, "replies", "bob")],
        [],
    ),
    "a private note is no answer": ([AMY, (30, "notes", "amy")], REMIND),
    "an automation's reply is no answer of the owner": ([AMY, (30, "automation", "")], REMIND),
    "further messages of the visitor change nothing": (
        [AMY, (30, "writes", ""), (50, "writes", ""), (70, "writes", ""), (90, "writes", "")],
        REMIND,
    ),
    "a message after the answer begins anew": (
        [AMY, (10, "replies", "amy"), (100, "writes", "")],
        [(160.0, "notice", ("amy",))],
    ),
    "each stretch has its own": (
        [AMY, (70, "replies", "amy"), (100, "writes", "")],
        [(60.0, "notice", ("amy",)), (160.0, "notice", ("amy",))],
    ),
    "another owner has the whole time": (
        [AMY, (50, "given", "bob")],
        [(110.0, "notice", ("bob",))],
    ),
    "another owner after the reminder is reminded too": (
        [AMY, (70, "given", "bob")],
        [(60.0, "notice", ("amy",)), (130.0, "notice", ("bob",))],
    ),
    "a second assignee does not begin it anew": ([AMY, (50, "given", "amy bob")], REMIND),
    "another owner of an answered conversation has nothing to answer": (
        [AMY, (10, "replies", "amy"), (20, "given", "bob")],
        [],
    ),
    "the end of the session ends it": ([AMY, (59, "ends", "")], []),
    "switched off meanwhile it does nothing": ([AMY, (30, "patience", "0")], []),
    "a longer time that is set meanwhile counts from the next stretch": (
        [AMY, (30, "patience", "600")],
        REMIND,
    ),
}


def told(clock: Clock, steps: Steps) -> list[Effect]:
    """Play *steps* and then let a long time pass."""
    for seconds, what, whom in steps:
        clock.until(seconds)
        getattr(clock, what)(whom)
    clock.until(10_000)
    return clock.effects


@pytest.mark.parametrize(("steps", "expected"), REMINDED.values(), ids=REMINDED)
def test_d17_remind(steps: Steps, expected: list[Effect]) -> None:
    assert told(Clock(Settings(silent_owner_s=60)), steps) == expected


ACTIONS: dict[str, tuple[str, str, list[Effect], str, set[str]]] = {
    "remind: the owner is told, and keeps it": (
        "remind",
        "",
        [(60.0, "notice", ("amy",))],
        "assigned",
        set(),
    ),
    "alert_lead: who leads the team is told, and the owner keeps it": (
        "alert_lead",
        "care",
        [(60.0, "notice", ("lea",))],
        "assigned",
        set(),
    ),
    "alert_lead of no team: all who lead are told": (
        "alert_lead",
        "",
        [(60.0, "notice", ("lea", "leo", "ada", "olga"))],
        "assigned",
        set(),
    ),
    "alert_lead of a team that nobody leads: likewise": (
        "alert_lead",
        "night",
        [(60.0, "notice", ("lea", "leo", "ada", "olga"))],
        "assigned",
        set(),
    ),
    "reassign: it waits for anybody but the silent owner, and all are asked": (
        "reassign",
        "",
        [(60.0, "moved", ()), (60.0, "handoff", ())],
        "unassigned",
        {"amy"},
    ),
    "queue: it waits, and is not given straight back": (
        "queue",
        "",
        [(60.0, "moved", ())],
        "unassigned",
        {"amy"},
    ),
}


@pytest.mark.parametrize(
    ("action", "team", "expected", "list_", "removed"), ACTIONS.values(), ids=ACTIONS
)
def test_d17_each_action_at_its_time_and_once(
    action: Any, team: str, expected: list[Effect], list_: str, removed: set[str]
) -> None:
    settings = Settings(silent_owner_s=60, silent_owner=action, removed_for_s=300)
    clock = Clock(settings, session_of(team=team, wanted="amy"))
    assert told(clock, [AMY, (30, "writes", ""), (59.9, "writes", "")]) == expected
    assert clock.session.list == list_
    assert clock.session.removed == {agent: at(360) for agent in removed}
    assert clock.session.wanted == ("" if removed else "amy")
    assert clock.session.due == {}


def test_d17_reassigned_by_itself_nobody_else_is_asked() -> None:
    settings = Settings(silent_owner_s=60, silent_owner="reassign", auto_assign=True)
    assert told(Clock(settings), [AMY]) == [(60.0, "moved", ())]


LINES: dict[str, tuple[str, str, str]] = {
    "remind": ("remind", "care", "reminded Amy: no answer in time"),
    "alert_lead of a team": ("alert_lead", "care", "alerted Lea: Amy did not answer in time"),
    "alert_lead of no team": (
        "alert_lead",
        "",
        "alerted Lea, leo, ada and 1 more: Amy did not answer in time",
    ),
}


@pytest.mark.parametrize(("action", "team", "text"), LINES.values(), ids=LINES)
def test_d17_who_was_told_stands_in_the_timeline_once_for_a_timer(
    action: Any, team: str, text: str
) -> None:
    settings = Settings(silent_owner_s=60, silent_owner=action)
    clock = Clock(settings, session_of(team=team))
    clock.given("amy")
    room = Room(policy=Policy(settings=settings, members=MEMBERS))

    def line(due_s: float, rev: int) -> Message:
        awaited = msgspec.structs.replace(
            clock.session, rev=rev, due={"silent_owner": at(due_s)}, writes=()
        )
        draft = Draft(awaited, settings)
        fire(draft, _command("silent_owner", at(due_s)), room, at(due_s))
        [entry] = draft.finish(at(due_s)).writes
        return entry

    entry = line(60, 2)
    assert (entry.kind, entry.what, entry.sender) == ("system", "silent_owner", "system")
    assert entry.parts == (TextPart(text=text),)
    assert entry.direction is None
    assert line(60, 7).id == entry.id  # whatever else was written meanwhile
    assert line(120, 2).id != entry.id


def test_d17_given_back_the_next_owner_has_the_whole_time_and_loses_it_as_well() -> None:
    clock = Clock(Settings(silent_owner_s=60, silent_owner="reassign"))
    steps: Steps = [AMY, (65.0, "given", "bob")]
    assert told(clock, steps) == [
        (60.0, "moved", ()),
        (60.0, "handoff", ()),
        (125.0, "moved", ()),
        (125.0, "handoff", ()),
    ]
    assert set(clock.session.removed) == {"amy", "bob"}
    assert clock.session.list == "unassigned"


def test_d17_where_nobody_leads_the_owner_is_told() -> None:
    alone = Policy(members=(Member(id="amy"),))
    assert leads(alone, session_of()) == ()
    clock = Clock(Settings(silent_owner_s=60, silent_owner="alert_lead"))
    clock.given("amy")
    room = Room(policy=Policy(settings=clock.settings, members=alone.members))
    draft = Draft(clock.session, clock.settings)
    fire(draft, _command("silent_owner", at(60)), room, at(60))
    assert [fact.notify for fact in draft.finish(at(60)).facts] == [("amy",)]


def _command(kind: SessionTimer, due: datetime) -> FireTimer:
    return FireTimer(
        workspace="acme", session="ses_1", actor=TIMER, key="k", deadline=due, kind=kind, due=due
    )


@pytest.mark.parametrize("behind_s", [0.1, 30.0])
def test_a_clock_behind_the_servers_makes_no_circle(behind_s: float) -> None:
    """To the server its time is over: armed again, it would come again at once."""
    clock = Clock(Settings(silent_owner_s=60))
    clock.given("amy")
    clock.now = 60 - behind_s
    clock.armed = {}
    clock.bring("silent_owner", at(60))
    assert clock.effects == [(60 - behind_s, "notice", ("amy",))]
    assert clock.armed == {}


def test_what_comes_too_soon_is_armed_again() -> None:
    """It was moved, and what moved it is not published yet."""
    clock = Clock(Settings(silent_owner_s=60))
    clock.given("amy")
    clock.now = 59.9
    clock.armed = {}
    clock.bring("silent_owner", at(59.9))
    assert clock.effects == []
    assert clock.armed == {"silent_owner": at(60)}
    clock.until(100)
    assert clock.effects == REMIND


def test_what_comes_again_does_nothing_and_writes_nothing() -> None:
    clock = Clock(Settings(silent_owner_s=60))
    clock.given("amy")
    clock.until(100)
    before = clock.session
    for _ in range(3):
        clock.bring("silent_owner", at(60))
    assert clock.session == before
    assert clock.effects == REMIND


def test_a_late_timer_acts_once_for_the_stretch_that_stands() -> None:
    """Brought after an outage, when the visitor was answered and has written again."""
    clock = Clock(Settings(silent_owner_s=60))
    clock.given("amy")
    clock.armed = {}  # the server is away
    clock.now = 70
    clock.replies("amy")
    clock.now = 100
    clock.writes()
    clock.bring("silent_owner", at(60))
    assert clock.effects == []
    clock.until(1000)
    assert clock.effects == [(160.0, "notice", ("amy",))]


BOT_SILENT: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "still asked: a human gets it": ({"bot_asked": "m1"}, "unassigned", ["session.handoff"]),
    "answered: it stays with the bot": ({"bot_asked": ""}, "bot_hosted", []),
    "a person has it: nothing is handed over": (
        {"bot_asked": "m1", "bot": False, "list": "assigned", "owner": "amy"},
        "assigned",
        [],
    ),
    "ended: nothing": ({"bot_asked": "m1", "bot": False, "list": "ended"}, "ended", []),
}


@pytest.mark.parametrize(("fields", "list_", "facts"), BOT_SILENT.values(), ids=BOT_SILENT)
def test_b10_a_bot_that_does_not_answer_in_time(
    fields: dict[str, Any], list_: str, facts: list[str]
) -> None:
    hosted = {"list": "bot_hosted", "bot": True, "bot_id": "b1", "due": {"bot_deadline": at(30)}}
    draft = Draft(session_of(**(hosted | fields)))
    fire(draft, _command("bot_deadline", at(30)), Room(), at(30))
    session = draft.finish(at(30))
    assert session.list == list_
    assert "bot_deadline" not in session.due
    handed = [fact for fact in session.facts if fact.type == "session.handoff"]
    assert [(fact.type, fact.because) for fact in handed] == [(f, "bot_silent") for f in facts]


FLOW_LATE: dict[str, tuple[FlowStep, str, list[str]]] = {
    "a flow that says nothing of late visitors asks for a human": (
        FlowStep(id="ask", ask="name", wait_s=60),
        "unassigned",
        ["session.handoff"],
    ),
    "a flow that goes on elsewhere keeps it": (
        FlowStep(id="ask", ask="name", wait_s=60, late_to="still-there"),
        "bot_hosted",
        [],
    ),
}


@pytest.mark.parametrize(("step", "list_", "facts"), FLOW_LATE.values(), ids=FLOW_LATE)
def test_d19_a_flow_that_waited_for_the_visitor(
    step: FlowStep, list_: str, facts: list[str]
) -> None:
    bot = flow_bot(step, FlowStep(id="still-there", say="Still there?"), start="ask")
    hosted = session_of(
        list="bot_hosted",
        bot=True,
        bot_id=bot.id,
        bot_state={FLOW: bot.id, STEP: "ask"},
        due={"flow_wait": at(60)},
    )
    draft = Draft(hosted)
    fire(draft, _command("flow_wait", at(60)), Room(bots={bot.id: bot}), at(60))
    session = draft.finish(at(60))
    assert (session.list, "flow_wait" in session.due) == (list_, False)
    assert [f.type for f in session.facts if f.type == "session.handoff"] == facts
