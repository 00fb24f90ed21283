"""Recorded decisions: in words, with who was looked at, and whether they can be made again."""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.documents import DECISIONS, DecisionRecord
from libs.common.errors import NotFoundError
from libs.common.policy import Candidate, Case, Decision, Policy, Standing
from libs.common.rules.decide import decide
from libs.common.rules.explain import EXCLUDED, words
from libs.common.store.api import Page
from services.desk.api.route import Call, Reply
from services.desk.api.visible import sessions_seen


class CandidateView(msgspec.Struct, frozen=True, kw_only=True):
    """An agent who was looked at, with the load seen; `excluded` and its words are empty: able."""

    agent: str
    name: str
    load: int
    limit: int
    excluded: str
    words: str


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """A decision in words and data.

    Attributes:
        trigger: What asked for it: `opened`, `message`, `handoff` or `queued`.
        list: Where the session went; empty: it stayed.
        rules: Ids of the rules that applied, in order.
        replays: Made again of what was recorded, it comes out the same.
    """

    id: str
    at: datetime
    trigger: str
    because: str
    words: tuple[str, ...]
    list: str
    owner: str
    bot: str
    team: str
    skill: str
    agent: str
    rules: tuple[str, ...]
    candidates: tuple[CandidateView, ...]
    replays: bool


class RawDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it is kept: all that the decision was made of, and the decision."""

    id: str
    session: str
    at: datetime
    case: Case
    standings: tuple[Standing, ...]
    policy: Policy | None
    decision: Decision
    replays: bool


async def decision(call: Call) -> Reply:
    """Show a record as it is kept.

    Raises:
        NotFoundError: No such decision in this workspace, or in the caller's scope.
    """
    found = await call.desk.store.port.get(DECISIONS, call.who.workspace, call.params["id"])
    if found is None or not await _sees(call, found):
        raise NotFoundError("There is no such decision.")
    body = RawDecision(
        id=found.id,
        session=found.session,
        at=found.at,
        case=found.case,
        standings=found.standings,
        policy=policy_of_record(found),
        decision=found.decision,
        replays=replays(found),
    )
    return Reply(body=body)


async def _sees(call: Call, record: DecisionRecord) -> bool:
    if not call.who.scope.account(record.case.channel, record.case.account):
        return False
    return bool(await sessions_seen(call, [record.session]))


async def decisions_of(call: Call, session: str, limit: int) -> list[DecisionRecord]:
    """Return the newest records of a session, oldest first."""
    page = Page(order="session", descending=True, limit=limit)
    where = {"session": session}
    found = await call.desk.store.port.find(DECISIONS, call.who.workspace, where, page)
    return found[::-1]


def replays(record: DecisionRecord) -> bool:
    """Tell whether the pure rules decide the same again from what was recorded."""
    policy = policy_of_record(record)
    if policy is None:
        return False
    return decide(record.case, policy, record.standings, record.at) == record.decision


def policy_of_record(record: DecisionRecord) -> Policy | None:
    """Return what was kept of the policy; None where it cannot be read."""
    try:
        return msgspec.json.decode(record.policy, type=Policy)
    except msgspec.MsgspecError:
        return None


def decision_view(record: DecisionRecord) -> DecisionView:
    """Return a record in words and data."""
    made = record.decision
    return DecisionView(
        id=record.id,
        at=record.at,
        trigger=record.case.trigger,
        because=made.because,
        words=tuple(words(record)),
        list=made.list,
        owner=made.owner,
        bot=made.bot,
        team=made.team,
        skill=made.skill,
        agent=made.agent,
        rules=made.rules,
        candidates=tuple(map(candidate_view, made.candidates)),
        replays=replays(record),
    )


def candidate_view(one: Candidate) -> CandidateView:
    """Return who was looked at, in words and data."""
    return CandidateView(
        agent=one.agent,
        name=one.name,
        load=one.load,
        limit=one.limit,
        excluded=one.excluded,
        words=EXCLUDED.get(one.excluded, one.excluded) if one.excluded else "could take it",
    )
