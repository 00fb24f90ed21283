"""The simulator, pure (D05): the same policy gives what happened, another one what would have."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import pytest

from libs.common.documents import Assignee, DecisionRecord, Session
from libs.common.policy import (
    AddTag,
    AssignToTeam,
    BotRef,
    Case,
    Decision,
    EndIt,
    HostWithBot,
    Member,
    Notify,
    Policy,
    ReplyWith,
    Rule,
    SetPriority,
    Standing,
    Team,
    TextHas,
)
from libs.common.rules.decide import decide
from libs.common.rules.simulate import Event, Report, Simulation, events_of
from libs.common.switches import ChannelSettings, IdleRule, Settings, Termination

T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CHANNELS = ("line", "messenger", "web")


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def policy(**more: Any) -> Policy:
    settings = {"auto_hosting": False, "auto_assign": True, **more.pop("settings", {})}
    parts: dict[str, Any] = {
        "members": (
            Member(id="amy", limit=2, teams=("sales",)),
            Member(id="bob", limit=1),
            Member(id="cat", limit=3, teams=("sales",)),
        ),
        "teams": (Team(id="sales"),),
        "bots": (BotRef(id="faq", kind="faq", channels=("line",)),),
        **more,
    }
    return Policy(settings=Settings(**settings), **parts)


RULES = (
    Rule(
        id="order",
        conditions=(TextHas(words=("order",)),),
        actions=(AssignToTeam(team="sales"), SetPriority(priority=3), Notify(team="sales")),
    ),
    Rule(id="spam", conditions=(TextHas(words=("spam",)),), actions=(EndIt(),)),
    Rule(
        id="thanks",
        on="message",
        conditions=(TextHas(words=("thanks",)),),
        actions=(AddTag(tag="happy"), ReplyWith(text="You are welcome.")),
    ),
)


# --- a small world that decides as the router does --------------------------------------------


class Town:
    """Makes records by chance: visitors write, agents come and go, take and end sessions."""

    def __init__(self, policy: Policy, seed: int) -> None:
        self.policy = policy
        self.chance = random.Random(seed)  # noqa: S311 (chance that a test repeats)
        self.records: list[DecisionRecord] = []
        self.sessions: dict[str, Session] = {}
        self.queue: list[str] = []
        self.online = {member.id: False for member in policy.members}
        self.idle = {member.id: T0 for member in policy.members}
        self.turn: Counter[str] = Counter()
        self.now = T0
        self.waits: list[float] = []
        self.lists: dict[str, set[str]] = {}

    def run(self, steps: int) -> None:
        does = (self.opens, self.opens, self.writes, self.asks, self.turns, self.takes, self.ends)
        for _ in range(steps):
            self.now += timedelta(seconds=self.chance.uniform(1, 90))
            self.chance.choice(does)()
            self.now += timedelta(milliseconds=5)
            self.serve()

    def opens(self) -> None:
        session = Session(
            id=f"s{len(self.sessions):04}",
            workspace="w",
            account="acc",
            channel=self.chance.choice(CHANNELS),
            visitor="v",
            contact="c",
            list="unassigned",
            open_key=None,
            created_at=self.now,
            updated_at=self.now,
            last_inbound_at=self.now,
            returning=self.chance.random() < 0.3,
            last_owner=self.chance.choice(("", "amy", "cat")),
        )
        self.sessions[session.id] = session
        text = self.chance.choice(("hello", "an order", "spam", "hi"))
        self.decides(session, "opened", text)

    def writes(self) -> None:
        session = self.some("bot_hosted", "unassigned", "assigned")
        if session is not None:
            session.last_inbound_at = self.now
            self.decides(session, "message", self.chance.choice(("thanks", "well")))

    def asks(self) -> None:
        session = self.some("bot_hosted")
        if session is not None:
            self.decides(session, "handoff", "human")

    def turns(self) -> None:
        agent = self.chance.choice(sorted(self.online))
        self.online[agent] = not self.online[agent]

    def takes(self) -> None:
        session = self.some("bot_hosted", "unassigned")
        if session is not None:
            self.places(session, "assigned", "dan")

    def ends(self) -> None:
        session = self.some("bot_hosted", "unassigned", "assigned", "assigned")
        if session is not None:
            self.places(session, "ended", session.owner or "")

    def serve(self) -> None:
        for waiting in list(self.queue):
            session = self.sessions[waiting]
            made = self.case(session, "queued", "")
            if decide(made, self.policy, self.standings(), self.now).owner:
                self.decides(session, "queued", "")

    # --- how it goes on

    def some(self, *lists: str) -> Session | None:
        found = [one for one in self.sessions.values() if one.list in lists]
        return self.chance.choice(found) if found else None

    def case(self, session: Session, trigger: Any, text: str) -> Case:
        return Case(
            trigger=trigger,
            session=session.id,
            channel=session.channel,
            account=session.account,
            list="" if trigger == "opened" else session.list,
            text=text,
            tags=session.tags,
            returning=session.returning,
            last_owner=session.last_owner,
            team=session.team,
            skill=session.skill,
            agent=session.wanted,
            said=session.said,
        )

    def standings(self) -> tuple[Standing, ...]:
        loads = Counter(one.owner for one in self.sessions.values() if one.list == "assigned")
        return tuple(
            Standing(
                id=agent,
                online=there,
                load=loads[agent],
                idle_since=self.idle[agent],
                turn=self.turn[agent],
            )
            for agent, there in self.online.items()
        )

    def decides(self, session: Session, trigger: str, text: str) -> None:
        case, standings = self.case(session, trigger, text), self.standings()
        made = decide(case, self.policy, standings, self.now)
        looked = {one.agent for one in made.candidates}
        self.records.append(
            DecisionRecord(
                id=f"d{len(self.records):05}",
                workspace="w",
                session=session.id,
                at=self.now,
                case=case,
                standings=tuple(one for one in standings if one.id in looked),
                decision=made,
            )
        )
        session.team, session.skill, session.wanted = made.team, made.skill, made.agent
        session.tags = tuple(dict.fromkeys((*session.tags, *made.tags)))
        session.said = tuple(dict.fromkeys((*session.said, *made.says)))
        if made.list:
            self.places(session, made.list, made.owner)
        if made.owner:
            self.turn[made.owner] = max(self.turn.values(), default=0) + 1

    def places(self, session: Session, to: Any, owner: str) -> None:
        if session.id in self.queue:
            self.queue.remove(session.id)
            assert session.waiting_since is not None
            if to == "assigned":
                self.waits.append((self.now - session.waiting_since).total_seconds())
        session.waiting_since = self.now if to == "unassigned" else None
        if to == "unassigned":
            self.queue.append(session.id)
        for agent in {session.owner, owner} & set(self.idle):
            self.idle[str(agent)] = self.now
        session.list = to
        self.lists.setdefault(to, set()).add(session.id)
        session.owner = owner or None
        if to == "assigned":
            session.assignees = (Assignee(agent=owner, since=self.now),)
        if to == "ended":
            session.ended_at = self.now


def simulated(
    policy: Policy,
    records: list[DecisionRecord],
    sessions: list[Session],
    *,
    idle: timedelta | None = None,
    until: datetime | None = None,
    **more: Any,
) -> Report:
    """Feed a simulation as desk does."""
    until = until or max((record.at for record in records), default=T0) + timedelta(hours=1)
    simulation = Simulation(policy, **more)
    events: list[Event] = []
    for session in sessions:
        events += events_of(session, policy, idle, until)
    events.sort()
    for record in records:
        while events and events[0].at < record.at:
            simulation.event(events.pop(0))
        simulation.record(record)
    for event in events:
        simulation.event(event)
    return simulation.report(until)


POLICIES = {
    "auto-assign": policy(),
    "rules": policy(rules=RULES),
    "bots first": policy(settings={"auto_hosting": True}, rules=RULES),
    "the queue for who comes back": policy(settings={"reopen": "queue"}),
    "turns": policy(settings={"strategy": "round_robin"}, rules=RULES),
    "sticky": policy(settings={"strategy": "sticky", "reopen": "bot"}),
    "by hand": policy(settings={"auto_assign": False}, rules=RULES),
    "a channel apart": policy(
        settings={"channels": {"line": ChannelSettings(auto_hosting=True, auto_assign=False)}}
    ),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("one", POLICIES.values(), ids=POLICIES)
def test_d05_the_policy_under_which_it_happened_gives_what_happened(one: Policy, seed: int) -> None:
    town = Town(one, seed)
    town.run(250)
    report = simulated(one, town.records, list(town.sessions.values()), idle=timedelta(minutes=20))
    assert report.examples == ()
    assert (report.same, report.differences) == (True, 0)
    assert report.would == report.happened
    assert (report.decisions, report.sessions) == (len(town.records), len(town.sessions))
    ended_by_rule = {r.session for r in town.records if r.decision.list == "ended"}
    for name, found in town.lists.items():
        assert report.happened.lists[name] == len(found), (name, ended_by_rule)
    assert report.happened.waits.assigned == len(town.waits)
    assert report.happened.waits.longest_s == pytest.approx(max(town.waits), abs=0.01)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("other", POLICIES.values(), ids=POLICIES)
def test_d05_no_agent_would_have_had_more_than_their_limit(other: Policy, seed: int) -> None:
    town = Town(POLICIES["auto-assign"], seed)
    town.run(250)
    lower = tuple(
        msgspec.structs.replace(member, limit=max(1, member.limit - 1)) for member in other.members
    )
    other = msgspec.structs.replace(other, members=lower)
    report = simulated(other, town.records, list(town.sessions.values()), assume_online=True)
    assert not report.same
    for member in other.members:
        burden = report.would.agents.get(member.id)
        assert burden is None or burden.most_at_once <= member.limit


# --- single things that would be different -----------------------------------------------------


def session(
    name: str, *, channel: str = "line", ended: datetime | None = None, **more: Any
) -> Session:
    listed: Literal["ended", "unassigned"] = "ended" if ended else "unassigned"
    return Session(
        id=name,
        workspace="w",
        account="acc",
        channel=channel,
        visitor=name,
        contact=name,
        list=listed,
        open_key=None,
        created_at=T0,
        updated_at=T0,
        last_inbound_at=more.pop("last_inbound_at", T0),
        ended_at=ended,
        **more,
    )


def opened(
    name: str,
    under: Policy,
    when: datetime,
    standings: tuple[Standing, ...] = (),
    **more: Any,
) -> DecisionRecord:
    fields = {"channel": "line", "account": "acc", "trigger": "opened", **more}
    case = Case(session=name, **fields)
    made: Decision = decide(case, under, standings, when)
    looked = {one.agent for one in made.candidates}
    return DecisionRecord(
        id=f"d-{name}-{when.isoformat()}",
        workspace="w",
        session=name,
        at=when,
        case=case,
        standings=tuple(one for one in standings if one.id in looked),
        decision=made,
    )


def there(*agents: str, load: int = 0) -> tuple[Standing, ...]:
    return tuple(Standing(id=a, online=True, load=load, idle_since=T0) for a in agents)


HAND = policy(settings={"auto_assign": False})


def test_d05_turning_auto_hosting_on_moves_sessions_to_the_bot() -> None:
    records = [opened(f"s{n}", HAND, at(n)) for n in range(3)]
    report = simulated(
        policy(settings={"auto_hosting": True}), records, [session(f"s{n}") for n in range(3)]
    )
    assert (report.happened.lists, report.would.lists) == ({"unassigned": 3}, {"bot_hosted": 3})
    assert (report.differences, report.happened.waits.never, report.would.waits.never) == (3, 3, 0)
    assert report.examples[0].would is not None
    assert report.examples[0].would.because == "auto_hosting"


def test_d05_auto_assign_fills_agents_and_goes_on_when_a_session_ends() -> None:
    one = policy(members=(Member(id="amy", limit=1),))
    records = [opened("s0", HAND, at(0)), opened("s1", HAND, at(1)), opened("s2", HAND, at(30))]
    sessions = [session("s0", ended=at(10)), session("s1"), session("s2")]
    report = simulated(one, records, sessions, assume_online=True, until=at(60))
    assert report.would.agents["amy"].sessions == 2
    assert report.would.agents["amy"].most_at_once == 1
    assert (report.would.waits.assigned, report.would.waits.longest_s) == (1, 9 * 60)
    assert report.would.waits.never == 1
    nobody = simulated(one, records, sessions, until=at(60))
    assert nobody.would.agents == {}  # nothing says that anybody was there


def test_d05_a_waiting_session_of_high_priority_comes_first() -> None:
    one = policy(
        members=(Member(id="amy", limit=1),),
        rules=(
            Rule(
                id="vip",
                conditions=(TextHas(words=("vip",)),),
                actions=(SetPriority(priority=5),),
            ),
        ),
    )
    texts = {"s0": "hello", "s1": "hello", "s2": "vip"}
    records = [opened(name, HAND, at(n), text=text) for n, (name, text) in enumerate(texts.items())]
    sessions = [session("s0", ended=at(10)), session("s1"), session("s2")]
    simulation = simulated(one, records, sessions, assume_online=True, until=at(20))
    assert simulation.would.waits.assigned == 1
    assert simulation.would.waits.longest_s == 8 * 60  # s2, which came after s1


def test_d05_what_a_person_took_they_take_where_it_waits_and_not_where_it_was_given() -> None:
    taken = (Assignee(agent="dan", since=at(5)),)
    records = [opened("s0", HAND, at(0))]
    people = [session("s0", assignees=taken, owner="dan")]
    hosted = simulated(policy(settings={"auto_hosting": True}), records, people)
    assert hosted.would.agents["dan"].sessions == 1
    given = simulated(policy(), records, people, assume_online=True)
    assert set(given.would.agents) == {"amy"}
    assert set(given.happened.agents) == {"dan"}
    assert given.happened.waits.longest_s == 300


def test_d05_what_a_rule_gave_is_not_taken_for_a_persons_deed() -> None:
    auto = policy()
    records = [opened("s0", auto, at(0), there("amy"))]
    given = session("s0", assignees=(Assignee(agent="amy", since=at(0)),), owner="amy")
    report = simulated(HAND, records, [given])
    assert report.happened.agents["amy"].sessions == 1
    assert report.would.agents == {}
    assert report.would.waits.never == 1


def test_d05_a_lower_limit_counts_what_agents_held_before() -> None:
    auto = policy()
    records = [opened("s0", auto, at(0), there("amy", load=1))]
    lower = policy(members=(Member(id="amy", limit=1),))
    report = simulated(lower, records, [session("s0")])
    assert report.happened.agents["amy"].most_at_once == 2
    assert report.would.waits.never == 1


def test_d05_alerts_and_replies_are_counted() -> None:
    records = [opened("s0", HAND, at(0), text="an order")]
    report = simulated(policy(rules=RULES), records, [session("s0")])
    assert {name: one.alerts for name, one in report.would.agents.items()} == {"amy": 1, "cat": 1}
    assert report.happened.agents == {}


def test_d05_later_cases_follow_the_other_way() -> None:
    """A hand-off of a session that no bot has is none; a bot that hosts it instead is asked."""
    hosting = policy(settings={"auto_hosting": True})
    first = opened("s0", hosting, at(0))
    second = opened("s0", hosting, at(5), trigger="handoff", list="bot_hosted")
    report = simulated(policy(), [first, second], [session("s0")])
    assert [one.would is None for one in report.examples] == [False, True]
    assert report.would.lists == {"unassigned": 1}
    third = opened("s1", hosting, at(0), text="x")
    rule = Rule(id="r", on="handoff", actions=(AddTag(tag="asked"),))
    tagged = simulated(
        policy(settings={"auto_hosting": True}, rules=(rule,)), [third, second], [session("s1")]
    )
    assert tagged.differences == 1


def test_d05_what_a_bot_would_have_is_offered_to_nobody() -> None:
    auto = policy()
    first = opened("s0", auto, at(0))
    second = opened("s0", auto, at(5), there("amy"), trigger="queued", list="unassigned")
    assert second.decision.owner == "amy"
    report = simulated(policy(settings={"auto_hosting": True}), [first, second], [session("s0")])
    assert report.would.lists == {"bot_hosted": 1}
    assert report.would.agents == {}


def test_d05_what_a_rule_would_end_goes_no_further() -> None:
    records = [
        opened("s0", HAND, at(0), text="spam"),
        opened("s0", HAND, at(1), trigger="message", list="unassigned", text="spam"),
    ]
    report = simulated(policy(rules=RULES), records, [session("s0")])
    assert report.would.lists == {"ended": 1}
    assert report.examples[1].would is None


def ends(*rules: IdleRule, **more: Any) -> dict[str, Any]:
    """Return settings with the automatic ends on, by *rules* or by default."""
    termination = Termination(rules=rules) if rules else Termination()
    return {"auto_termination": True, "termination": termination, **more}


LINE_ON = {"line": ChannelSettings(auto_termination=True)}
OFF = {"messenger": ChannelSettings(auto_termination=False)}
BY_BOT = IdleRule(last=("bot",), idle_s=600)
QUICK = IdleRule(idle_s=600)

IDLE: dict[str, tuple[str, dict[str, Any], int | None, int | None, dict[str, int]]] = {
    "by default on messenger, waiting": ("messenger", ends(), 30, None, {"unassigned": 1}),
    "by default on comments, waiting": ("fb_comment", ends(), 30, None, {"unassigned": 1}),
    "no rule names the channel": ("line", ends(channels=LINE_ON), 30, None, {}),
    "it is switched off": ("messenger", {}, 30, None, {}),
    "the channel is opted out": ("messenger", ends(channels=OFF), 30, None, {}),
    "the channel alone is opted in": (
        "line",
        {**ends(QUICK), "auto_termination": False, "channels": LINE_ON},
        None,
        None,
        {"unassigned": 1},
    ),
    "a rule for all channels, in its own time": (
        "line",
        ends(QUICK),
        None,
        None,
        {"unassigned": 1},
    ),
    "a rule for the list it is in": (
        "line",
        ends(IdleRule(lists=("assigned",), idle_s=600)),
        None,
        None,
        {},
    ),
    "a rule for another last word": ("line", ends(BY_BOT), None, None, {}),
    "the first rule that fits": (
        "line",
        ends(BY_BOT, IdleRule(idle_s=7200), QUICK),
        None,
        None,
        {},
    ),
    "not yet so long": ("messenger", ends(), 90, None, {}),
    "not yet so long by its rule": ("messenger", ends(), None, None, {}),
    "ended before": ("messenger", ends(), 30, 20, {}),
}


@pytest.mark.parametrize(
    ("channel", "settings", "idle", "ended", "expected"), IDLE.values(), ids=IDLE
)
def test_d05_sessions_that_would_have_been_ended_for_idleness(
    channel: str,
    settings: dict[str, Any],
    idle: int | None,
    ended: int | None,
    expected: dict[str, int],
) -> None:
    under = policy(settings={"auto_assign": False, **settings})
    records = [opened("s0", under, at(0), channel=channel)]
    end = None if ended is None else at(ended)
    report = simulated(
        under,
        records,
        [session("s0", channel=channel, ended=end)],
        idle=None if idle is None else timedelta(minutes=idle),
        until=at(60),
    )
    assert report.would.terminations == expected
    assert report.same


def test_d05_what_ended_with_a_farewell_had_been_idle() -> None:
    under = policy(settings={"auto_assign": False, **ends(QUICK)})
    said = session("s0", ended=at(11))
    said.spoke, said.idle_since = "automation", at(11)
    report = simulated(under, [opened("s0", under, at(0))], [said], until=at(60))
    assert report.happened.terminations == {"unassigned": 1}


def test_d05_an_assigned_session_is_not_ended_for_idleness() -> None:
    auto = policy(settings=ends())
    records = [opened("s0", HAND, at(0), channel="messenger")]
    report = simulated(
        auto,
        records,
        [session("s0", channel="messenger")],
        idle=timedelta(minutes=10),
        until=at(60),
        assume_online=True,
    )
    assert report.happened.terminations == {"unassigned": 1}
    assert report.would.terminations == {}


def test_d05_at_most_fifty_examples_are_kept() -> None:
    records = [opened(f"s{n:03}", HAND, at(n)) for n in range(80)]
    report = simulated(policy(settings={"auto_hosting": True}), records, [])
    assert (report.differences, len(report.examples)) == (80, 50)


def test_d05_a_bot_by_a_rule_counts_as_another_decision() -> None:
    hosted = policy(settings={"auto_hosting": True})
    records = [opened("s0", hosted, at(0))]
    rule = Rule(id="r", actions=(HostWithBot(bot="faq"),))
    report = simulated(
        policy(settings={"auto_hosting": True}, rules=(rule,)), records, [session("s0")]
    )
    assert (report.differences, report.would.lists) == (1, report.happened.lists)
