"""A decision is made again from what was kept of it, and never gives anybody too much."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.common.documents import DecisionRecord
from libs.common.policy import Case, Policy, Standing
from libs.common.rules.decide import decide
from libs.common.rules.explain import words

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
NAMES = ["a", "b", "c", "d"]
names = st.sampled_from(NAMES)
teams = st.sampled_from(["x", "y", "gone"])
lines = st.sampled_from(["", "refund", "ราคา", "Order 12", "hello agent"])

conditions: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"if": st.just("channel"), "any_of": st.just(["line"])}),
    st.fixed_dictionaries({"if": st.just("list"), "any_of": st.just(["bot_hosted"])}),
    st.fixed_dictionaries({"if": st.just("words"), "words": st.just(["refund", "ราคา"])}),
    st.fixed_dictionaries({"if": st.just("regex"), "pattern": st.sampled_from([r"\d+", "(a"])}),
    st.fixed_dictionaries({"if": st.just("hours"), "open": st.booleans()}),
    st.fixed_dictionaries(
        {"if": st.just("contact"), "kind": st.sampled_from(["new", "returning"])}
    ),
    st.fixed_dictionaries({"if": st.just("tag"), "any_of": st.just(["vip"])}),
)
actions: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"do": st.just("bot"), "bot": st.sampled_from(["faq", "gone"])}),
    st.fixed_dictionaries(
        {"do": st.just("team"), "team": teams, "skill": st.sampled_from(["", "thai"])}
    ),
    st.fixed_dictionaries({"do": st.just("agent"), "agent": names, "else_team": teams}),
    st.fixed_dictionaries({"do": st.just("tag"), "tag": st.just("vip")}),
    st.fixed_dictionaries({"do": st.just("reply"), "text": st.just("hi")}),
    st.fixed_dictionaries({"do": st.just("priority"), "priority": st.integers(-10, 10)}),
    st.just({"do": "end"}),
    st.fixed_dictionaries({"do": st.just("notify"), "team": teams}),
)
rules = st.fixed_dictionaries(
    {
        "on": st.sampled_from(["opened", "message", "handoff"]),
        "conditions": st.lists(conditions, max_size=2),
        "actions": st.lists(actions, min_size=1, max_size=3),
        "stop": st.booleans(),
    }
)
members = st.fixed_dictionaries(
    {
        "limit": st.integers(0, 3),
        "teams": st.lists(teams, max_size=2, unique=True),
        "skills": st.sampled_from([[], ["thai"]]),
        "priority": st.integers(-1, 1),
        "role": st.sampled_from(["agent", "lead", "read_only"]),
    }
)
overrides = st.fixed_dictionaries(
    {}, optional={"auto_hosting": st.booleans(), "auto_assign": st.booleans()}
)
strategies = st.sampled_from(["least_loaded", "round_robin", "sticky", "priority"])
switches = st.fixed_dictionaries(
    {
        "auto_hosting": st.booleans(),
        "auto_assign": st.booleans(),
        "session_hosting": st.booleans(),
        "strategy": strategies,
        "strategy_returning": st.none() | strategies,
        "reopen": st.sampled_from(["owner", "queue", "bot"]),
        "calendar": st.sampled_from(["", "day", "night"]),
        "channels": st.dictionaries(st.just("line"), overrides),
        "accounts": st.dictionaries(st.just("shop"), overrides),
    }
)


def _span(opens: str, closes: str) -> dict[str, Any]:
    return {"days": [5, 6], "opens": opens, "closes": closes}


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    whole = {
        "settings": draw(switches),
        "members": [{"id": name} | draw(members) for name in NAMES],
        "teams": [{"id": "x", "calendar": "day"}, {"id": "y"}],
        "calendars": [
            {"id": "day", "zone": "Europe/Berlin", "spans": [_span("02:15", "18:00")]},
            {"id": "night", "spans": [_span("22:00", "01:00")], "away_text": "Closed"},
        ],
        "bots": draw(st.sampled_from([[], [{"id": "faq", "kind": "faq"}]])),
        "rules": [
            {"id": f"r{number}"} | rule
            for number, rule in enumerate(draw(st.lists(rules, max_size=5)))
        ],
    }
    return msgspec.convert(whole, Policy)


moments = st.integers(-300, 300).map(lambda seconds: NOW + timedelta(seconds=seconds))
cases = st.builds(
    Case,
    trigger=st.sampled_from(["opened", "message", "handoff", "queued"]),
    session=st.just("s"),
    channel=st.sampled_from(["line", "web"]),
    account=st.just("shop"),
    list=st.sampled_from(["", "bot_hosted", "unassigned", "assigned"]),
    text=lines,
    tags=st.sampled_from([(), ("vip",)]),
    returning=st.booleans(),
    last_owner=st.sampled_from(["", *NAMES]),
    standby=st.booleans(),
    removed=st.dictionaries(names, moments, max_size=2),
    team=st.sampled_from(["", "x", "y", "gone"]),
    skill=st.sampled_from(["", "thai"]),
    agent=st.sampled_from(["", "a", "gone"]),
    said=st.sampled_from([(), ("away",), ("rule:r0",)]),
    owner=st.sampled_from(["", *NAMES]),
    answered_at=st.none() | moments,
)
crews = st.tuples(
    *(
        st.builds(
            Standing,
            id=st.just(name),
            online=st.booleans(),
            away=st.booleans(),
            load=st.integers(0, 4),
            idle_since=moments,
            turn=st.integers(0, 5),
        )
        for name in NAMES
    )
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases, policy=policies(), standings=crews)
def test_d04_the_same_again_from_what_was_kept(
    case: Case, policy: Policy, standings: tuple[Standing, ...]
) -> None:
    decision = decide(case, policy, standings, NOW)
    record = DecisionRecord(
        id="d",
        workspace="w",
        session="s",
        at=NOW,
        case=case,
        standings=standings,
        policy=msgspec.json.encode(policy).decode(),
        decision=decision,
    )
    kept = msgspec.json.decode(msgspec.json.encode(record), type=DecisionRecord)
    again = decide(
        kept.case, msgspec.json.decode(kept.policy, type=Policy), kept.standings, kept.at
    )
    assert again == kept.decision == decision
    assert all(sentence.endswith(".") for sentence in words(kept))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases, policy=policies(), standings=crews)
def test_a07_nobody_gets_more_than_they_can_take(
    case: Case, policy: Policy, standings: tuple[Standing, ...]
) -> None:
    decision = decide(case, policy, standings, NOW)
    if not decision.owner:
        assert decision.list != "assigned"
        return
    assert decision.list == "assigned"
    owner = next(member for member in policy.members if member.id == decision.owner)
    stands = next(one for one in standings if one.id == decision.owner)
    assert owner.limit > stands.load
    assert owner.role != "read_only"
    assert stands.online
    assert not stands.away
    assert case.removed.get(owner.id, NOW) <= NOW
    looked = next(one for one in decision.candidates if one.agent == owner.id)
    assert looked.excluded == ""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases, policy=policies(), standings=crews)
def test_d03_no_decision_takes_a_session_from_its_owner(
    case: Case, policy: Policy, standings: tuple[Standing, ...]
) -> None:
    if case.list != "assigned":
        case = msgspec.structs.replace(case, list="assigned")
    decision = decide(case, policy, standings, NOW)
    assert decision.list in {"", "ended"}
    assert (decision.owner, decision.bot) == ("", "")
