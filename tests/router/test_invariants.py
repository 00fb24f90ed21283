"""I6: at every instant one list and at most one owner, and the facts replay to the state.

Random lives of a session, decided by the pure rules alone; each step is checked.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.commands import (
    Actor,
    AddNote,
    AnyCommand,
    AssignSession,
    ClaimSession,
    EndSession,
    FireTimer,
    HandOff,
    MarkRead,
    OpenSession,
    RemoveAssignees,
    RestoreSession,
    SendMessage,
    SetBot,
    Snooze,
    TagSession,
)
from libs.common.documents import Bot, Session, Settings
from libs.common.errors import CommandError
from libs.common.events import DeliveryReported, Fact, InboundEvent, MessageEchoed, TextPart
from libs.common.policy import (
    AssignToAgent,
    BotRef,
    EndIt,
    HostWithBot,
    Member,
    Policy,
    ReplyWith,
    Rule,
    SetPriority,
    Standing,
    TextMatches,
)
from libs.common.switches import IdleRule, Termination
from services.router.apply import apply
from services.router.context import Context
from services.router.draft import cleared
from services.router.entry import Arrival
from services.router.plan import Known, Talk, plan
from services.router.room import Room
from tests.router.rig import ACCOUNT, WORKSPACE, arrived, at, event, said
from tests.router.stage import again
from tests.soak import sized

TALK = Talk(ACCOUNT, "U1")
AGENTS = ("amy", "bob", "cid")
HEAD = {"workspace": WORKSPACE, "session": "", "deadline": at(1e6)}

agents = st.sampled_from(AGENTS).map(lambda name: Actor(kind="agent", id=name, name=name.title()))
machines = st.sampled_from(["bot", "automation", "schedule"]).map(lambda k: Actor(kind=k, id="m"))


def command(kind: type[AnyCommand], actors: st.SearchStrategy[Actor], /, **fields: Any) -> Any:
    made = {name: st.just(value) for name, value in HEAD.items()} | fields
    return st.builds(kind, key=st.uuids().map(str), actor=actors, **made)


text = st.just((TextPart(text="x"),))
commands = st.one_of(
    command(SendMessage, agents, parts=text),
    command(SendMessage, machines, parts=text, epoch=st.integers(0, 6)),
    command(AddNote, agents, text=st.just("n")),
    command(OpenSession, agents, expect=st.sampled_from(["", "unassigned"])),
    command(ClaimSession, agents),
    command(
        AssignSession, agents, assignees=st.lists(st.sampled_from(AGENTS), max_size=3).map(tuple)
    ),
    command(
        RemoveAssignees, agents, agents=st.lists(st.sampled_from(AGENTS), max_size=2).map(tuple)
    ),
    command(HandOff, machines, because=st.just("bot_asked"), epoch=st.none() | st.integers(0, 6)),
    command(TagSession, agents, add=st.sampled_from([(), ("vip",)]), take=st.just(("late",))),
    command(SetBot, agents, on=st.booleans(), bot=st.sampled_from(["", "", "faq", "gone"])),
    command(
        FireTimer,
        machines,
        kind=st.sampled_from(["silent_owner", "bot_deadline", "idle_end", "idle_end", "snooze"]),
        due=st.just(at(0)),
    ),
    command(Snooze, agents, until=st.none() | st.integers(5, 20).map(at)),
    command(RestoreSession, agents),
    command(EndSession, agents, confirmed=st.booleans()),
    command(MarkRead, agents, up_to=st.none() | st.integers(0, 9)),
)
events = st.sampled_from(["message", "echo", "receipt"])
steps = st.lists(st.one_of(commands, commands, events), max_size=25)
switches = st.builds(
    Settings,
    auto_hosting=st.booleans(),
    auto_assign=st.booleans(),
    session_hosting=st.booleans(),
    end_session_confirm=st.booleans(),
    silent_owner_s=st.sampled_from([0, 3]),
    silent_owner=st.sampled_from(["remind", "queue"]),
    handoff_words=st.sampled_from([(), ("7",)]),
    auto_termination=st.booleans(),
    termination=st.builds(
        Termination,
        rules=st.just((IdleRule(lists=("bot_hosted", "unassigned", "assigned"), idle_s=1),)),
        undo_s=st.sampled_from([1, 3600]),
        since=st.just(at(-60)),
    ),
)
rules = st.lists(
    st.builds(
        Rule,
        id=st.just("r"),
        on=st.sampled_from(["opened", "message", "handoff"]),
        conditions=st.sampled_from([(), (TextMatches(pattern="[13579]$"),)]),
        actions=st.lists(
            st.sampled_from(
                [
                    HostWithBot(bot="faq"),
                    AssignToAgent(agent="bob"),
                    SetPriority(priority=4),
                    ReplyWith(text="hi"),
                    EndIt(),
                ]
            ),
            min_size=1,
            max_size=2,
        ).map(tuple),
    ),
    max_size=2,
).map(tuple)
crews = st.lists(st.sampled_from(AGENTS), max_size=2).map(
    lambda names: tuple(
        Standing(id=name, online=True, load=0, idle_since=at(0)) for name in dict.fromkeys(names)
    )
)
MEMBERS = tuple(Member(id=name, name=name.title(), limit=5) for name in AGENTS)
BOTS = (BotRef(id="faq", kind="webhook"),)
WEBHOOK = Bot(id="faq", workspace=WORKSPACE, name="FAQ", kind="webhook", url="http://127.0.0.1:9/")
rooms = st.builds(
    lambda settings, rules, standings, bots: Room(
        policy=Policy(settings=settings, rules=rules, members=MEMBERS, bots=BOTS if bots else ()),
        standings=standings,
        bots={"faq": WEBHOOK} if bots else {},
    ),
    switches,
    rules,
    crews,
    st.booleans(),
)


def happens(kind: str, number: int) -> InboundEvent:
    if kind == "message":
        return said(str(number), number)
    if kind == "echo":
        return event(MessageEchoed, f"e{number}", number, message_id=f"m{number}", parts=())
    return event(DeliveryReported, f"r{number}", number, status="read", watermark=at(number))


class Life:
    """All sessions of one visitor, as the guarded writes would leave them, and all facts."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.sessions: dict[str, Session] = {}
        self.newest: Session | None = None
        self.facts: list[Fact] = []

    def write(self, session: Session) -> None:
        before = self.sessions.get(session.id)
        assert session.rev == (before.rev if before else 0)
        written = msgspec.structs.replace(session, rev=session.rev + 1)
        self.facts += written.facts
        for fact in written.facts:
            assert fact.rev == written.rev
        for record in written.records:
            assert again(record) == record.decision
        check(cleared(written), before)
        check_clocks(written)
        self.sessions[session.id] = cleared(written)
        self.newest = self.sessions[session.id]

    def step(self, step: AnyCommand | str, number: int) -> None:
        if isinstance(step, str):
            arrival = Arrival(inbound=arrived(happens(step, number)), sequence=number)
            drawn = plan(TALK, [arrival], Known(session=self.newest), self.room, at(number))
            for session in (*drawn.changed, *drawn.created):
                self.write(session)
        elif self.newest is not None:
            context = Context(room=self.room, now=at(number))
            try:
                change = apply(self.newest, step, context)
            except CommandError:
                return
            if change is not None:
                self.write(change.session)


def check(after: Session, before: Session | None) -> None:
    """Check what must hold of a session at every instant."""
    assert after.owner == (after.assignee_ids[0] if after.assignee_ids else None)
    assert after.assignee_ids == tuple(seat.agent for seat in after.assignees)
    assert len(set(after.assignee_ids)) == len(after.assignee_ids)
    assert (after.list == "ended") == (after.open_key is None) == (after.ended_at is not None)
    assert after.list in {"assigned", "ended"} or after.owner is None
    assert after.list != "assigned" or after.owner is not None
    assert after.list != "bot_hosted" or after.bot
    assert after.list not in {"unassigned", "ended"} or not after.bot
    waits = after.list == "unassigned" and not after.standby and after.snoozed_until is None
    assert (after.queue_key is not None) == waits
    assert (after.waiting_since is not None) == (after.list == "unassigned")
    assert after.list == "assigned" or (after.awaiting_since, after.automation) == (None, False)
    assert after.list == "assigned" or "silent_owner" not in after.due
    assert after.bot or after.automation or not (after.bot_id or after.bot_state)
    assert after.bot or not (after.bot_asked or "bot_deadline" in after.due)
    assert after.list != "ended" or not after.due
    assert len(after.recent) == min(after.entries, 64)
    assert all(0 <= read <= after.inbound for read in after.reads.values())
    if before is None:
        return
    restored = before.ended_from is not None and after.because == "restored"
    assert before.list != "ended" or after.list == "ended" or restored
    assert (after.idle_since or at(0)) >= (before.idle_since or at(0))
    held = hands(before) == hands(after)
    assert (after.epoch == before.epoch) if held else (after.epoch > before.epoch)
    assert after.updated_at >= before.updated_at
    assert after.inbound >= before.inbound
    assert all(after.reads.get(agent, 0) >= read for agent, read in before.reads.items())


def check_clocks(session: Session) -> None:
    """Check what must hold of snooze and idle end."""
    snoozed = session.snoozed_until is not None
    assert snoozed == bool(session.snoozed_by) == ("snooze" in session.due)
    assert not snoozed or not {"silent_owner", "idle_end"} & set(session.due)
    assert (session.ended_from is None) == (session.end_reason != "auto_terminated")


def hands(session: Session) -> tuple[Any, ...]:
    return session.list, session.owner, session.bot, session.bot_id


def replayed(facts: list[Fact]) -> dict[str, tuple[Any, ...]]:
    """Return each session's state as the transition log alone tells it."""
    states: dict[str, tuple[Any, ...]] = {}
    for fact in facts:
        before = states.get(fact.session)
        if fact.type == "session.created":
            assert before is None
            states[fact.session] = (fact.list, fact.owner, fact.assignees, fact.bot, 0)
        elif fact.type in {"session.moved", "session.ended"}:
            assert before is not None
            assert fact.previous_list == before[0]
            bot = fact.bot if fact.type == "session.ended" else before[3]
            states[fact.session] = (fact.list, *before[1:3], bot, fact.epoch)
        elif fact.type == "session.assigned":
            assert before is not None
            assert fact.previous_owner == before[1] or before[1:3] == (fact.owner, fact.assignees)
            states[fact.session] = (before[0], fact.owner, fact.assignees, before[3], fact.epoch)
        elif fact.type == "session.bot":
            assert before is not None
            states[fact.session] = (*before[:3], fact.bot, fact.epoch)
    return states


@settings(max_examples=sized(100, 500), deadline=None)
@given(rooms, steps)
def test_i6_one_list_one_owner_and_the_log_replays(room: Room, steps: list[Any]) -> None:
    life = Life(room)
    for number, step in enumerate(["message", *steps], 1):
        life.step(step, number)
        opened = [s for s in life.sessions.values() if s.open_key is not None]
        assert len(opened) <= 1
    for session in life.sessions.values():
        assert replayed(life.facts)[session.id] == (
            session.list,
            session.owner or "",
            session.assignee_ids,
            session.bot,
            session.epoch,
        )
    ids = [fact.fact_id for fact in life.facts]
    assert len(set(ids)) == len(ids)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["bot", "takeover"]), min_size=2, max_size=40))
def test_d03_no_bot_message_after_a_takeover(moves: list[str]) -> None:
    """A bot answers with the epoch that it saw when it began; an agent steps in somewhere."""
    life = Life(Room())
    life.step("message", 1)
    taken = False
    for number, move in enumerate(moves, 2):
        assert life.newest is not None
        head: dict[str, Any] = {**HEAD, "key": str(number), "parts": (TextPart(text="x"),)}
        entries = life.newest.entries
        if move == "takeover":
            life.step(SendMessage(**head, actor=Actor(kind="agent", id="amy")), number)
            taken = True
            continue
        life.step(SendMessage(**head, actor=Actor(kind="bot", id="faq"), epoch=0), number)
        assert (life.newest.entries > entries) == (not taken)
